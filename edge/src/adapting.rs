//! The exchanges of adapted requests, as JavaScript drives them: it is told what to do next, does it, and says what came of
//! it. One crossing for each of these, because crossings are what costs.

use crate::{
    entry::{now_ms, with_isolate},
    wire::{ABSENT, Packed},
};
use cutover_core::{
    Facts, Timestamp,
    adapter::{Answer, Exchange, Next, Reply, Sent},
};
use std::cell::RefCell;
use wasm_bindgen::prelude::wasm_bindgen;

/// Exchanges that an isolate has under way, at most. A client that goes away leaves its exchange behind; it is overwritten
/// when so many others have begun.
const MAX_EXCHANGES: usize = 4_096;

/// What the number that was told last has no room for. It is asked for in the same turn.
#[derive(Default)]
struct Told {
    /// The position of the adapter.
    adapter: usize,
    /// What the last decision told, see [`begun`].
    begun: u32,
    more: String,
    body: String,
}

/// What is under way, in a ring: an exchange has its number, and stands at the remainder of it.
#[derive(Default)]
struct Exchanges {
    held: Vec<Option<(u32, Exchange)>>,
    begun: u32,
}

thread_local! {
    static TOLD: RefCell<Told> = RefCell::new(Told::default());
    static EXCHANGES: RefCell<Exchanges> = RefCell::new(Exchanges::default());
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or_default() % MAX_EXCHANGES
}

