//! Adapters in a file: what is right compiles, and every mistake is named with its place and what to do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod depth;
mod documents;
mod errors;
mod headers;
mod included;
mod mappings;
mod mistakes;
mod pages;
mod requests;
mod routes;
mod shapes;
mod stored;
mod variables;

use cutover_core::{
    adapter::{FaultStatus, ParameterForm, Program, Request, WhenNull},
    config::{Config, Problem},
    snapshot::{Snapshot, SnapshotError},
    vocabulary::revision::Revision,
};

const SCHEMA: &str = include_str!("../../../tests/reviews/schema.graphql");
const OPERATIONS: &str = include_str!("../../../tests/reviews/operations.graphql");
const ADAPTER: &str = include_str!("../../../tests/reviews/adapter.yaml");
const CONFIG: &str = "adapters: { reviews: reviews/adapter.yaml }";

fn read(config: &str, adapter: &str, operations: &str, schema: &str) -> Result<Config, Vec<Problem>> {
    Config::from_yaml_with(config, &|name| match name {
        "reviews/adapter.yaml" => Ok(adapter.to_owned()),
        "reviews/operations.graphql" => Ok(operations.to_owned()),
        "reviews/schema.graphql" => Ok(schema.to_owned()),
        _ => Err("there is no such file".to_owned()),
    })
}

const ADAPTER_FILE: &str = "reviews/adapter.yaml";
const OPERATIONS_FILE: &str = "reviews/operations.graphql";

/// Returns the problems of a file that must have some, with their remedies.
fn problems(text: &str) -> Vec<String> {
    let told = |problem: &Problem| format!("{problem} | {}", problem.hint);
    Config::from_yaml(text).err().unwrap_or_default().iter().map(told).collect()
}

/// Returns the compiled program of the only adapter of a file without mistakes.
fn program(text: &str) -> Program {
    let config = Config::from_yaml(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let stored = serde_json::to_value(&config).unwrap();
    assert!(serde_json::from_value::<Config>(stored.clone()).unwrap() == config);
    assert!(Config::from_stored(&stored).unwrap() == config);
    (**config.adapters.values().next().unwrap().program()).clone()
}

/// Writes an adapter for a GraphQL backend with one route, whose `match` and operation are given.
fn of_pages(route: &str) -> String {
    format!(
        "adapters:\n  a:\n    schema: \"type Query {{ page: Page must: Page! }} type Page {{ info: Info items: [Item!]! }} \
         type Info {{ count: Int pages: Int! }} type Item {{ id: ID! }}\"\n    \
         operations: \"query P {{ page {{ ...F }} must {{ ...F }} }} \
         fragment F on Page {{ info {{ count pages }} items {{ id }} }}\"\n    routes:\n      \
         - match: {{ method: GET, path: /r }}\n        operation: P\n{route}"
    )
}

const INCLUDED: &str = "shapes:
  user: { object: { id: { from: id, as: string }, home: { shape: place } } }
  place: { object: { name: name } }
  unused: { nothing: here }
";

const INCLUDING: &str = "include: [shared/common.yaml]
routes:
  - match: { method: GET, path: /u }
    backend: { method: GET, path: /u }
    response: { shape: user }
";

fn including(adapter: &str, included: &str) -> Result<Config, Vec<Problem>> {
    Config::from_yaml_with("adapters: { a: api/a.yaml }", &|name| match name {
        "api/a.yaml" => Ok(adapter.to_owned()),
        "api/shared/common.yaml" => Ok(included.to_owned()),
        "api/other.yaml" => Ok("shapes:\n  place: name\n".to_owned()),
        _ => Err("there is no such file".to_owned()),
    })
}

/// Asserts that these problems are told and no other ones. Each is the beginning of a line, and a part of it.
fn assert_told(told: &[String], expected: &[(&str, &str)]) {
    let fits = |told: &String, (at, part): &(&str, &str)| told.starts_with(at) && told.contains(part);
    let is_told = |expected: &(&str, &str)| told.iter().any(|told| fits(told, expected));
    assert!(told.len() == expected.len() && expected.iter().all(is_told), "{expected:?}: {told:#?}");
}

/// Returns the problems of a route for an operation with variables of several types. Its path has the parameter
/// `id`, and its fields begin in line 8.
fn of_variables(route: &str) -> Vec<String> {
    problems(&format!(
        "adapters:\n  a:\n    schema: \"input F {{ s: String i: Int }} type Query {{ list(skip: Int!, take: Int!, after: String, \
         f: F): [Int!]! }}\"\n    operations: \"query L($skip: Int!, $take: Int!, $after: String, $f: F) \
         {{ list(skip: $skip, take: $take, after: $after, f: $f) }}\"\n    routes:\n      \
         - match: {{ method: GET, path: '/l/{{id}}' }}\n        operation: L\n{route}"
    ))
}
