//! An adapter between a client and a backend: whatever a mapping, a request and an answer are, it comes to an end. The first
//! line is a request, the second what a backend answers, and the rest a configuration, a mapping, or a list of mappings of
//! which the last one may refer to the others. Of a mapping, the two evaluations give the same value.

#![no_main]

use cutover_core::{
    Timestamp,
    adapter::{
        Adapter, Budget, ClientRequest, EvalContext, Next, Program, Reply, Request, Shape, ShapeError, invert,
    },
    compare::{Limits, differences},
    config::Config,
    json::{Json, Tape},
};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, OnceLock};

/// Statuses of a backend: successes with and without a body, a redirect, and errors.
const STATUSES: [u16; 6] = [200, 204, 302, 404, 422, 503];

fn adapters(text: &str) -> Option<Vec<Arc<Adapter>>> {
    let config = Config::from_yaml(text).ok()?;
    config.adapters.values().map(|held| Adapter::new(Arc::clone(held.program())).ok().map(Arc::new)).collect()
}

/// Reads a mapping with the named shapes that it may refer to, in the form that a program may have.
fn mapping(text: &str) -> Option<(Shape, Vec<Shape>)> {
    static EMPTY: OnceLock<Program> = OnceLock::new();
    let mut named = match serde_json::from_str::<Shape>(text) {
        Ok(shape) => vec![shape],
        Err(_) => serde_json::from_str::<Vec<Shape>>(text).ok()?,
    };
    let shape = named.pop()?;
    let mut program = EMPTY
        .get_or_init(|| {
            let config = Config::from_yaml("adapters: { a: { routes: [] } }").expect("it is a configuration");
            Program::clone(config.adapters.values().next().expect("it has an adapter").program())
        })
        .clone();
    program.shapes = named.clone();
    program.errors.envelope = shape.clone();
    Adapter::new(Arc::new(program)).ok()?;
    Some((shape, named))
}

/// Applies a mapping in both ways, and compares the results: the same value, whose unchanged parts `write` copies verbatim.
fn evaluate(shape: &Shape, tape: &Tape<'_>, whole: EvalContext<'_>) {
    let value = tape.json();
    let made = shape.apply(&value, whole, &mut Budget::of(100_000));
    let mut text = String::new();
    let written = shape.write(tape.root(), whole, &mut Budget::of(100_000), &mut text);
    // They pay for different steps.
    if made == Err(ShapeError::TooMuch) || written == Err(ShapeError::TooMuch) {
        return;
    }
    let reread = || Json::parse_within(&text, usize::MAX >> 1).expect("it is JSON").to_string();
    assert_eq!(
        written.map(|is_there| is_there.then(reread)),
        made.map(|made| made.map(|made| made.to_string()))
    );
}

/// Sends a request through an adapter whose backend responds with the request's body and a status.
fn exchange(adapter: &Arc<Adapter>, sent: ClientRequest<'_>, status: u16) {
    let now = Timestamp::from_millis(0);
    let Some((mut exchange, mut next)) = adapter.begin(sent, now) else { return };
    let mut asked = 0;
    while let Next::Ask(_) = next {
        asked += 1;
        assert!(asked <= 60, "more than any walk may be declared to take");
        next = exchange.next(Reply::Answered(status, sent.body), now);
    }
}

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '\n');
    let (request, answer, rest) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    if let (Ok(old), Ok(new)) = (Json::parse(request), Json::parse(answer)) {
        let found = differences(&old, &new, &[], Limits::default());
        assert!(old != new || found == Ok(Vec::new()));
    }
    if let (Some((shape, named)), Ok(tape)) = (mapping(rest), Tape::read(answer)) {
        let request = Request { query: request.to_owned(), ..Request::default() };
        let whole = EvalContext { request: &request, now: Timestamp::from_millis(0), shapes: &named };
        evaluate(&shape, &tape, whole);
        let value = tape.json();
        let _ = shape.diagnose(&value, whole, &mut Budget::of(10_000));
        // An inverse has the named shapes written out, which nothing bounds here.
        if named.is_empty() {
            let _ = invert(&shape, &named).0.apply(&value, whole, &mut Budget::of(10_000));
        }
    }
    let (path, query) = request.split_once('?').unwrap_or((request, ""));
    for adapter in adapters(rest).unwrap_or_default() {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let sent =
                ClientRequest { method, path, query, body: answer.as_bytes(), ..ClientRequest::default() };
            STATUSES.into_iter().for_each(|status| exchange(&adapter, sent, status));
        }
    }
});
