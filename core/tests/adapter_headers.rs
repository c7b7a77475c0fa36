//! A header of a response that is given in several places.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use cutover_core::{
    Timestamp,
    adapter::{Adapter, ClientRequest, Next, Reply},
    config::Config,
};
use std::sync::Arc;

const NAME: &str = "x-a";

/// The values of the header in the places that may give it.
#[derive(Debug, Clone, Copy, Default)]
struct Given {
    is_kept: bool,
    by_adapter: Option<&'static str>,
    by_errors: Option<&'static str>,
    by_route: Option<&'static str>,
}

impl Given {
    fn adapter(self) -> Arc<Adapter> {
        let headers = |value: Option<&str>| value.map(|value| format!("headers: {{ {NAME}: {value:?} }}"));
        let line = |indent: &str, text: Option<String>| {
            text.map(|text| format!("{indent}{text}\n")).unwrap_or_default()
        };
        let keep = self.is_kept.then(|| format!("keep_headers: [{NAME}]"));
        let errors = headers(self.by_errors).map(|headers| format!("errors: {{ {headers} }}"));
        let text = format!(
            "adapters:\n  a:\n{}{}{}    routes:\n      - match: {{ method: GET, path: /r }}\n        \
             backend: {{ method: GET, path: /v2 }}\n{}",
            line("    ", keep),
            line("    ", headers(self.by_adapter)),
            line("    ", errors),
            line("        ", headers(self.by_route)),
        );
        let config = Config::from_yaml(&text).unwrap();
        let program = Arc::clone(config.adapters.values().next().unwrap().program());
        Arc::new(Adapter::new(program).unwrap())
    }

    /// Returns the header that the client gets if the backend responds with this status, and with a header of this
    /// name. The headers are put together as the Worker does it.
    fn received(self, status: u16) -> Option<String> {
        let adapter = self.adapter();
        let sent = ClientRequest { method: "GET", path: "/r", query: "q=1", ..ClientRequest::default() };
        let now = Timestamp::from_millis(0);
        let (mut exchange, _) = adapter.begin(sent, now).unwrap();
        let answer = match exchange.next(Reply::Answered(status, b"{}"), now) {
            Next::Answer(answer) => Some(answer),
            Next::Ask(_) => None,
        };
        let answer = answer.unwrap();
        let mut received = adapter.program.keep.iter().any(|kept| kept == NAME).then(|| "kept".to_owned());
        for (name, value) in adapter.program.constant_headers(answer.status >= 400) {
            if name == NAME {
                received = Some(value.to_owned());
            }
        }
        for (name, value) in answer.headers {
            if name == NAME {
                received = Some(value);
            }
        }
        received
    }
}

#[test]
fn the_route_comes_before_the_adapter_and_that_before_the_backend_and_errors_before_both() {
    let filled = |value: Option<&str>| value.map(|value| value.replace("{query.q}", "1"));
    for bits in 0_u8..128 {
        let has = |bit: u8| bits & (1 << bit) != 0;
        let value = |bit: u8, constant: &'static str, placed: &'static str| {
            has(bit).then_some(if has(bit + 1) { placed } else { constant })
        };
        let given = Given {
            is_kept: has(0),
            by_adapter: value(1, "adapter", "adapter {query.q}"),
            by_errors: value(3, "errors", "errors {query.q}"),
            by_route: value(5, "route", "route {query.q}"),
        };
        let kept = given.is_kept.then(|| "kept".to_owned());
        let below = filled(given.by_adapter).or(kept);
        assert_eq!(given.received(200), filled(given.by_route).or(below.clone()), "{given:?}");
        assert_eq!(given.received(500), filled(given.by_errors).or(below), "{given:?}");
    }
}

#[test]
fn an_empty_header_keeps_out_what_comes_behind_it_as_documented() {
    let nothing = Given::default();
    let empty = Some("");
    let kept = Given { is_kept: true, ..nothing };
    let cases = [
        // That of the adapter keeps out the backend's.
        (Given { by_adapter: empty, ..kept }, None, None),
        // That of errors keeps out the adapter's, and leaves the backend's.
        (Given { by_adapter: Some("adapter"), by_errors: empty, ..nothing }, Some("adapter"), None),
        (Given { by_errors: empty, ..kept }, Some("kept"), Some("kept")),
        // That of a route is sent.
        (Given { by_route: empty, ..kept }, Some(""), Some("kept")),
        (Given { by_adapter: Some("adapter"), by_route: empty, ..nothing }, Some(""), Some("adapter")),
    ];
    for (given, of_success, of_error) in cases {
        let received = [given.received(200), given.received(500)];
        assert_eq!(received.each_ref().map(Option::as_deref), [of_success, of_error], "{given:?}");
    }
}
