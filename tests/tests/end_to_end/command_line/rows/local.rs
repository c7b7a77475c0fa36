//! Commands that never call the management API. Those of adapters call both backends.

use super::row::{Kind, Row};
use crate::command_line::scene::Step;

/// Adds a context.
const STAGING: Step = Step::Run(&["context", "add", "staging", "--url", "{url}", "--token", "{ann}"]);

/// Adds a context without a token.
const LIVE: Step = Step::Run(&[
    "context",
    "add",
    "live",
    "--url",
    "https://live.example",
    "--production",
    "--token",
    "{ann}",
]);

fn row(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row::new(Kind::Local, name, arguments)
}

/// Returns the rows, in the order of the help.
pub fn rows() -> Vec<Row> {
    vec![
        row("help", &[]),
        row(
            "init",
            &[
                "--legacy",
                "{legacy}",
                "--new",
                "{new}",
                "--path",
                "/api/v1/reviews",
                "--output",
                "first.yaml",
                "--force",
            ],
        )
        .short(),
        row("adapter schema", &["{new}/graphql"]),
        row(
            "adapter init",
            &[
                "--openapi",
                "reviews/openapi.yaml",
                "--schema",
                "reviews/schema.graphql",
                "--output",
                "generated",
                "--force",
            ],
        ),
        row(
            "adapter try",
            &[
                "--adapter",
                "reviews/adapter.yaml",
                "--request",
                "GET /api/v1/reviews/7",
                "--backend",
                "{new}",
                "--against",
                "{legacy}",
                "--ignore",
                "timestamp",
            ],
        )
        .short(),
        row(
            "adapter test",
            &[
                "pairs.yaml",
                "--adapter",
                "reviews/adapter.yaml",
                "--backend",
                "{new}",
                "--against",
                "{legacy}",
            ],
        ),
        Row { is_script: true, ..row("completions", &["bash"]) }.short(),
        row("man", &["pages"]),
        row("version", &[]),
        row("context add", &["staging", "--url", "{url}", "--token", "{ann}"]),
        row("context list", &[]).after([STAGING, LIVE]).short(),
        row("context use", &["live"]).after([STAGING, LIVE]),
        row("context show", &["staging"]).after([STAGING, LIVE]),
        row("context remove", &["live"]).after([STAGING, LIVE]),
    ]
}
