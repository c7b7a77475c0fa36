//! The exchanges of adapted requests, as JavaScript drives them: it is told what to do next, does it, and says what came of
//! it. One crossing for each of these, because crossings are what costs.

use crate::{
    entry::{now_ms, with_isolate},
    wire::{ABSENT, Packed},
};
use cutover_core::{
    Facts, Timestamp,
    adapter::{Answer, Exchange, Next, Program, Reply, Sent},
};
use std::{cell::RefCell, fmt::Write};
use wasm_bindgen::prelude::wasm_bindgen;

/// Exchanges that an isolate has under way, at most. A client that goes away leaves its exchange behind; it is overwritten
/// when so many others have begun.
const MAX_EXCHANGES: usize = 4_096;

/// What is under way, in a ring: an exchange has its number, and stands at the remainder of it.
#[derive(Default)]
struct Exchanges {
    held: Vec<Option<(u32, Exchange)>>,
    begun: u32,
}

thread_local! {
    static BODY: RefCell<Option<String>> = const { RefCell::new(None) };
    static EXCHANGES: RefCell<Exchanges> = RefCell::new(Exchanges::default());
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or_default() % MAX_EXCHANGES
}

impl Exchanges {
    fn put(&mut self, exchange: Exchange) -> u32 {
        let number = self.begun;
        self.begun = self.begun.wrapping_add(1);
        let at = place(number);
        if self.held.len() <= at {
            self.held.resize_with(at + 1, || None);
        }
        if let Some(slot) = self.held.get_mut(at) {
            *slot = Some((number, exchange));
        }
        number
    }

    fn take(&mut self, number: u32) -> Option<Exchange> {
        let slot = self.held.get_mut(place(number))?;
        slot.take_if(|(held, _)| *held == number).map(|(_, exchange)| exchange)
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(now_ms())
}

/// Begins an exchange and says what to do, see [`told`]. `headers` are lines of the values of the headers that the table
/// names for the route, in its order; `None` as a body says that it is larger than is read.
#[wasm_bindgen]
pub fn adapt(
    packed: &str,
    route: u32,
    generation: u32,
    headers: &str,
    claims: &str,
    body: Option<Box<[u8]>>,
) -> Option<String> {
    let rules = with_isolate(|isolate| isolate.rules_of(generation)).flatten()?;
    let route = rules.routes().get(usize::try_from(route).ok()?)?;
    let packed = Packed::new(packed);
    let names = rules.headers_for(route);
    let read = names.iter().copied().zip(headers.split('\n')).filter(|(_, value)| *value != ABSENT);
    let read: Vec<(&str, &str)> = read.collect();
    let facts = Facts {
        method: packed.method,
        path: packed.path,
        query: packed.query,
        headers: &read,
        ..Facts::default()
    };
    let Some(adapter) = rules.adapter_for(route, &facts) else { return Some("P".to_owned()) };
    let no_route = || Some("U".to_owned());
    let Some(body) = body else {
        let is_known = adapter.has_route(packed.method, packed.path);
        return if is_known { Some(answer(&adapter.program, adapter.too_large(now()))) } else { no_route() };
    };
    let sent = Sent {
        // HEAD asks what GET would answer.
        method: if packed.method == "HEAD" { "GET" } else { packed.method },
        path: packed.path,
        query: packed.query,
        headers: &read,
        body: &body,
        claims,
    };
    adapter.begin(sent, now()).map(|(exchange, next)| told(exchange, next)).or_else(no_route)
}

/// The backend answered; what to do now.
#[wasm_bindgen]
pub fn adapt_answered(number: u32, status: u16, body: &[u8]) -> Option<String> {
    take_in(number, Reply::Answered(status, body))
}

/// The backend did not answer, in time or at all; what to do now.
#[wasm_bindgen]
pub fn adapt_failed(number: u32, late: bool) -> Option<String> {
    take_in(number, if late { Reply::Timeout } else { Reply::Unreachable })
}

fn take_in(number: u32, reply: Reply<'_>) -> Option<String> {
    let mut exchange = EXCHANGES.with(|held| held.borrow_mut().take(number))?;
    let next = exchange.next(reply, now());
    Some(told(exchange, next))
}

/// The body that belongs to what was told last. It is asked for in the same turn, and as bytes: a text would be decoded for
/// JavaScript and encoded again on its way out.
#[wasm_bindgen]
pub fn adapted_body() -> Option<Vec<u8>> {
    BODY.with(RefCell::take).map(String::into_bytes)
}

fn keep_body(body: Option<String>) -> u8 {
    let has_body = u8::from(body.is_some());
    BODY.with(|held| held.replace(body));
    has_body
}

/// What to do, by its first letter: `P` passes the request through as it is, `U` has no route for it, `A` asks the backend:
/// `A LF number LF method LF target LF headers to forward LF has a body`, and `R` answers, see [`answer`].
fn told(exchange: Exchange, next: Next) -> String {
    match next {
        Next::Answer(given) => answer(exchange.program(), given),
        Next::Ask(upstream) => {
            let forward = exchange.program().forward.join(",");
            let number = EXCHANGES.with(|held| held.borrow_mut().put(exchange));
            let has_body = keep_body(upstream.body);
            format!("A\n{number}\n{}\n{}\n{forward}\n{has_body}", upstream.method, upstream.target)
        }
    }
}

/// `R LF status LF headers to keep LF has a body LF name LF value …`.
fn answer(program: &Program, given: Answer) -> String {
    let has_body = keep_body(given.body);
    let mut text = String::with_capacity(100);
    // Writing to a text cannot fail.
    let _ = write!(text, "R\n{}\n{}\n{has_body}", given.status, program.keep.join(","));
    for (name, value) in &given.headers {
        text.push('\n');
        text.push_str(name);
        text.push('\n');
        // No header holds a line feed, whatever a backend put into what it is made of.
        text.extend(value.chars().filter(|c| !c.is_ascii_control()));
    }
    text
}
