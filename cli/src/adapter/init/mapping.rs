//! Mappings from the types of the new interface to the schemas of the old one.

use super::{
    graphql::{Kind, NewSchema},
    old_schema::{Form, Property, Scalar, Schema},
    words::{key, similarity},
    yaml::{Line, Yaml},
};
use apollo_compiler::ast::{FieldDefinition, Type};

/// Most objects inside each other that are mapped.
const MAX_OBJECTS: usize = 5;

/// The remedy for a URL that is left out.
const LINK: &str = ". url: \"https://host/path/{id}\" builds a link, and page_url: that of a page";

/// A mapping of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Mapping {
    /// The value itself, with these settings.
    Leaf(Vec<Line>),
    /// An object as it is, with these fields.
    Whole(Vec<String>),
    /// An object, field by field.
    Object(ObjectMapping),
    /// A list, item by item.
    Each(Box<Mapping>),
}

/// A mapping of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectMapping {
    /// The name of the old schema; empty if it has none.
    pub schema: String,
    /// The name of the new type.
    pub type_name: String,
    /// The fields and decisions, in the order of the old schema.
    pub parts: Vec<Part>,
}

/// A part of the mapping of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A field.
    Field(FieldMapping),
    /// A decision about a field that is left out.
    Decision(String),
}

/// A mapping of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldMapping {
    /// The name in the old interface.
    pub name: String,
    /// The path in the new type.
    pub from: Vec<String>,
    /// The mapping of its value.
    pub value: Mapping,
    /// The decisions about it.
    pub notes: Vec<String>,
}

/// A mapping with the decisions about it.
#[derive(Debug)]
pub struct Mapped {
    /// The mapping.
    pub mapping: Mapping,
    /// The decisions.
    pub notes: Vec<String>,
}

/// The field of a type that stands for a property.
struct Counterpart<'s> {
    path: Vec<String>,
    ty: &'s Type,
    is_similar: bool,
}

/// Maps values.
#[derive(Debug)]
pub struct Mapper<'s> {
    schema: NewSchema<'s>,
    /// The names of the old schemas that are being mapped, outermost first.
    open: Vec<String>,
}

impl<'s> Mapper<'s> {
    /// Creates a mapper for a schema.
    pub fn new(schema: NewSchema<'s>) -> Self {
        Self { schema, open: Vec::new() }
    }

    /// Maps a value of a type to a schema.
    ///
    /// # Errors
    ///
    /// Returns the reason for which it cannot be mapped, as the end of a sentence.
    pub fn value(&mut self, old: Schema<'_>, new: &Type) -> Result<Mapped, String> {
        let kind = self.schema.kind(new.inner_named_type().as_str());
        let differ = || Err(format!("it is {} in the old interface and {new} in the new one", old.written()));
        match old.form() {
            Form::List(item) if new.is_list() => {
                let Mapped { mapping, notes } = self.value(item, new.item_type())?;
                let mapping = match mapping {
                    // Without a change to its items, a list is passed on as a whole.
                    Mapping::Leaf(settings) if settings.is_empty() => Mapping::Leaf(settings),
                    mapping => Mapping::Each(Box::new(mapping)),
                };
                Ok(Mapped { mapping, notes })
            }
            Form::Unknown if kind.is_leaf() => {
                Ok(Mapped { mapping: Mapping::Leaf(Vec::new()), notes: Vec::new() })
            }
            Form::Unknown => Err("the old document does not describe it".to_owned()),
            _ if new.is_list() => differ(),
            Form::List(_) if matches!(kind, Kind::Custom) => Ok(passed_on(new)),
            Form::Object(_) if matches!(kind, Kind::Custom) => Ok(passed_on(new)),
            Form::Object(properties) if matches!(kind, Kind::Object) => {
                let name = old.chosen().name;
                self.object(name, &properties, new.inner_named_type().as_str())
            }
            // A number or an id is a part of a URL, and not the URL.
            Form::Scalar(_) if old.is_link() && matches!(kind, Kind::Int | Kind::Float | Kind::Id) => {
                Err(format!("it is a URL in the old interface and {new} in the new one"))
            }
            Form::Scalar(scalar) if kind.is_leaf() => Ok(leaf(old, scalar, new, &kind)),
            Form::List(_) | Form::Object(_) | Form::Scalar(_) => differ(),
        }
    }

