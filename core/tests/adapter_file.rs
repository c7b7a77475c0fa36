//! Adapters in a file: what is right compiles, and every mistake is named with its place and what to do.

use cutover_core::config::{Config, Problem};

const SCHEMA: &str = include_str!("../../tests/reviews/schema.graphql");
const OPERATIONS: &str = include_str!("../../tests/reviews/operations.graphql");
const ADAPTER: &str = include_str!("../../tests/reviews/adapter.yaml");
const CONFIG: &str = "adapters: { reviews: reviews/adapter.yaml }";

fn read(config: &str, adapter: &str, operations: &str, schema: &str) -> Result<Config, Vec<Problem>> {
    Config::from_yaml_with(config, &|name| match name {
        "reviews/adapter.yaml" => Ok(adapter.to_owned()),
        "reviews/operations.graphql" => Ok(operations.to_owned()),
        "reviews/schema.graphql" => Ok(schema.to_owned()),
        _ => Err("there is no such file".to_owned()),
    })
}

#[test]
fn the_example_compiles_and_comes_back_as_it_was_stored() {
    let config = read(CONFIG, ADAPTER, OPERATIONS, SCHEMA).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let stored = serde_json::to_value(&config).unwrap();
    assert!(serde_json::from_value::<Config>(stored.clone()).unwrap() == config);
    // What was stored is a configuration of its own, without the files.
    assert!(Config::from_json(&stored).unwrap() == config);
    let text = serde_json::to_string(&stored).unwrap();
    assert!(!text.contains("isModeratedBy"));
}
