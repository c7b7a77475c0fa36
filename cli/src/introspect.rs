//! A schema from the backend itself: its answer to the introspection query, written as the schema definition language.

use crate::failure::Failure;
use reqwest::blocking;
use serde_json::{Value, json};
use std::time::Duration;

/// Deeper than types are wrapped in lists.
const TYPE: &str =
    "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

fn query() -> String {
    format!(
        "query Introspection {{ __schema {{ queryType {{ name }} mutationType {{ name }} types {{ kind name \
         fields(includeDeprecated: true) {{ name args {{ name defaultValue type {{ {TYPE} }} }} type {{ {TYPE} }} }} \
         inputFields {{ name defaultValue type {{ {TYPE} }} }} interfaces {{ name }} \
         enumValues(includeDeprecated: true) {{ name }} possibleTypes {{ name }} }} }} }}"
    )
}

/// Asks a GraphQL endpoint for its schema. Headers are `Name: value`.
pub fn schema(url: &str, headers: &[String]) -> Result<String, Failure> {
    let unreachable = |why: String| {
        Failure::Unreachable(format!(
            "{url} gave no schema: {why}\n  hint: check the URL, whether introspection is allowed there, and --header"
        ))
    };
    let client = blocking::Client::builder().timeout(Duration::from_secs(30)).build();
    let client = client.map_err(|error| unreachable(error.to_string()))?;
    let mut request = client.post(url).header("content-type", "application/json");
    for header in headers {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            Failure::Usage(format!("{header:?} is no header\n  hint: write --header \"Name: value\""))
        })?;
        request = request.header(name.trim(), value.trim());
    }
    let body = json!({ "query": query(), "operationName": "Introspection" }).to_string();
    let answer = request.body(body).send().map_err(|error| unreachable(error.to_string()))?;
    let status = answer.status();
    let text = answer.text().map_err(|error| unreachable(error.to_string()))?;
    let answer: Value =
        serde_json::from_str(&text).map_err(|_| unreachable(format!("{status}, not JSON")))?;
    match answer.pointer("/data/__schema") {
        Some(schema) if schema.is_object() => Ok(written(schema)),
        _ => Err(unreachable(format!("{status}, {}", answer.get("errors").unwrap_or(&Value::Null)))),
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn names(value: &Value, name: &str, separator: &str) -> String {
    list(value, name).map(|held| text(held, "name")).collect::<Vec<_>>().join(separator)
}

fn type_of(value: Option<&Value>) -> String {
    let Some(value) = value else { return "String".to_owned() };
    match text(value, "kind") {
        "NON_NULL" => format!("{}!", type_of(value.get("ofType"))),
        "LIST" => format!("[{}]", type_of(value.get("ofType"))),
        _ => text(value, "name").to_owned(),
    }
}

fn input(value: &Value) -> String {
    let default = value.get("defaultValue").and_then(Value::as_str);
    let default = default.map(|default| format!(" = {default}")).unwrap_or_default();
    format!("{}: {}{default}", text(value, "name"), type_of(value.get("type")))
}

fn field(value: &Value) -> String {
    let arguments: Vec<String> = list(value, "args").map(input).collect();
    let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
    format!("{}{arguments}: {}", text(value, "name"), type_of(value.get("type")))
}

fn block(keyword: &str, name: &str, more: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    format!("{keyword} {name}{more} {{\n{lines}}}\n\n")
}

/// The schema definition language of an introspection.
fn written(schema: &Value) -> String {
    const BUILT_IN: [&str; 5] = ["Int", "Float", "String", "ID", "Boolean"];
    let root = |name: &str| schema.get(name).map(|root| text(root, "name")).filter(|name| !name.is_empty());
    let roots = [("query", root("queryType")), ("mutation", root("mutationType"))];
    let mut made = block(
        "schema",
        "",
        "",
        roots.into_iter().filter_map(|(kind, name)| Some(format!("{kind}: {}", name?))),
    )
    .replace("schema  {", "schema {");
    for held in list(schema, "types").filter(|held| !text(held, "name").starts_with("__")) {
        let name = text(held, "name");
        let implements = names(held, "interfaces", " & ");
        let implements =
            if implements.is_empty() { String::new() } else { format!(" implements {implements}") };
        made.push_str(&match text(held, "kind") {
            "OBJECT" => block("type", name, &implements, list(held, "fields").map(field)),
            "INTERFACE" => block("interface", name, &implements, list(held, "fields").map(field)),
            "INPUT_OBJECT" => block("input", name, "", list(held, "inputFields").map(input)),
            "ENUM" => block("enum", name, "", list(held, "enumValues").map(|v| text(v, "name").to_owned())),
            "UNION" => format!("union {name} = {}\n\n", names(held, "possibleTypes", " | ")),
            "SCALAR" if !BUILT_IN.contains(&name) => format!("scalar {name}\n\n"),
            _ => String::new(),
        });
    }
    made.trim_end().to_owned() + "\n"
}