    /// Returns the share of an old value's properties that have a counterpart, from 0 to 1.
    pub fn fit(&self, old: Schema<'_>, new: &Type) -> f64 {
        let kind = self.schema.kind(new.inner_named_type().as_str());
        match old.form() {
            Form::List(item) if new.is_list() => self.fit(item, new.item_type()),
            Form::Object(properties) if !new.is_list() && matches!(kind, Kind::Object) => {
                let type_name = new.inner_named_type().as_str();
                let found = properties.iter().filter(|held| self.counterpart(held.name, type_name).is_some());
                found.count() as f64 / properties.len().max(1) as f64
            }
            Form::Scalar(_) if !new.is_list() && kind.is_leaf() => 0.6,
            _ => 0.0,
        }
    }

    fn object(
        &mut self,
        schema: &str,
        properties: &[Property<'_>],
        type_name: &str,
    ) -> Result<Mapped, String> {
        if !schema.is_empty() && self.open.iter().any(|open| open == schema) {
            return Err(format!("{schema} contains itself here"));
        }
        if self.open.len() >= MAX_OBJECTS {
            return Err(format!("more than {MAX_OBJECTS} objects are inside each other here"));
        }
        self.open.push(schema.to_owned());
        let parts: Vec<Part> = properties.iter().map(|property| self.part(property, type_name)).collect();
        self.open.pop();
        if !parts.iter().any(|part| matches!(part, Part::Field(_))) {
            return Err(format!("no field of it has a counterpart in {type_name}"));
        }
        let object = ObjectMapping { schema: schema.to_owned(), type_name: type_name.to_owned(), parts };
        Ok(Mapped { mapping: Mapping::Object(object), notes: Vec::new() })
    }

    fn part(&mut self, property: &Property<'_>, type_name: &str) -> Part {
        let Property { name, schema, .. } = *property;
        let Some(Counterpart { path, ty, is_similar }) = self.counterpart(name, type_name) else {
            let (old, remedy) = (schema.written(), remedy(schema));
            return Part::Decision(format!(
                "{name} ({old}) has no counterpart in {type_name}; it is left out{remedy}"
            ));
        };
        let from = path.join(".");
        match self.value(schema, ty) {
            Err(reason) => {
                let remedy = remedy(schema);
                Part::Decision(format!("{name} could come from {from}, but {reason}; it is left out{remedy}"))
            }
            Ok(Mapped { mapping, mut notes }) => {
                if is_similar {
                    notes.insert(0, format!("{name} was taken from {from}, by a similar name"));
                }
                Part::Field(FieldMapping { name: name.to_owned(), from: path, value: mapping, notes })
            }
        }
    }

    /// Finds the field of a type that stands for a property: by its name, with or without that of the
    /// type; inside another field; or by a similar name.
    fn counterpart(&self, name: &str, type_name: &str) -> Option<Counterpart<'s>> {
        let (old, prefix) = (key(name), key(type_name));
        let fields = self.schema.fields(type_name);
        let plain = |name: &str| name.trim_start_matches("is_").trim_start_matches("has_").to_owned();
        let is_same = |field: &&FieldDefinition| {
            let new = key(field.name.as_str());
            new == old
                || format!("{prefix}_{new}") == old
                || format!("{prefix}_{old}") == new
                || plain(&new) == plain(&old)
        };
        let exact = fields.iter().find(|field| key(field.name.as_str()) == old);
        if let Some(field) = exact.or_else(|| fields.iter().find(|field| is_same(field))) {
            return Some(Counterpart {
                path: vec![field.name.to_string()],
                ty: &field.ty,
                is_similar: false,
            });
        }
        self.nested(&old, &fields).or_else(|| {
            let alike =
                fields.iter().filter_map(|field| Some((similarity(name, field.name.as_str())?, field)));
            let (_, field) = alike.max_by(|a, b| a.0.total_cmp(&b.0))?;
            Some(Counterpart { path: vec![field.name.to_string()], ty: &field.ty, is_similar: true })
        })
    }

