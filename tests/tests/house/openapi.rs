//! The description of the API stands beside each handler, and docs/openapi.json is what these fragments make.

use crate::sources::read;
use cutover_tests::openapi::{
    described, document_file, examples, groups, joined, operation_ids, routes, written,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn every_route_is_described_beside_its_handler_and_nothing_else_is() {
    let routed: BTreeSet<(String, String)> =
        routes().into_iter().map(|route| (route.module.clone(), route.operation())).collect();
    assert_eq!(described().into_keys().collect::<BTreeSet<_>>(), routed);
}

#[test]
fn every_operation_has_an_example_and_every_group_of_schemas_is_listed() {
    let operations = operation_ids();
    let names: BTreeSet<String> = operations.values().cloned().collect();
    assert_eq!(names.len(), operations.len(), "two operations have one name: {operations:?}");
    assert_eq!(examples(), names, "CUTOVER_UPDATE=1 with the test of the examples writes them");
    let (listed, held) = groups();
    assert_eq!(listed.len(), held.len(), "{listed:?}");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), held);
}

#[test]
fn the_document_is_joined_from_the_fragments() {
    let joined = joined();
    if std::env::var_os("CUTOVER_UPDATE").is_some() {
        std::fs::write(document_file(), joined).unwrap();
        return;
    }
    let held = read(&document_file());
    let lines = || held.lines().zip(joined.lines()).enumerate();
    let first = lines().find(|(_, (held, joined))| held != joined);
    assert!(
        held == joined,
        "docs/openapi.json is not what the fragments make, see line and difference: {first:?}; CUTOVER_UPDATE=1 writes it \
         anew"
    );
}

#[test]
fn every_schema_is_there_and_is_used() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(&joined()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let names = |kind: &str| {
        let objects = document["components"][kind].as_object().unwrap();
        objects.keys().map(|name| format!("#/components/{kind}/{name}")).collect::<BTreeSet<_>>()
    };
    let there: BTreeSet<String> = names("schemas").union(&names("responses")).cloned().collect();
    assert_eq!(found, there);
}

#[test]
fn the_order_of_fields_and_the_digits_of_numbers_are_kept() {
    let document = json!({ "b": [1, 2.5, {}], "a": { "ü": "\u{1}" } });
    let expected = "{\n \"b\": [\n  1,\n  2.5,\n  {}\n ],\n \"a\": {\n  \"ü\": \"\\u0001\"\n }\n}\n";
    assert_eq!(written(&document), expected);
}
