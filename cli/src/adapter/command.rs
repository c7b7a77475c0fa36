//! The commands below `cutover adapter`.

use super::{
    init,
    schema::{self, SchemaOptions},
    test_pairs::{self, TestOptions},
    try_request::{self, TryOptions},
};
use crate::{failure::Failure, output::Format};
use clap::Subcommand;

const SCHEMA_EXAMPLE: &str =
    "Example:\n  cutover adapter schema https://new.example.com/graphql > schema.graphql";

const INIT_EXAMPLE: &str = "Example:
  cutover adapter init --openapi legacy.yaml --schema schema.graphql \\
    --output adapter/

Writes adapter.yaml and operations.graphql, and schema.graphql if it is missing.
Comments with DECIDE mark what it could not decide.";

const TRY_EXAMPLE: &str = "Example:
  cutover adapter try --adapter adapter.yaml --request 'GET /api/v1/reviews/7' \\
    --backend https://new.example.com --against https://old.example.com \\
    --ignore timestamp

Exit status: 0 if the responses are the same (or without --against),
1 if they differ, 2 for mistakes, 7 if a backend cannot be reached.";

const TEST_EXAMPLE: &str = "Example:
  cutover adapter test requests.yaml --record https://old.example.com \\
    --output pairs.yaml
  cutover adapter test pairs.yaml --adapter adapter.yaml \\
    --backend https://new.example.com

A file of pairs:
  rules:
    - { path: timestamp, ignore: true }
  pairs:
    - request: GET /api/v1/reviews/7
      expect: { status: 200, body: { id: 7 } }
    - { request: GET /api/v1/reviews/8, expect: legacy }

An expectation needs a status; headers, body and text are compared if they are
written, body in full.

Exit status: 0 if all pairs are as expected, 1 if any differs, 2 for mistakes,
7 if a backend cannot be reached.";

/// Commands on adapters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the schema of a GraphQL backend, by introspection.
    #[command(after_help = SCHEMA_EXAMPLE)]
    Schema(SchemaOptions),
    /// Write a first adapter from an OpenAPI document and a GraphQL schema.
    #[command(after_help = INIT_EXAMPLE)]
    Init(init::InitOptions),
    /// Send one request through an adapter to the new backend, and show every step.
    #[command(after_help = TRY_EXAMPLE)]
    Try(TryOptions),
    /// Send recorded requests through an adapter, and compare the responses with the recorded ones.
    #[command(after_help = TEST_EXAMPLE)]
    Test(TestOptions),
}

/// Runs a command.
///
/// # Errors
///
/// Fails if a file has mistakes or cannot be read or written, if a server cannot be reached, or if
/// responses differ.
pub fn run(command: &Command, format: Format) -> Result<(), Failure> {
    match command {
        Command::Schema(options) => schema::run(options),
        Command::Init(options) => init::run(options, format).map_err(Failure::beside_differences),
        Command::Try(options) => try_request::run(options, format).map_err(Failure::beside_differences),
        Command::Test(options) => test_pairs::run(options, format).map_err(Failure::beside_differences),
    }
}