impl Exchanges {
    fn put(&mut self, exchange: Exchange) -> u32 {
        let number = self.begun;
        self.begun = (number + 1) & tells::NUMBERS;
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

/// What JavaScript is told to do, in one number, because texts are what crossings cost: bits 0 to 2 what, bit 3 that there is
/// a body ([`adapted_body`]), bit 4 that there is more to know ([`adapted_more`]), and from bit 5 on the number of the exchange
/// or the status of the answer.
mod tells {
    /// The exchange is not known.
    pub const GONE: u32 = 0;
    /// The request goes through as it is.
    pub const PASS: u32 = 1;
    /// The adapter has no route for it.
    pub const UNKNOWN: u32 = 2;
    /// The backend is asked: `POST` to the adapter's endpoint, unless there is more: `method LF target`.
    pub const ASK: u32 = 3;
    /// The client is answered. More are headers: `name LF value LF name …`.
    pub const ANSWER: u32 = 4;
    /// There is a body.
    pub const BODY: u32 = 1 << 3;
    /// There is more.
    pub const MORE: u32 = 1 << 4;
    /// Where the number begins.
    pub const SHIFT: u32 = 5;
    /// Of an exchange's number, what there is room for.
    pub const NUMBERS: u32 = u32::MAX >> SHIFT;
}

/// Keeps the exchange that a decision began, for [`begun`].
pub(crate) fn remember(begun: Option<(usize, Exchange, Next)>) {
    let Some((adapter, exchange, next)) = begun else {
        return TOLD.with(|told| told.borrow_mut().begun = tells::GONE);
    };
    let number = tell(exchange, next);
    TOLD.with(|told| {
        let mut told = told.borrow_mut();
        (told.adapter, told.begun) = (adapter, number);
    });
}

/// What to do for the request that was decided last, see [`tells`]; [`tells::GONE`] where [`adapt`] has to begin.
#[wasm_bindgen]
pub fn begun() -> u32 {
    TOLD.with(|told| std::mem::take(&mut told.borrow_mut().begun))
}

/// Begins an exchange and says what to do, see [`tells`]. `headers` are lines of the values of the headers that the table
/// names for the route, in its order; `is_too_large` says that there is a body that was not read.
#[wasm_bindgen]
pub fn adapt(
    packed: &str,
    route: u32,
    generation: u32,
    headers: &str,
    claims: &str,
    body: &[u8],
    is_too_large: bool,
) -> u32 {
    begin(Packed::new(packed), route, generation, headers, claims, body, is_too_large).unwrap_or(tells::GONE)
}

fn begin(
    packed: Packed<'_>,
    route: u32,
    generation: u32,
    headers: &str,
    claims: &str,
    body: &[u8],
    is_too_large: bool,
) -> Option<u32> {
    let rules = with_isolate(|isolate| isolate.rules_of(generation)).flatten()?;
    let route = rules.routes().get(usize::try_from(route).ok()?)?;
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
    let Some((at, adapter)) = rules.adapter_for(route, &facts) else { return Some(tells::PASS) };
    TOLD.with(|told| told.borrow_mut().adapter = at);
    if is_too_large {
        let is_known = adapter.has_route(packed.method, packed.path);
        return Some(if is_known { answer(adapter.too_large(now())) } else { tells::UNKNOWN });
    }
    let sent = Sent { body, claims, ..Sent::from(&facts) };
    let Some((exchange, next)) = adapter.begin(sent, now()) else { return Some(tells::UNKNOWN) };
    Some(tell(exchange, next))
}

/// The backend answered; what to do now.
#[wasm_bindgen]
pub fn adapt_answered(number: u32, status: u16, body: &[u8]) -> u32 {
    take_in(number, Reply::Answered(status, body))
}

/// The backend did not answer, in time or at all; what to do now.
#[wasm_bindgen]
pub fn adapt_failed(number: u32, late: bool) -> u32 {
    take_in(number, if late { Reply::Timeout } else { Reply::Unreachable })
}

fn take_in(number: u32, reply: Reply<'_>) -> u32 {
    let Some(mut exchange) = EXCHANGES.with(|held| held.borrow_mut().take(number)) else {
        return tells::GONE;
    };
    let next = exchange.next(reply, now());
    tell(exchange, next)
}

/// The position of the adapter that the last decision or [`adapt`] found.
#[wasm_bindgen]
pub fn adapter() -> usize {
    TOLD.with(|told| told.borrow().adapter)
}

/// What the last number had no room for, see [`tells`].
#[wasm_bindgen]
pub fn adapted_more() -> String {
    TOLD.with(|told| std::mem::take(&mut told.borrow_mut().more))
}

/// Where the body begins that belongs to the last number. JavaScript copies it out of this memory before anything else
/// happens: as a text it would be decoded, and encoded again on its way out.
#[wasm_bindgen]
pub fn adapted_body() -> usize {
    TOLD.with(|told| told.borrow().body.as_ptr().addr())
}

/// How many bytes it has.
#[wasm_bindgen]
pub fn adapted_body_length() -> usize {
    TOLD.with(|told| told.borrow().body.len())
}

fn tell(exchange: Exchange, next: Next) -> u32 {
    match next {
        Next::Answer(given) => answer(given),
        Next::Ask(upstream) => {
            let more = upstream.to.map(|(method, target)| method + "\n" + &target);
            let number = EXCHANGES.with(|held| held.borrow_mut().put(exchange));
            tells::ASK | keep(more, upstream.body) | number << tells::SHIFT
        }
    }
}

fn answer(given: Answer) -> u32 {
    let mut more = String::new();
    for (name, value) in &given.headers {
        more.push_str(name);
        more.push('\n');
        // No header holds a line feed, whatever a backend put into what it is made of.
        more.extend(value.chars().filter(|c| !c.is_ascii_control()));
        more.push('\n');
    }
    let more = Some(more).filter(|more| !more.is_empty());
    tells::ANSWER | keep(more, given.body) | u32::from(given.status) << tells::SHIFT
}

fn keep(more: Option<String>, body: Option<String>) -> u32 {
    TOLD.with(|told| {
        let mut told = told.borrow_mut();
        let mut bits = 0;
        if let Some(more) = more {
            told.more = more;
            bits |= tells::MORE;
        }
        if let Some(body) = body {
            told.body = body;
            bits |= tells::BODY;
        }
        bits
    })
}
