//! The schemas of an OpenAPI document, with local references resolved.

use serde_json::{Number, Value};

/// Most references that are followed one after the other.
const MAX_REFERENCES: usize = 16;

/// Most levels of `allOf` whose properties are collected.
const MAX_PARTS: usize = 8;

/// The value of what is not there.
pub(super) static NOTHING: Value = Value::Null;

/// A schema, and the name that the document has for it.
#[derive(Debug, Clone, Copy)]
pub struct Schema<'d> {
    root: &'d Value,
    value: &'d Value,
    /// The name of the component; empty for a schema that is written in place.
    pub name: &'d str,
}

/// The form of a value.
#[derive(Debug, Clone)]
pub enum Form<'d> {
    /// An object with these properties.
    Object(Vec<Property<'d>>),
    /// A list of such items.
    List(Schema<'d>),
    /// A scalar.
    Scalar(Scalar),
    /// Not described.
    Unknown,
}

/// The type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// A string.
    Text,
    /// A bool.
    Boolean,
}

/// A property of an object.
#[derive(Debug, Clone, Copy)]
pub struct Property<'d> {
    /// The name.
    pub name: &'d str,
    /// The schema.
    pub schema: Schema<'d>,
    /// True if the object must have it.
    pub is_required: bool,
}

impl<'d> Schema<'d> {
    /// Wraps a schema of a document, or the one that it refers to.
    pub fn new(root: &'d Value, value: &'d Value) -> Self {
        Self { root, value, name: "" }.resolved()
    }

    /// Returns the schema as it is written.
    pub fn value(self) -> &'d Value {
        self.value
    }

    /// Returns the form of the values.
    pub fn form(self) -> Form<'d> {
        let schema = self.chosen();
        let properties = schema.properties(0);
        if !properties.is_empty() {
            return Form::Object(properties);
        }
        match schema.type_name() {
            "array" => Form::List(schema.below("items")),
            "integer" => Form::Scalar(Scalar::Integer),
            "number" => Form::Scalar(Scalar::Number),
            "string" => Form::Scalar(Scalar::Text),
            "boolean" => Form::Scalar(Scalar::Boolean),
            "" if schema.value.get("items").is_some() => Form::List(schema.below("items")),
            "" if !schema.enum_values().is_empty() => Form::Scalar(Scalar::Text),
            _ => Form::Unknown,
        }
    }

    /// Returns the words for the form, for messages.
    pub fn written(self) -> &'static str {
        match self.form() {
            Form::Object(_) => "an object",
            Form::List(_) => "a list",
            Form::Scalar(Scalar::Integer) => "an integer",
            Form::Scalar(Scalar::Number) => "a number",
            Form::Scalar(Scalar::Text) => "a string",
            Form::Scalar(Scalar::Boolean) => "a boolean",
            Form::Unknown => "not described",
        }
    }

    /// Returns the strings that the values are limited to; none if they are not.
    pub fn enum_values(self) -> Vec<&'d str> {
        list(self.chosen().value, "enum").filter_map(Value::as_str).collect()
    }

    /// Returns a limit of the values, such as `minimum`.
    pub fn limit(self, name: &str) -> Option<&'d Number> {
        self.chosen().value.get(name).and_then(Value::as_number)
    }

    /// Returns the default.
    pub fn default_value(self) -> Option<&'d Value> {
        self.chosen().value.get("default")
    }

    /// Returns true for a timestamp.
    pub fn is_time(self) -> bool {
        text(self.chosen().value, "format") == "date-time"
    }

    /// Returns true for a URL.
    pub fn is_link(self) -> bool {
        matches!(text(self.chosen().value, "format"), "uri" | "url" | "uri-reference")
    }

    /// Returns the schema that is meant, with the name of its component: the first alternative that is
    /// not null, or the only part.
    pub fn chosen(self) -> Self {
        let mut schema = self;
        for _ in 0..MAX_REFERENCES {
            if schema.value.get("properties").is_some() {
                break;
            }
            let parts = ["allOf", "anyOf", "oneOf"].map(|name| list(schema.value, name));
            let [all, any, one] = parts.map(|parts| parts.map(|part| schema.part(part)).collect::<Vec<_>>());
            let mut alternatives = any.into_iter().chain(one).filter(|part| part.type_name() != "null");
            let next = match all.as_slice() {
                [only] => Some(*only),
                _ => alternatives.next(),
            };
            match next {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn properties(self, depth: usize) -> Vec<Property<'d>> {
        let required: Vec<&str> = list(self.value, "required").filter_map(Value::as_str).collect();
        let own = self.value.get("properties").and_then(Value::as_object).into_iter().flatten();
        let mut properties: Vec<Property<'d>> = own
            .map(|(name, value)| Property {
                name: name.as_str(),
                schema: self.part(value),
                is_required: required.contains(&name.as_str()),
            })
            .collect();
        if depth < MAX_PARTS {
            for part in list(self.value, "allOf") {
                for property in self.part(part).properties(depth + 1) {
                    if properties.iter().all(|held| held.name != property.name) {
                        properties.push(property);
                    }
                }
            }
        }
        properties
    }

    /// Returns the type, without null beside it.
    fn type_name(self) -> &'d str {
        match self.value.get("type") {
            Some(Value::Array(types)) => {
                types.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null")
            }
            Some(Value::String(name)) => name.as_str(),
            _ => "",
        }
    }

    fn below(self, name: &str) -> Self {
        self.part(self.value.get(name).unwrap_or(&NOTHING))
    }

    fn part(self, value: &'d Value) -> Self {
        Self::new(self.root, value)
    }

    /// Follows references within the document. One that leads nowhere is not described.
    fn resolved(self) -> Self {
        let mut schema = self;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = schema.value.get("$ref").and_then(Value::as_str) else { return schema };
            let target = reference.strip_prefix('#').and_then(|pointer| schema.root.pointer(pointer));
            let name = reference.rsplit('/').next().unwrap_or_default();
            schema = Self { value: target.unwrap_or(&NOTHING), name, ..schema };
        }
        Self { value: &NOTHING, ..schema }
    }
}