    /// Finds `author_id` as the field `id` of `author`.
    fn nested(&self, old: &str, fields: &[&'s FieldDefinition]) -> Option<Counterpart<'s>> {
        let objects = fields.iter().filter(|field| {
            let kind = self.schema.kind(field.ty.inner_named_type().as_str());
            !field.ty.is_list() && matches!(kind, Kind::Object)
        });
        objects.copied().find_map(|object| {
            let below = self.schema.fields(object.ty.inner_named_type().as_str());
            let prefix = key(object.name.as_str());
            let is_meant = |field: &&FieldDefinition| {
                self.schema.kind(field.ty.inner_named_type().as_str()).is_leaf()
                    && format!("{prefix}_{}", key(field.name.as_str())) == old
            };
            let field = below.iter().find(|field| is_meant(field))?;
            let path = vec![object.name.to_string(), field.name.to_string()];
            Some(Counterpart { path, ty: &field.ty, is_similar: false })
        })
    }
}

/// Returns the remedy for a value that is left out: for a URL, and for a list of URLs.
fn remedy(old: Schema<'_>) -> &'static str {
    let is_link = match old.form() {
        Form::List(item) => item.is_link(),
        _ => old.is_link(),
    };
    if is_link { LINK } else { "" }
}

/// Maps an object or list to a scalar that holds any JSON.
fn passed_on(new: &Type) -> Mapped {
    let note = format!("{new} is passed on as the backend writes it");
    Mapped { mapping: Mapping::Leaf(Vec::new()), notes: vec![note] }
}

/// Maps a scalar, with the conversion between the two types.
fn leaf(old: Schema<'_>, scalar: Scalar, new: &Type, kind: &Kind<'_>) -> Mapped {
    let mut notes = Vec::new();
    let convert = |to: &str| vec![Line::text("as", to)];
    let is_number = matches!(scalar, Scalar::Integer | Scalar::Number);
    let settings = match kind {
        Kind::Id | Kind::Text if is_number => convert("number"),
        Kind::Int | Kind::Float if scalar == Scalar::Text => convert("string"),
        Kind::Enum(names) => table(old, new, names, &mut notes),
        Kind::Custom if is_number => {
            notes.push(format!("{new} is a scalar of the backend; add as: number if it is sent as a string"));
            Vec::new()
        }
        _ => Vec::new(),
    };
    if (scalar == Scalar::Boolean) != matches!(kind, Kind::Boolean) && !matches!(kind, Kind::Custom) {
        notes.push(format!("it is {} in the old interface and {new} in the new one", old.written()));
    }
    Mapped { mapping: Mapping::Leaf(settings), notes }
}

/// Returns the table from the names of an enum to the old values, if they are written in another way.
fn table(old: Schema<'_>, new: &Type, names: &[&str], notes: &mut Vec<String>) -> Vec<Line> {
    let values = old.enum_values();
    if values.is_empty() {
        let names = names.join(", ");
        notes
            .push(format!("{new} is one of {names}; add map: if the old values were written in another way"));
        return Vec::new();
    }
    let found = |name: &&str| values.iter().find(|value| key(value) == key(name)).copied();
    let lost: Vec<&str> = names.iter().filter(|name| found(name).is_none()).copied().collect();
    if !lost.is_empty() {
        let (lost, values) = (lost.join(", "), values.join(", "));
        notes.push(format!("{new} may be {lost}, which is none of the old values {values}; add map:"));
        return Vec::new();
    }
    if names.iter().all(|name| values.contains(name)) {
        return Vec::new();
    }
    let pairs = names.iter().filter_map(|name| Some(Line::text(name, found(name)?)));
    vec![Line::field("map", Yaml::Block(pairs.collect()))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::init::openapi::{Content, Document};
    use apollo_compiler::Schema as Parsed;
    use serde_json::{Value, json};

    const NEW: &str = "\
type Query { item: Item }
type Item { id: ID! name: String size: Int price: Float isOpen: Boolean state: State! author: User! parts: [Part!]!
  related: [Item!]! createdAt: DateTime views: BigInt tags: [String!]! itemCode: String meta: JSON }
type User { id: ID! name: String items: [Item!]! }
type Part { partId: ID! }
enum State { ON_SALE SOLD }
scalar DateTime
scalar BigInt
scalar JSON
";

    /// Maps the type `Item` to a schema with these properties. Returns the lines of its parts.
    fn parts(properties: &Value) -> Vec<String> {
        let document = json!({ "openapi": "3.0.0", "paths": { "/item": { "get": { "responses": { "200": { "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Item" } } } } } } } },
            "components": { "schemas": { "Item": { "properties": properties } } } });
        let routes = Document::new(&document).unwrap().routes();
        let Content::Json(old) = routes[0].response else { panic!() };
        let parsed = Parsed::parse_and_validate(NEW, "schema.graphql").unwrap();
        let schema = NewSchema::new(&parsed);
        let item = &schema.operations(true)[0].ty;
        let mapped = Mapper::new(schema).value(old, item).unwrap();
        let Mapping::Object(object) = mapped.mapping else { panic!() };
        assert_eq!((object.schema.as_str(), object.type_name.as_str()), ("Item", "Item"));
        let line = |part: &Part| match part {
            Part::Decision(text) => format!("! {text}"),
            Part::Field(FieldMapping { name, from, value, notes }) => {
                let value = match value {
                    Mapping::Leaf(settings) => super::super::yaml::document(settings).replace('\n', " "),
                    Mapping::Object(object) => format!("object of {} ", object.parts.len()),
                    Mapping::Each(_) => "each ".to_owned(),
                    Mapping::Whole(_) => "whole ".to_owned(),
                };
                format!("{name} < {} {value}{}", from.join("."), notes.join("; ")).trim().to_owned()
            }
        };
        object.parts.iter().map(line).collect()
    }

    #[test]
    fn fields_are_found_by_their_names_and_converted() {
        let text = || json!({ "type": "string" });
        let number = || json!({ "type": "integer" });
        let found = parts(&json!({
            "item_id": number(),
            "Name": text(),
            "size": text(),
            "open": { "type": "boolean" },
            "author_id": number(),
            "author": { "properties": { "name": text() } },
            "parts": { "type": "array", "items": { "properties": { "id": text() } } },
            "tags": { "type": "array", "items": text() },
            "code": text(),
        }));
        let expected = [
            "item_id < id as: number",
            "Name < name",
            "size < size as: string",
            "open < isOpen",
            "author_id < author.id as: number",
            "author < author object of 1",
            "parts < parts each",
            "tags < tags",
            "code < itemCode",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn decisions_are_left_where_the_interfaces_differ() {
        let found = parts(&json!({
            "id": { "type": "string" },
            "badge": { "type": "string" },
            "created": { "type": "string" },
            "views": { "type": "integer" },
            "name": { "type": "array", "items": { "type": "string" } },
            "meta": { "properties": { "a": { "type": "string" } } },
            "related": { "type": "array", "items": { "$ref": "#/components/schemas/Item" } },
            "author": { "properties": { "phone": { "type": "string" } } },
            "url": { "type": "string", "format": "uri" },
            "parts": { "type": "array", "items": { "type": "string", "format": "uri" } },
            "size": { "type": "string", "format": "uri" },
        }));
        let expected = [
            "id < id",
            "! badge (a string) has no counterpart in Item; it is left out",
            "created < createdAt created was taken from createdAt, by a similar name",
            "views < views BigInt is a scalar of the backend; add as: number if it is sent as a string",
            "! name could come from name, but it is a list in the old interface and String in the new one; it is left out",
            "meta < meta JSON is passed on as the backend writes it",
            "! related could come from related, but Item contains itself here; it is left out",
            "! author could come from author, but no field of it has a counterpart in User; it is left out",
            "! url (a string) has no counterpart in Item; it is left out. url: \"https://host/path/{id}\" builds a \
             link, and page_url: that of a page",
            "! parts could come from parts, but it is a string in the old interface and Part! in the new one; it is \
             left out. url: \"https://host/path/{id}\" builds a link, and page_url: that of a page",
            "! size could come from size, but it is a URL in the old interface and Int in the new one; it is left \
             out. url: \"https://host/path/{id}\" builds a link, and page_url: that of a page",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_of_enums_are_mapped_to_the_old_values() {
        let state = |values: Value| parts(&json!({ "state": values }));
        let written = state(json!({ "type": "string", "enum": ["on-sale", "sold"] }));
        assert_eq!(written, ["state < state map: { ON_SALE: on-sale, SOLD: sold }"]);
        assert_eq!(state(json!({ "type": "string", "enum": ["ON_SALE", "SOLD"] })), ["state < state"]);
        let lost = state(json!({ "type": "string", "enum": ["sold"] }));
        assert!(lost[0].contains("State! may be ON_SALE, which is none of the old values sold"), "{lost:?}");
        let free = state(json!({ "type": "string" }));
        assert!(free[0].contains("State! is one of ON_SALE, SOLD"), "{free:?}");
    }
}
