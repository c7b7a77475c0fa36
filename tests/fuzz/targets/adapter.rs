//! An adapter between a client and a backend: whatever a mapping, a request and an answer are, it comes to an end. The first
//! line is a request, the second what a backend answers, and the rest a mapping.

#![no_main]

use cutover_core::{
    Timestamp,
    adapter::{Adapter, Budget, ClientRequest, EvalContext, Next, Reply, Request, Shape, invert},
    compare::{Limits, differences},
    config::Config,
    json::{Json, Tape},
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fn adapters(text: &str) -> Option<Vec<Arc<Adapter>>> {
    let config = Config::from_yaml(text).ok()?;
    config.adapters.values().map(|held| Adapter::new(Arc::clone(held.program())).ok().map(Arc::new)).collect()
}

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '\n');
    let (request, answer, mapping) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let now = Timestamp::from_millis(0);
    if let (Ok(old), Ok(new)) = (Json::parse(request), Json::parse(answer)) {
        let found = differences(&old, &new, &[], Limits::default());
        assert!(old != new || found == Ok(Vec::new()));
    }
    if let (Ok(shape), Ok(value)) = (serde_json::from_str::<Shape>(mapping), Json::parse(answer)) {
        let request = Request { query: request.to_owned(), ..Request::default() };
        let whole = EvalContext { request: &request, now, shapes: &[] };
        let made = shape.apply(&value, whole, &mut Budget::of(10_000));
        let mut written = String::new();
        let tape = Tape::read(answer).expect("it was read as a value");
        if shape.write(tape.root(), whole, &mut Budget::default(), &mut written) == Ok(true) {
            assert!(Json::parse_within(&written, usize::MAX >> 1).is_ok());
        }
        let _ = shape.diagnose(&value, whole, &mut Budget::of(10_000));
        let _ = invert(&shape, &[]).0.apply(&value, whole, &mut Budget::of(10_000));
        drop(made);
    }
    let (path, query) = request.split_once('?').unwrap_or((request, ""));
    for adapter in adapters(mapping).unwrap_or_default() {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let sent =
                ClientRequest { method, path, query, body: answer.as_bytes(), ..ClientRequest::default() };
            let Some((mut exchange, mut next)) = adapter.begin(sent, now) else { continue };
            let mut asked = 0;
            while let Next::Ask(_) = next {
                asked += 1;
                assert!(asked <= 60, "more than any walk may be declared to take");
                next = exchange.next(Reply::Answered(200, answer.as_bytes()), now);
            }
        }
    }
});
