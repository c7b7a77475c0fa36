//! The functions by which JavaScript tells how requests to origins ended, and asks who gets one that failed.

use crate::{
    bindings::state::{now_ms, with_isolate},
    isolate::failover::OriginResult,
};
use wasm_bindgen::prelude::wasm_bindgen;

/// Notes the result of a request to an origin, see [`OriginResult`]. Returns true if further successes need not be
/// told.
#[wasm_bindgen]
pub fn note_result(origin: usize, generation: u32, result: u32, successes: u32, age_ms: u32) -> bool {
    let ended = OriginResult::read(result, successes, age_ms);
    with_isolate(|isolate| isolate.note_result(origin, generation, ended, now_ms())).unwrap_or_default()
}

/// Notes that requests to an origin were answered lately, see
/// [`Isolate::note_served`](crate::isolate::Isolate::note_served).
#[wasm_bindgen]
pub fn note_served(origin: usize, generation: u32) {
    with_isolate(|isolate| isolate.note_served(origin, generation, now_ms()));
}

/// Returns the position of the origin that gets a request which another one failed to serve; -1 if none does.
#[wasm_bindgen]
pub fn second_origin(failed: usize, generation: u32, is_late: bool) -> i32 {
    let second = with_isolate(|isolate| isolate.second_origin(failed, generation, is_late, now_ms()));
    second.flatten().and_then(|position| i32::try_from(position).ok()).unwrap_or(-1)
}

/// Returns the position of the origin that serves a request which another arm could not serve.
#[wasm_bindgen]
pub fn substitute(origin: usize, generation: u32) -> usize {
    with_isolate(|isolate| isolate.substitute(origin, generation, now_ms())).unwrap_or(origin)
}

/// Returns the path at which an origin is asked for its health, if that is due now.
#[wasm_bindgen]
pub fn claim_check(origin: usize, generation: u32) -> Option<String> {
    with_isolate(|isolate| isolate.claim_check(origin, generation, now_ms())).flatten()
}
