//! Evaluations of flags, over OFREP. One call brings a request, whose strings are packed in one, and returns the address
//! of the response: a string or an object that crosses costs more than the evaluation of several flags.

use crate::{
    bindings::state::with_isolate,
    isolate::ofrep::{EvaluationRequest, ResponseKind},
    wire::{Packed, PackedDecision},
};
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    /// Body of the last response.
    static BODY: RefCell<String> = const { RefCell::new(String::new()) };
    /// Numbers of the last response: its [`ResponseKind`], the generation that answered, address and length of its body,
    /// and the upper and the lower half of its entity tag. The generation is 0 if the state of the isolate is
    /// borrowed, which after a trap it is for ever. `evaluated` in js/wasm.js reads the numbers.
    static NUMBERS: [Cell<u32>; 6] = const { [const { Cell::new(0) }; 6] };
}

/// Returns the work in front of an evaluation, see
/// [`Isolate::before_evaluation`](crate::isolate::Isolate::before_evaluation).
#[wasm_bindgen]
pub fn before_evaluation(now: f64, generation: u32) -> u32 {
    with_isolate(|isolate| isolate.before_evaluation(now as i64, generation).0)
        .unwrap_or(PackedDecision::TABLE)
}

/// Answers a request for evaluations, and returns the address of the response's numbers. JavaScript reads them, and copies
/// the body that they tell of out of memory, before anything else runs. The values of `packed` are `If-None-Match`,
/// `Origin` and the token. The body counts as one over the limit if `is_too_large` is true.
#[wasm_bindgen]
pub fn evaluate(packed: &str, body: &[u8], is_too_large: bool, now: f64) -> usize {
    let packed = Packed::new(packed);
    let mut values = packed.values();
    let mut next = || values.next().flatten();
    let (if_none_match, origin, token) = (next(), next(), next());
    // Here and not by WebCrypto, whose promise would cost several times as much.
    let digest = token.map(Sha256::digest);
    let request = EvaluationRequest {
        method: packed.method,
        path: packed.path,
        token: digest.as_deref(),
        if_none_match,
        origin,
        body: (!is_too_large).then_some(body),
    };
    let answered = with_isolate(|isolate| (isolate.evaluate(&request, now as i64), isolate.generation()));
    let (response, generation) = answered.unwrap_or_default();
    let tag = response.etag.map_or(0, |tag| tag.0);
    BODY.set(response.body);
    // Exposed, because JavaScript reads through them.
    let (start, length) = BODY.with_borrow(|body| (body.as_ptr().expose_provenance(), body.len()));
    // Addresses of WebAssembly have 32 bits, and the tag is cut in two.
    let numbers = [response.kind.0, generation, start as u32, length as u32, (tag >> 32) as u32, tag as u32];
    NUMBERS.with(|held| {
        held.iter().zip(numbers).for_each(|(held, number)| held.set(number));
        held.as_ptr().expose_provenance()
    })
}

/// Returns the headers of a kind of response, except the entity tag: names and values, each in a line. JavaScript calls
/// this in the turn of the response.
#[wasm_bindgen]
pub fn evaluation_headers(kind: u32) -> String {
    let kind = ResponseKind(kind);
    let headers =
        with_isolate(|isolate| isolate.evaluation_headers(kind)).unwrap_or_else(|| kind.headers(None));
    headers.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect()
}
