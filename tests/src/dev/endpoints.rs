//! The URLs and secrets of a local stack, as its user needs them.

use crate::{
    dev::own::Own,
    http::EDGE_TOKEN,
    paths,
    stack::{INGEST_SECRET, ROOT_TOKEN, Stack},
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The URLs and secrets of a local stack.
#[derive(Debug, Clone)]
pub struct Endpoints {
    values: Value,
}

impl Endpoints {
    /// Collects them from a running stack. Backends of the user take the place of the demonstration ones.
    pub fn of(stack: &Stack, own: Option<&Own>) -> Self {
        let (legacy, new) = own.map_or_else(
            || (stack.legacy.url(), stack.new.url()),
            |own| (own.legacy.clone(), own.new.clone()),
        );
        let values = json!({
            "edge": stack.edge.url(),
            "management": stack.lambda.url("management"),
            "ingest": stack.lambda.url("ingest"),
            "ask": stack.lambda.url("ask"),
            "token": ROOT_TOKEN,
            "edge_token": EDGE_TOKEN,
            "ingest_secret": INGEST_SECRET,
            "legacy": legacy,
            "new": new,
            "dynamodb": stack.dynamodb.url(),
            "kv": stack.edge.kv_api(),
        });
        Self { values }
    }

    /// Returns a value by its name.
    pub fn get(&self, name: &str) -> &str {
        self.values[name].as_str().unwrap_or_else(|| panic!("no endpoint {name}"))
    }

    /// Returns the commands that set the variables of `cutover`, of `cutover preflight` and of the tour.
    pub fn exports(&self) -> Vec<String> {
        let export = |variables: &[(&str, &str)]| {
            let words: Vec<String> =
                variables.iter().map(|(variable, name)| format!("{variable}={}", self.get(name))).collect();
            format!("export {}", words.join(" "))
        };
        vec![
            export(&[("CUTOVER_URL", "management"), ("CUTOVER_TOKEN", "token")]),
            export(&[("CUTOVER_EDGE_URL", "edge"), ("CUTOVER_EDGE_TOKEN", "edge_token")]),
            export(&[("CUTOVER_INGEST_URL", "ingest"), ("CUTOVER_INGEST_SECRET", "ingest_secret")]),
            export(&[("CUTOVER_ASK_URL", "ask"), ("NEW_BACKEND", "new")]),
            "export PATH=\"$PWD/target/debug:$PATH\"".to_owned(),
        ]
    }

    /// Writes them as JSON.
    pub fn write(&self, port: Option<u16>) {
        let text = serde_json::to_string_pretty(&self.values).expect("endpoints are JSON");
        std::fs::write(file("endpoints", "json", port), text).expect("the endpoints are written");
    }
}

/// Returns the path of a file of `cargo xtask dev`, which has the first port in its name if that was given: so two of them
/// can run side by side.
pub fn file(name: &str, extension: &str, port: Option<u16>) -> PathBuf {
    let port = port.map(|port| format!("-{port}")).unwrap_or_default();
    paths::target("dev").join(format!("{name}{port}.{extension}"))
}
