//! `cutover adapter schema`: queries a GraphQL backend by introspection, and converts the result to
//! the schema definition language.

use crate::{
    failure::Failure,
    http,
    output::{list, text},
};
use clap::Args;
use reqwest::blocking;
use serde_json::{Value, json};
use std::time::Duration;

/// Arguments of `cutover adapter schema`.
#[derive(Debug, Args)]
pub struct SchemaOptions {
    /// URL of the GraphQL endpoint.
    url: String,
    /// Header to send, such as "Authorization: Bearer TOKEN".
    #[arg(long)]
    header: Vec<String>,
}

/// Prints the schema of a backend.
///
/// # Errors
///
/// Fails like [`introspect`].
pub(super) fn run(options: &SchemaOptions) -> Result<(), Failure> {
    print!("{}", introspect(&options.url, &options.header)?);
    Ok(())
}

/// Selection of a type reference, five levels deep: enough for lists of lists with `NON_NULL`.
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

/// Queries a GraphQL endpoint for its schema. Each header is `Name: value`.
///
/// # Errors
///
/// Fails if a header is malformed, if the endpoint cannot be reached, or if it does not allow
/// introspection.
pub fn introspect(url: &str, headers: &[String]) -> Result<String, Failure> {
    let unreachable = |cause: String| {
        Failure::Unreachable(format!(
            "cannot read the schema of {url}: {cause}\n  hint: check the URL and --header, and allow introspection"
        ))
    };
    let client = blocking::Client::builder().timeout(Duration::from_secs(30)).build();
    let client = client.map_err(|error| unreachable(error.to_string()))?;
    let mut request = client.post(url).header("content-type", "application/json");
    for header in headers {
        let (name, value) = http::header(header)?;
        request = request.header(name, value);
    }
    let body = json!({ "query": query(), "operationName": "Introspection" }).to_string();
    let response = request.body(body).send().map_err(|error| unreachable(error.to_string()))?;
    let status = response.status();
    let content = response.text().map_err(|error| unreachable(error.to_string()))?;
    let response: Value =
        serde_json::from_str(&content).map_err(|_| unreachable(format!("{status}, not JSON")))?;
    match response.pointer("/data/__schema") {
        Some(schema) if schema.is_object() => Ok(definition(schema)),
        _ => Err(unreachable(format!("{status}, {}", response.get("errors").unwrap_or(&Value::Null)))),
    }
}

fn names(value: &Value, name: &str, separator: &str) -> String {
    list(value, name).map(|item| text(item, "name")).collect::<Vec<_>>().join(separator)
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

/// Converts the result of an introspection to the schema definition language.
fn definition(schema: &Value) -> String {
    const BUILT_IN: [&str; 5] = ["Int", "Float", "String", "ID", "Boolean"];
    let root = |name: &str| schema.get(name).map(|root| text(root, "name")).filter(|name| !name.is_empty());
    let roots = [("query", root("queryType")), ("mutation", root("mutationType"))];
    let mut sdl = block(
        "schema",
        "",
        "",
        roots.into_iter().filter_map(|(kind, name)| Some(format!("{kind}: {}", name?))),
    )
    .replace("schema  {", "schema {");
    for item in list(schema, "types").filter(|item| !text(item, "name").starts_with("__")) {
        let name = text(item, "name");
        let implements = names(item, "interfaces", " & ");
        let implements =
            if implements.is_empty() { String::new() } else { format!(" implements {implements}") };
        sdl.push_str(&match text(item, "kind") {
            "OBJECT" => block("type", name, &implements, list(item, "fields").map(field)),
            "INTERFACE" => block("interface", name, &implements, list(item, "fields").map(field)),
            "INPUT_OBJECT" => block("input", name, "", list(item, "inputFields").map(input)),
            "ENUM" => block("enum", name, "", list(item, "enumValues").map(|v| text(v, "name").to_owned())),
            "UNION" => format!("union {name} = {}\n\n", names(item, "possibleTypes", " | ")),
            "SCALAR" if !BUILT_IN.contains(&name) => format!("scalar {name}\n\n"),
            _ => String::new(),
        });
    }
    sdl.trim_end().to_owned() + "\n"
}
