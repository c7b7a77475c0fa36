//! `cutover adapter schema`: queries a GraphQL backend by introspection, and converts the result to
//! the schema definition language.

use crate::{
    failure::Failure,
    http::{self, cause},
    output::{list, text},
};
use clap::Args;
use reqwest::{StatusCode, blocking};
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
    let pairs: Result<Vec<_>, Failure> = headers.iter().map(|text| http::header(text)).collect();
    definition_at(url, &pairs?).map_err(|cause| {
        let text = format!(
            "cannot read the schema of {url}: {cause}\n  hint: check the URL and --header, and allow introspection"
        );
        if http::is_url(url) { Failure::Unreachable(text) } else { Failure::Usage(text) }
    })
}

/// Queries a GraphQL endpoint for its schema, with headers as pairs of a name and a value.
///
/// # Errors
///
/// Fails with the cause, as the end of a message about the URL.
pub fn definition_at(url: &str, headers: &[(String, String)]) -> Result<String, String> {
    let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err("the URL does not begin with http:// or https://".to_owned());
    }
    let client = blocking::Client::builder().timeout(Duration::from_secs(30)).build();
    let mut request =
        client.map_err(|error| cause(&error))?.post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = json!({ "query": query(), "operationName": "Introspection" }).to_string();
    let response = request.body(body).send().map_err(|error| cause(&error))?;
    let status = response.status();
    let content = response.text().map_err(|error| cause(&error))?;
    definition_in(status, &content)
}

/// Reads the response of a GraphQL endpoint to an introspection.
fn definition_in(status: StatusCode, content: &str) -> Result<String, String> {
    let response: Value =
        serde_json::from_str(content).map_err(|_| format!("{status}, and the response is not JSON"))?;
    if let Some(schema) = response.pointer("/data/__schema").filter(|schema| schema.is_object()) {
        return Ok(definition(schema));
    }
    match response.pointer("/errors/0/message").and_then(Value::as_str) {
        Some(message) => Err(format!("{status}, {message}")),
        None => Err(format!("{status}, and the response has no schema")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_without_a_schema_is_told_with_its_cause() {
        for url in ["api.example:4000/graphql", "ftp://api.example/graphql", "graphql"] {
            let cause = definition_at(url, &[]).unwrap_err();
            assert_eq!(cause, "the URL does not begin with http:// or https://", "{url}");
            let failure = introspect(url, &[]).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{failure}");
            let failure = failure.to_string();
            assert!(failure.contains(&format!("{url}: {cause}\n  hint: check the URL")), "{failure}");
        }
        assert_eq!(definition_at("http://", &[]).unwrap_err(), "the URL or a header is malformed");
        let cases = [
            (404, "null", "404 Not Found, and the response has no schema"),
            (200, "<html>", "200 OK, and the response is not JSON"),
            (
                400,
                r#"{"errors":[{"message":"introspection is off"}]}"#,
                "400 Bad Request, introspection is off",
            ),
        ];
        for (status, content, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(definition_in(status, content).unwrap_err(), expected);
        }
    }
}
