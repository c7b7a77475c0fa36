//! Rate limits, driven by JavaScript: questions to limiters, their answers, and the arithmetic of a limiter itself.

use crate::{
    bindings::{
        entry::remember,
        state::{mint, now_ms, with_isolate},
    },
    wire::{LimiterAnswers, Packed, PackedDecision},
};
use cutover_core::{
    Arm, Reason,
    limit::{Answer, Rate},
};
use wasm_bindgen::prelude::wasm_bindgen;

/// Decides a request again, about which limiters have answered. `forced` is 0 for legacy and 1 for new if a tester asks for
/// that arm with a signed header, and -1 otherwise.
#[wasm_bindgen]
pub fn decide_limited(packed: &str, now: f64, generation: u32, forced: i32, answers: u32) -> u32 {
    let mut packed = Packed::new(packed);
    packed.answers = LimiterAnswers(answers);
    packed.forced = match forced {
        0 => Some(Arm::Legacy),
        1 => Some(Arm::New),
        _ => None,
    };
    with_isolate(|isolate| remember(isolate, isolate.decide(&packed, now as i64, generation, mint)))
        .unwrap_or(PackedDecision::legacy(Reason::Internal).0)
}

/// Returns the questions of the last decision that lacked [`PackedDecision::LIMIT`]. JavaScript calls this in the same turn.
#[wasm_bindgen]
pub fn limit_questions() -> String {
    with_isolate(|isolate| {
        let patience = isolate.settings().limiter_patience_ms;
        isolate.limits.get_mut().questions(patience)
    })
    .unwrap_or_default()
}

/// Returns the lines about the last decision of a route with limits, see
/// [`Limits::lines`](crate::limiting::Limits::lines). JavaScript calls this in the same turn.
#[wasm_bindgen]
pub fn limit_lines() -> String {
    with_isolate(|isolate| isolate.limits.get_mut().lines()).unwrap_or_default()
}

/// Returns true while the request that asked a question waits for its answer.
#[wasm_bindgen]
pub fn limit_is_awaited(number: u32) -> bool {
    with_isolate(|isolate| isolate.limits.get_mut().is_awaited(number)).unwrap_or_default()
}

/// Takes in the answer to a question, with durations in microseconds. `remaining` is negative if the limiter does not tell.
#[wasm_bindgen]
pub fn limit_answered(number: u32, granted: u32, remaining: f64, reset: f64, retry: f64) {
    let answer = Answer {
        granted,
        remaining: (remaining >= 0.0).then_some(remaining as u32),
        reset_us: reset as u64,
        retry_us: retry as u64,
    };
    with_isolate(|isolate| isolate.limits.get_mut().answered(number, answer, now_ms()));
}

/// Notes that the request that asked a question waits no longer.
#[wasm_bindgen]
pub fn limit_gave_up(number: u32) {
    with_isolate(|isolate| isolate.limits.get_mut().gave_up(number));
}

/// Notes that a question has failed.
#[wasm_bindgen]
pub fn limit_failed(number: u32) {
    with_isolate(|isolate| isolate.limits.get_mut().failed(number, now_ms()));
}

/// Notes that the Worker has no binding for the limiter of a question.
#[wasm_bindgen]
pub fn limit_absent(number: u32) {
    with_isolate(|isolate| isolate.limits.get_mut().absent(number));
}

/// Takes tokens in a limiter, see [`Rate::take`]. Times are in microseconds. Returns the theoretical arrival time, the
/// granted and the remaining tokens, and the times until the burst is whole and until a token can be had.
#[wasm_bindgen]
pub fn limiter_take(tat: f64, now: f64, wanted: u32, interval: f64, burst: u32) -> Vec<f64> {
    // Microseconds since 1970 are below 2^53 for two hundred years.
    let taken = Rate::new(interval as u64, burst).take(tat as u64, now as u64, wanted);
    let (reset, retry) = (taken.reset_us as f64, taken.retry_us as f64);
    vec![taken.tat as f64, f64::from(taken.granted), f64::from(taken.remaining), reset, retry]
}
