//! Descriptions of endpoints as facts that can be compared.

use crate::sources::{read, root};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A description of endpoints, without its words.
#[derive(Deserialize)]
pub struct Facts {
    pub security: BTreeSet<String>,
    pub operations: BTreeMap<String, Operation>,
    pub objects: BTreeMap<String, Fields>,
}

pub type Fields = BTreeMap<String, Field>;

#[derive(Deserialize)]
pub struct Operation {
    pub parameters: Fields,
    /// Names of the objects that the body is one of.
    pub request: Vec<String>,
    pub responses: BTreeMap<String, Response>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Response {
    pub headers: BTreeMap<String, BTreeSet<String>>,
    /// Names of the objects that the body is one of.
    pub body: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Field {
    pub required: bool,
    pub types: BTreeSet<String>,
    #[serde(rename = "enum")]
    pub values: BTreeSet<String>,
    /// Names of the objects that the value is one of, or each item of a list.
    pub objects: Vec<String>,
}

/// Returns the facts of the published description.
pub fn published() -> Facts {
    serde_json::from_str(include_str!("published.json")).unwrap()
}

/// Returns our own description.
pub fn document() -> Value {
    serde_json::from_str(&read(&root().join("docs/ofrep.openapi.json"))).unwrap()
}

fn fields<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flatten()
}

fn strings(value: &Value) -> BTreeSet<String> {
    let one = value.as_str().map(str::to_owned);
    let many = value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned));
    one.into_iter().chain(many).collect()
}

/// Returns the names of the objects that a schema refers to.
fn named(schema: &Value) -> Vec<String> {
    let name = |schema: &Value| {
        let reference = schema["$ref"].as_str()?;
        Some(reference.strip_prefix("#/components/schemas/").unwrap_or(reference).to_owned())
    };
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    name(schema).into_iter().chain(alternatives.filter_map(name)).collect()
}

impl Field {
    fn of(schema: &Value, required: bool) -> Self {
        let objects = named(if schema["items"].is_null() { schema } else { &schema["items"] });
        let values = strings(&schema["enum"]);
        let mut types = strings(&schema["type"]);
        if types.is_empty() {
            let kind = if values.is_empty() { "object" } else { "string" };
            types.insert(kind.to_owned());
        }
        Self { required, types, values, objects }
    }
}

impl Facts {
    /// Reads a description.
    pub fn of(document: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let json = |value: &Value| named(&value["content"]["application/json"]["schema"]);
        let security = fields(&document["components"], "securitySchemes").map(|(_, scheme)| {
            let parts = ["type", "in", "scheme", "name"].map(|part| text(&scheme[part]));
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        });
        let mut operations = BTreeMap::new();
        for (path, methods) in fields(document, "paths") {
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten().map(|parameter| {
                    let required = parameter["required"] == true;
                    let name = format!("{} {}", text(&parameter["in"]), text(&parameter["name"]));
                    (name, Field::of(&parameter["schema"], required))
                });
                let responses = fields(operation, "responses").map(|(status, response)| {
                    let headers = fields(response, "headers");
                    let headers =
                        headers.map(|(name, header)| (name.clone(), strings(&header["schema"]["type"])));
                    (status.clone(), Response { headers: headers.collect(), body: json(response) })
                });
                let described = Operation {
                    parameters: parameters.collect(),
                    request: json(&operation["requestBody"]),
                    responses: responses.collect(),
                };
                operations.insert(format!("{} {path}", method.to_uppercase()), described);
            }
        }
        let objects = fields(&document["components"], "schemas").map(|(name, schema)| {
            let required = strings(&schema["required"]);
            let fields = fields(schema, "properties");
            let fields =
                fields.map(|(name, field)| (name.clone(), Field::of(field, required.contains(name))));
            (name.clone(), fields.collect::<Fields>())
        });
        Self { security: security.collect(), operations, objects: objects.collect() }
    }
}
