//! The exchanges of adapted requests, as JavaScript drives them: it asks what to do next, does it, and says what came of
//! it.

use crate::entry::{now_ms, with_isolate};
use crate::wire::{ABSENT, Packed};
use cutover_core::{
    Facts, Timestamp,
    adapter::{Answer, Exchange, Next, Program, Reply, Sent},
    ruleset::Adaptation,
};
use wasm_bindgen::prelude::wasm_bindgen;

/// A request that goes through an adapter.
#[wasm_bindgen]
pub struct Adapting {
    exchange: Option<Exchange>,
    next: String,
}

fn now() -> Timestamp {
    Timestamp::from_millis(now_ms())
}

/// Begins an exchange. `headers` are lines of the values of the headers that the table names for the route, in its order;
/// `None` as a body says that it is larger than is read.
#[wasm_bindgen]
pub fn adapt(
    packed: &str,
    route: u32,
    generation: u32,
    headers: &str,
    claims: &str,
    body: Option<Box<[u8]>>,
) -> Option<Adapting> {
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
    let adapter = match rules.adaptation(route, &facts) {
        Adaptation::Route(at, _) => rules.adapters().get(at)?,
        // The first letter tells JavaScript what to do.
        Adaptation::None => return Some(Adapting { exchange: None, next: "P".to_owned() }),
        Adaptation::Unknown => return Some(Adapting { exchange: None, next: "U".to_owned() }),
    };
    let Some(body) = body else {
        return Some(Adapting { exchange: None, next: answer(&adapter.program, adapter.too_large(now())) });
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
    let (exchange, next) = adapter.begin(sent, now())?;
    let next = written(exchange.program(), next);
    Some(Adapting { exchange: Some(exchange), next })
}

#[wasm_bindgen]
impl Adapting {
    /// What to do: `P` passes the request through as it is, `U` has no route for it, `A` asks the backend and `R` answers.
    /// What belongs to it follows in lines.
    pub fn what_next(&mut self) -> String {
        std::mem::take(&mut self.next)
    }

    /// The backend answered.
    pub fn answered(&mut self, status: u16, body: &[u8]) {
        self.take_in(Reply::Answered(status, body));
    }

    /// The backend did not answer, in time or at all.
    pub fn failed(&mut self, late: bool) {
        self.take_in(if late { Reply::Timeout } else { Reply::Unreachable });
    }
}

impl Adapting {
    fn take_in(&mut self, reply: Reply<'_>) {
        if let Some(exchange) = &mut self.exchange {
            let next = exchange.next(reply, now());
            self.next = written(exchange.program(), next);
        }
    }
}

/// `A LF method LF target LF headers to forward LF body`, or as [`answer`] has it. A body is one line.
fn written(program: &Program, next: Next) -> String {
    match next {
        Next::Ask(upstream) => {
            let forward = program.forward.join(",");
            let mut text = format!("A\n{}\n{}\n{forward}\n", upstream.method, upstream.target);
            text.push_str(upstream.body.as_deref().unwrap_or(ABSENT));
            text
        }
        Next::Answer(given) => answer(program, given),
    }
}

/// `R LF status LF headers to keep LF number of own headers LF name LF value … LF body`.
fn answer(program: &Program, given: Answer) -> String {
    let mut text = format!("R\n{}\n{}\n{}\n", given.status, program.keep.join(","), given.headers.len());
    for (name, value) in &given.headers {
        text.push_str(name);
        text.push('\n');
        // No header holds a line feed, whatever a backend put into what it is made of.
        text.extend(value.chars().filter(|c| !c.is_ascii_control()));
        text.push('\n');
    }
    text.push_str(given.body.as_deref().unwrap_or(ABSENT));
    text
}
