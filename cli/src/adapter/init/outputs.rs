//! The response of a route: the part of the new response that the old one is built from, and its
//! mapping.

use super::{
    graphql::{Kind, NewSchema},
    mapping::{Mapped, Mapper, Mapping},
    old_schema::{Form, Schema},
    openapi::Content,
};
use apollo_compiler::ast::{FieldDefinition, Type};

/// Deduction for each object around the value, on either side.
const AROUND: f64 = 0.1;

/// The fit of a response without a body, to which every result fits.
const NO_BODY: f64 = 0.5;

/// A response.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// The path to the value, below `data`.
    pub root: Vec<String>,
    /// True if the value may be null.
    pub is_nullable: bool,
    /// The mapping of the value; `None` for a response without a body.
    pub mapping: Option<Mapping>,
    /// The fields of an operation without a mapping.
    pub selected: Vec<String>,
    /// The property of the old response that holds the value; `None` for the response itself.
    pub carrier: Option<Carrier>,
    /// The decisions about the value.
    pub notes: Vec<String>,
    /// The share of the old response that has a counterpart, from 0 to 1.
    pub fit: f64,
}

/// A property around the value, as `data` often is.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// Its name.
    pub name: String,
    /// The properties beside it.
    pub siblings: Vec<Sibling>,
}

/// A property beside the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    /// Its name.
    pub name: String,
    /// The words for its form.
    pub written: &'static str,
    /// True for a timestamp.
    pub is_time: bool,
}

/// A part of the new response.
struct NewValue<'s> {
    path: Vec<String>,
    ty: &'s Type,
    is_nullable: bool,
}

/// Returns the response that a query or mutation gives.
///
/// # Errors
///
/// Returns the reason for which the old response cannot be built, as the end of a sentence.
pub fn outputs(
    schema: NewSchema<'_>,
    field: &FieldDefinition,
    content: Content<'_>,
) -> Result<Outputs, String> {
    match content {
        Content::Other => Err("the old response is not JSON".to_owned()),
        Content::Nothing => Ok(without_body(schema, field)),
        Content::Json(old) => match best(schema, field, old) {
            Some(outputs) => Ok(outputs),
            None => unmapped(schema, field, old),
        },
    }
}

fn without_body(schema: NewSchema<'_>, field: &FieldDefinition) -> Outputs {
    // An object needs a selection, however little of it is used.
    let selected = leaves(schema, &field.ty).into_iter().take(1).collect();
    Outputs {
        root: vec![field.name.to_string()],
        is_nullable: false,
        mapping: None,
        selected,
        carrier: None,
        notes: Vec::new(),
        fit: NO_BODY,
    }
}

/// Returns the best of all ways to find the old response, or a property of it, in the new one, or in a
/// field of it.
fn best(schema: NewSchema<'_>, field: &FieldDefinition, old: Schema<'_>) -> Option<Outputs> {
    let mut mapper = Mapper::new(schema);
    let mut best: Option<Outputs> = None;
    for (carrier, inner) in carriers(old) {
        for new in new_values(schema, field) {
            let around = usize::from(carrier.is_some()) + new.path.len() - 1;
            let fit = mapper.fit(inner, new.ty) - AROUND * around as f64;
            if fit <= best.as_ref().map_or(0.0, |best| best.fit) {
                continue;
            }
            if let Ok(Mapped { mapping, notes }) = mapper.value(inner, new.ty) {
                best = Some(Outputs {
                    root: new.path,
                    is_nullable: new.is_nullable,
                    mapping: Some(mapping),
                    selected: Vec::new(),
                    carrier: carrier.clone(),
                    notes,
                    fit,
                });
            }
        }
    }
    best
}

/// Returns the response for an old one that could not be found: the new value as it is.
fn unmapped(schema: NewSchema<'_>, field: &FieldDefinition, old: Schema<'_>) -> Result<Outputs, String> {
    let selected = leaves(schema, &field.ty);
    let kind = schema.kind(field.ty.inner_named_type().as_str());
    if selected.is_empty() && !kind.is_leaf() {
        return Err(format!("no field of the old response has a counterpart in {}", field.ty));
    }
    let note = match old.form() {
        Form::Unknown => {
            "the old document does not describe the response: the new value is passed on as it is"
        }
        _ => "no field of the old response has a counterpart: the new value is passed on as it is",
    };
    let mapping = if kind.is_leaf() { Mapping::Leaf(Vec::new()) } else { Mapping::Whole(selected) };
    Ok(Outputs {
        root: vec![field.name.to_string()],
        is_nullable: !field.ty.is_non_null(),
        mapping: Some(mapping),
        selected: Vec::new(),
        carrier: None,
        notes: vec![note.to_owned()],
        fit: 0.0,
    })
}

