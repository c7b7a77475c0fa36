//! Exchanges of adapted requests, driven by JavaScript: it receives an instruction, carries it out
//! and reports the result. Each instruction costs one call into WebAssembly, because the calls are
//! the expensive part.

use crate::{
    bindings::state::{now_ms, with_isolate},
    wire::{ABSENT, Packed, step, unfit_lines},
};
use cutover_core::{
    Facts, Timestamp,
    adapter::{Answer, ClientRequest, Exchange, Next, Pending, Reply},
    decision::ruleset::AdapterChoice,
};
use std::cell::RefCell;
use wasm_bindgen::prelude::wasm_bindgen;

/// The parts of the last instruction that do not fit into its number. JavaScript fetches them in
/// the same turn.
#[derive(Default)]
struct LastStep {
    /// Position of the adapter.
    adapter: usize,
    /// Instruction of the last decision, see [`begun`].
    begun: u32,
    more: String,
    body: String,
    /// Lines of [`unfit_lines`].
    unfit: String,
}

thread_local! {
    static LAST_STEP: RefCell<LastStep> = RefCell::new(LastStep::default());
    static EXCHANGES: RefCell<Pending> = const { RefCell::new(Pending::new(step::NUMBERS)) };
}

fn now() -> Timestamp {
    Timestamp::from_millis(now_ms())
}

/// Keeps the exchange that a decision began, for [`begun`].
pub(crate) fn remember(begun: Option<(usize, Exchange, Next)>) {
    let Some((adapter, exchange, next)) = begun else {
        return LAST_STEP.with(|last| last.borrow_mut().begun = step::GONE);
    };
    let number = tell(exchange, next);
    LAST_STEP.with(|last| {
        let mut last = last.borrow_mut();
        (last.adapter, last.begun) = (adapter, number);
    });
}

/// Returns the instruction for the request that was decided last, see [`step`]. `step::GONE` means
/// that JavaScript has to call [`adapt`].
#[wasm_bindgen]
pub fn begun() -> u32 {
    LAST_STEP.with(|last| std::mem::take(&mut last.borrow_mut().begun))
}

/// Begins an exchange and returns its first instruction, see [`step`]. `headers` are the values of
/// the headers that the table lists for the route, one per line and in that order. `claims` is the
/// payload of the verified token, decoded but otherwise as it was signed, or empty. `is_too_large`
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
    begin(Packed::new(packed), route, generation, headers, claims, body, is_too_large).unwrap_or(step::GONE)
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
    let (position, adapter) = match rules.adapter_for(route, &facts) {
        AdapterChoice::Unneeded => return Some(step::PASS),
        AdapterChoice::Unadapted => return Some(step::UNKNOWN),
        AdapterChoice::Adapter(position, adapter) => (position, adapter),
    };
    LAST_STEP.with(|last| last.borrow_mut().adapter = position);
    let sent = ClientRequest { body, claims, ..ClientRequest::from(&facts) };
    if is_too_large {
        return Some(adapter.too_large(sent, now()).map_or(step::UNKNOWN, answer));
    }
    let Some((exchange, next)) = adapter.begin(sent, now()) else { return Some(step::UNKNOWN) };
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

/// Frees an exchange that does not continue, because another backend answers the request.
#[wasm_bindgen]
pub fn adapt_abandoned(number: u32) {
    EXCHANGES.with(|held| held.borrow_mut().take(number));
}

fn take_in(number: u32, reply: Reply<'_>) -> u32 {
    let Some(mut exchange) = EXCHANGES.with(|held| held.borrow_mut().take(number)) else {
        return step::GONE;
    };
    let next = exchange.next(reply, now());
    tell(exchange, next)
}

/// Returns the position of the adapter that the last decision or [`adapt`] found.
#[wasm_bindgen]
pub fn adapter() -> usize {
    LAST_STEP.with(|last| last.borrow().adapter)
}

/// Returns the part of the last instruction that does not fit into its number, see [`step`].
#[wasm_bindgen]
pub fn adapted_more() -> String {
    LAST_STEP.with(|last| std::mem::take(&mut last.borrow_mut().more))
}

/// Returns the reason of the last instruction's unfit response, see [`unfit_lines`].
#[wasm_bindgen]
pub fn adapted_unfit() -> String {
    LAST_STEP.with(|last| std::mem::take(&mut last.borrow_mut().unfit))
}

/// Returns the address of the last instruction's body. JavaScript copies it out of WebAssembly
/// memory before anything else runs: a string would be decoded there and encoded again on its way
/// out.
#[wasm_bindgen]
pub fn adapted_body() -> usize {
    LAST_STEP.with(|last| last.borrow().body.as_ptr().addr())
}

/// Returns the length of the last instruction's body, in bytes.
#[wasm_bindgen]
pub fn adapted_body_length() -> usize {
    LAST_STEP.with(|last| last.borrow().body.len())
}

fn tell(exchange: Exchange, next: Next) -> u32 {
    match next {
        Next::Answer(given) => answer(given),
        Next::Ask(upstream) => {
            let more = upstream.to.map(|(method, target)| method + "\n" + &target);
            let number = EXCHANGES.with(|held| held.borrow_mut().put(exchange));
            step::UPSTREAM | keep(more, upstream.body) | number << step::SHIFT
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
    let unfit = match given.unfit {
        None => 0,
        Some(unfit) => {
            LAST_STEP.with(|last| last.borrow_mut().unfit = unfit_lines(&unfit));
            step::UNFIT
        }
    };
    step::RESPOND | keep(more, given.body) | unfit | u32::from(given.status) << step::SHIFT
}

fn keep(more: Option<String>, body: Option<String>) -> u32 {
    LAST_STEP.with(|last| {
        let mut last = last.borrow_mut();
        let mut bits = 0;
        if let Some(more) = more {
            last.more = more;
            bits |= step::MORE;
        }
        if let Some(body) = body {
            last.body = body;
            bits |= step::BODY;
        }
        bits
    })
}