/// Returns a string field, empty if it is missing or no string.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Iterates over a list field; a missing one is empty.
pub(super) fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Node;

    #[test]
    fn schemas_are_resolved_and_joined() {
        let document = r##"
openapi: 3.0.3
paths: {}
components:
  schemas:
    Base: { type: object, required: [id], properties: { id: { type: integer } } }
    Whole:
      allOf:
        - { $ref: "#/components/schemas/Base" }
        - { properties: { name: { type: [string, "null"] }, kind: { enum: [a, b] } } }
    Maybe: { anyOf: [{ type: "null" }, { $ref: "#/components/schemas/Base" }] }
    Only: { allOf: [{ $ref: "#/components/schemas/Base" }], nullable: true }
    Circle: { $ref: "#/components/schemas/Circle" }
    Lost: { $ref: "#/components/schemas/Nothing" }
    List: { type: array, items: { $ref: "#/components/schemas/Base" } }
"##;
        let root = Node::from_yaml(document).unwrap().to_json();
        let schema = |name: &str| {
            let value = root.pointer(&format!("/components/schemas/{name}")).unwrap();
            Schema::new(&root, value)
        };
        let Form::Object(properties) = schema("Whole").form() else { panic!() };
        let found: Vec<_> = properties.iter().map(|p| (p.name, p.schema.written(), p.is_required)).collect();
        assert_eq!(
            found,
            [("id", "an integer", true), ("name", "a string", false), ("kind", "a string", false)]
        );
        for name in ["Maybe", "Only"] {
            assert_eq!((schema(name).written(), schema(name).chosen().name), ("an object", "Base"), "{name}");
        }
        for name in ["Circle", "Lost"] {
            assert_eq!(schema(name).written(), "not described", "{name}");
        }
        let Form::List(item) = schema("List").form() else { panic!() };
        assert_eq!(item.name, "Base");
    }
}