/// Returns the old response itself, and each of its properties that is an object or a list.
fn carriers(old: Schema<'_>) -> Vec<(Option<Carrier>, Schema<'_>)> {
    let mut carriers = vec![(None, old)];
    let Form::Object(properties) = old.form() else { return carriers };
    for property in &properties {
        if matches!(property.schema.form(), Form::Object(_) | Form::List(_)) {
            let others = properties.iter().filter(|other| other.name != property.name);
            let siblings = others.map(|other| Sibling {
                name: other.name.to_owned(),
                written: other.schema.written(),
                is_time: other.schema.is_time(),
            });
            let carrier = Carrier { name: property.name.to_owned(), siblings: siblings.collect() };
            carriers.push((Some(carrier), property.schema));
        }
    }
    carriers
}

/// Returns the result of a field, and the objects and lists of objects inside it.
fn new_values<'s>(schema: NewSchema<'s>, field: &'s FieldDefinition) -> Vec<NewValue<'s>> {
    let path = vec![field.name.to_string()];
    let is_nullable = !field.ty.is_non_null();
    let mut values = vec![NewValue { path: path.clone(), ty: &field.ty, is_nullable }];
    if field.ty.is_list() {
        return values;
    }
    for inner in schema.fields(field.ty.inner_named_type().as_str()) {
        if matches!(schema.kind(inner.ty.inner_named_type().as_str()), Kind::Object) {
            values.push(NewValue {
                path: [path.as_slice(), [inner.name.to_string()].as_slice()].concat(),
                ty: &inner.ty,
                is_nullable: is_nullable || !inner.ty.is_non_null(),
            });
        }
    }
    values
}

/// Returns the fields of a type that are scalars.
fn leaves(schema: NewSchema<'_>, ty: &Type) -> Vec<String> {
    let fields = schema.fields(ty.inner_named_type().as_str());
    let is_leaf = |field: &&FieldDefinition| schema.kind(field.ty.inner_named_type().as_str()).is_leaf();
    fields.into_iter().filter(is_leaf).map(|field| field.name.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::init::openapi::Document;
    use apollo_compiler::Schema as Parsed;
    use serde_json::{Value, json};

    const NEW: &str = "\
type Query { user(id: ID!): User users: UserPage! count: Int! union: Either }
type Mutation { createUser: Payload! }
type User { id: ID! name: String }
type UserPage { total: Int! nodes: [User!]! }
type Payload { user: User }
union Either = User | UserPage
";

    /// Builds the response of a field for an old response with this schema.
    fn found(field: &str, response: &Value) -> Result<Outputs, String> {
        let document = json!({ "openapi": "3.0.0", "paths": { "/a": { "get": { "responses": { "200": { "content": {
            "application/json": { "schema": response } } } } } } } });
        let routes = Document::new(&document).unwrap().routes();
        let parsed = Parsed::parse_and_validate(NEW, "schema.graphql").unwrap();
        let schema = NewSchema::new(&parsed);
        let all = [schema.operations(true), schema.operations(false)].concat();
        let field = all.into_iter().find(|held| held.name == *field).unwrap();
        outputs(schema, field, routes[0].response)
    }

    #[test]
    fn the_value_is_found_inside_both_responses() {
        let user = || json!({ "properties": { "id": { "type": "integer" }, "name": { "type": "string" } } });
        let list = || json!({ "type": "array", "items": user() });
        let data = |of: Value| json!({ "properties": { "ok": { "type": "boolean" }, "data": of } });
        let cases = [
            ("user", user(), "user", "", true),
            ("user", data(user()), "user", "data", true),
            ("users", list(), "users.nodes", "", false),
            ("users", data(list()), "users.nodes", "data", false),
            ("createUser", user(), "createUser.user", "", true),
            ("count", json!({ "type": "integer" }), "count", "", false),
        ];
        for (field, response, root, carrier, is_nullable) in cases {
            let outputs = found(field, &response).unwrap();
            assert_eq!(outputs.root.join("."), root);
            assert_eq!(outputs.carrier.map(|held| held.name).unwrap_or_default(), carrier, "{root}");
            assert_eq!((outputs.is_nullable, outputs.notes.len()), (is_nullable, 0), "{root}");
        }
    }

    #[test]
    fn a_response_without_counterparts_is_a_decision() {
        let other = json!({ "properties": { "phone": { "type": "string" } } });
        let outputs = found("user", &other).unwrap();
        assert_eq!(outputs.root, ["user"]);
        assert!(outputs.notes[0].contains("no field of the old response"), "{:?}", outputs.notes);
        let outputs = found("user", &json!({})).unwrap();
        assert!(outputs.notes[0].contains("does not describe"), "{:?}", outputs.notes);
        assert!(found("union", &other).unwrap_err().contains("has a counterpart in Either"));
    }
}
