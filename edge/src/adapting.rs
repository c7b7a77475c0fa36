//! Exchanges of adapted requests, driven by JavaScript: it receives an instruction, carries it out
//! and reports the result. Each instruction costs one call into WebAssembly, because the calls are
//! the expensive part.

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

/// Most exchanges that an isolate keeps at once. A client that disconnects leaves its exchange
/// behind, which is overwritten once this many others have begun.
const MAX_EXCHANGES: usize = 4_096;

/// The parts of the last instruction that do not fit into its number. JavaScript fetches them in
/// the same turn.
#[derive(Default)]
struct Told {
    /// Position of the adapter.
    adapter: usize,
    /// Instruction of the last decision, see [`begun`].
    begun: u32,
    more: String,
    body: String,
}

/// Exchanges under way, in a ring: the index of each is its number modulo [`MAX_EXCHANGES`].
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
        let index = place(number);
        if self.held.len() <= index {
            self.held.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.held.get_mut(index) {
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

/// Instructions to JavaScript, packed in one number because strings are the expensive part of a
/// call. Bits 0 to 2 are the instruction, bit 3 means that there is a body ([`adapted_body`]), bit
/// 4 that there is more to read ([`adapted_more`]), and from bit 5 on follows the number of the
/// exchange or the status of the response.
mod tells {
    /// The exchange is unknown.
    pub const GONE: u32 = 0;
    /// The request passes through unchanged.
    pub const PASS: u32 = 1;
    /// The adapter has no route for the request.
    pub const UNKNOWN: u32 = 2;
    /// Send a request to the backend: `POST` to the adapter's endpoint unless [`MORE`] is set,
    /// which then holds `method LF target`.
    pub const ASK: u32 = 3;
    /// Send the response to the client. If [`MORE`] is set, it holds the headers: `name LF value LF
    /// name …`.
    pub const ANSWER: u32 = 4;
    /// There is a body.
    pub const BODY: u32 = 1 << 3;
    /// There is more to read.
    pub const MORE: u32 = 1 << 4;
    /// First bit of the exchange number or the status.
    pub const SHIFT: u32 = 5;
    /// Mask of an exchange number: the bits that remain for it.
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

/// Returns the instruction for the request that was decided last, see `tells`. `tells::GONE` means
/// that JavaScript has to call [`adapt`].
#[wasm_bindgen]
pub fn begun() -> u32 {
    TOLD.with(|told| std::mem::take(&mut told.borrow_mut().begun))
}

/// Begins an exchange and returns its first instruction, see `tells`. `headers` are the values of
/// the headers that the table lists for the route, one per line and in that order. `is_too_large`
/// means that the request has a body, which was not read because of its size.
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
    let Some((position, adapter)) = rules.adapter_for(route, &facts) else { return Some(tells::PASS) };
    TOLD.with(|told| told.borrow_mut().adapter = position);
    if is_too_large {
        let is_known = adapter.has_route(packed.method, packed.path);
        return Some(if is_known { answer(adapter.too_large(now())) } else { tells::UNKNOWN });
    }
    let sent = Sent { body, claims, ..Sent::from(&facts) };
    let Some((exchange, next)) = adapter.begin(sent, now()) else { return Some(tells::UNKNOWN) };
    Some(tell(exchange, next))
}

/// Continues an exchange with the backend's response. Returns the next instruction.
#[wasm_bindgen]
pub fn adapt_answered(number: u32, status: u16, body: &[u8]) -> u32 {
    take_in(number, Reply::Answered(status, body))
}

/// Continues an exchange whose backend timed out, if `late` is true, or could not be reached.
/// Returns the next instruction.
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

/// Returns the position of the adapter that the last decision or [`adapt`] found.
#[wasm_bindgen]
pub fn adapter() -> usize {
    TOLD.with(|told| told.borrow().adapter)
}

/// Returns the part of the last instruction that does not fit into its number, see `tells`.
#[wasm_bindgen]
pub fn adapted_more() -> String {
    TOLD.with(|told| std::mem::take(&mut told.borrow_mut().more))
}

/// Returns the address of the last instruction's body. JavaScript copies it out of WebAssembly
/// memory before anything else runs: a string would be decoded there and encoded again on its way
/// out.
#[wasm_bindgen]
pub fn adapted_body() -> usize {
    TOLD.with(|told| told.borrow().body.as_ptr().addr())
}

/// Returns the length of the last instruction's body, in bytes.
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
        // A value may be made from a backend's response, and a line feed in it would end the
        // header.
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
