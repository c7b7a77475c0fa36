//! Properties of adapters on arbitrary input: they do not panic, their work is bounded, and
//! inverted shapes restore their input.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod answers;
mod any_requests;
mod any_values;
mod errors;
mod generators;
mod mappings;
mod pages;
mod requests;
mod shapes;

use cutover_core::{
    Timestamp,
    adapter::{
        Adapter, Answer, Backend, Budget, ClientRequest, Conversion, DateForm, EvalContext, Exchange, Field,
        InvalidProgram, Kept, Kind, Literal, Misfit, Next, PagePosition, PageUrl, Part, Pending, Program,
        Reply, Request, Shape, ShapeError, Source, Step, Template, Upstream, Variable, invert,
    },
    config::Config,
    json::{Json, Tape},
};
use generators::{any_choices, any_json, any_shape, any_variable, fitting, loose, named_shapes};
use proptest::{collection::vec, prelude::*, sample::select};
use std::sync::Arc;

fn example() -> Arc<Program> {
    let config = Config::from_yaml_with("adapters: { reviews: reviews/adapter.yaml }", &|name| {
        Ok(match name {
            "reviews/adapter.yaml" => include_str!("../../../tests/reviews/adapter.yaml"),
            "reviews/operations.graphql" => include_str!("../../../tests/reviews/operations.graphql"),
            _ => include_str!("../../../tests/reviews/schema.graphql"),
        }
        .to_owned())
    });
    Arc::clone(config.unwrap().adapters.values().next().unwrap().program())
}

/// Builds an adapter from the lines of its file.
fn adapter(lines: &str) -> Arc<Adapter> {
    let lines = lines.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let config = Config::from_yaml(&format!("adapters:\n  a:\n{lines}"));
    let program = Arc::clone(config.unwrap().adapters.values().next().unwrap().program());
    Arc::new(Adapter::new(program).unwrap())
}

/// Builds an adapter for a REST backend with one route, which is written as a YAML flow mapping.
fn rest(route: &str) -> Arc<Adapter> {
    rest_with("errors: {}", route)
}

/// Builds an adapter for a REST backend with a field of its own and one route.
fn rest_with(field: &str, route: &str) -> Arc<Adapter> {
    adapter(&format!("{field}\nroutes:\n  - {}", route.replace('\n', " ")))
}

/// Builds an adapter for a GraphQL backend with the operation P from further lines of its file.
fn graphql(lines: &str) -> Arc<Adapter> {
    let schema = "type Query { user: User } type User { name: String info: Info } type Info { count: Int }";
    let operations = "query P { user { name info { count } } }";
    adapter(&format!("schema: \"{schema}\"\noperations: \"{operations}\"\n{lines}"))
}

/// Returns the answer to a GET request, whose backend gives this response.
fn answer(adapter: &Arc<Adapter>, (path, query): (&str, &str), status: u16, response: &str) -> Answer {
    let sent = ClientRequest { method: "GET", path, query, ..ClientRequest::default() };
    let (mut exchange, mut next) = begin(adapter, sent);
    if let Next::Ask(_) = next {
        next = exchange.next(Reply::Answered(status, response.as_bytes()), Timestamp::from_millis(0));
    }
    let answered = match next {
        Next::Answer(answer) => Some(answer),
        Next::Ask(_) => None,
    };
    answered.unwrap()
}

fn begin(adapter: &Arc<Adapter>, sent: ClientRequest<'_>) -> (Exchange, Next) {
    adapter.begin(sent, Timestamp::from_millis(0)).unwrap()
}

/// Returns the target of a request to a REST backend, or the answer to the client.
fn target((_, next): (Exchange, Next)) -> Result<String, Answer> {
    match next {
        Next::Ask(Upstream { to, .. }) => Ok(to.unwrap().1),
        Next::Answer(answer) => Err(answer),
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn whole(request: &Request) -> EvalContext<'_> {
    with_shapes(request, &[])
}

fn with_shapes<'p>(request: &'p Request, shapes: &'p [Shape]) -> EvalContext<'p> {
    EvalContext { request, now: Timestamp::from_millis(1_700_000_000_000), shapes }
}

const POSTED: &str = r#"{ match: { method: POST, path: /r }, backend: { method: POST, path: /v2/r },
    variables: { name: body.name }, headers: { x-name: "{body.name}" } }"#;

/// Returns the answer of an adapter with one route to GET /r/7 after this response of its backend.
fn answered(adapter: &Arc<Adapter>, status: u16, body: &str) -> Answer {
    answer(adapter, ("/r/7", ""), status, body)
}
