//! Comparisons, driven by JavaScript. No response waits for their counts, so a failure here affects
//! no request.

use crate::{
    bindings::state::{now_ms, with_isolate},
    comparison_queue::{ComparisonQueue, ResponsePair, Ticket},
    counting::users::UserRequest,
    wire::{HEAD_SEPARATOR, read_unfit, ticket, verdict},
};
use cutover_core::{Arm, Ruleset, compare::SkipReason, decision::route::CompiledRoute, json::Json};
use wasm_bindgen::prelude::wasm_bindgen;

fn with_route<T>(
    route: u32,
    generation: u32,
    step: impl FnOnce(&mut ComparisonQueue, &Ruleset, &CompiledRoute, u64) -> T,
) -> Option<T> {
    with_isolate(|isolate| {
        let draw = isolate.draw();
        let rules = isolate.rules_of(generation)?;
        let route = rules.routes().get(usize::try_from(route).ok()?)?;
        Some(step(&mut isolate.counting.comparing, &rules, route, draw))
    })
    .flatten()
}

/// Claims a comparison and returns its [`ticket`].
#[wasm_bindgen]
pub fn begin_comparison(route: u32, generation: u32, is_safe: bool) -> u32 {
    with_route(route, generation, |comparing, rules, route, draw| {
        match comparing.begin(route, is_safe, draw, now_ms()) {
            Ticket::Compare(claim) => ticket::COMPARE | claim << ticket::SHIFT,
            Ticket::WithNoise(claim) => ticket::WITH_NOISE | claim << ticket::SHIFT,
            Ticket::Refused(reason) => {
                comparing.refuse(rules, route, reason, now_ms());
                ticket::NONE
            }
        }
    })
    .unwrap_or_default()
}

/// Counts a request that is not compared, without claiming a comparison. `reason` is an index into
/// [`SkipReason::ALL`].
#[wasm_bindgen]
pub fn refuse_comparison(route: u32, generation: u32, reason: usize) {
    with_route(route, generation, |comparing, rules, route, _| {
        comparing.refuse(rules, route, skip_reason(reason), now_ms());
    });
}

fn skip_reason(code: usize) -> SkipReason {
    SkipReason::ALL.get(code).copied().unwrap_or(SkipReason::Unreachable)
}

/// Gives back a claimed comparison by its ticket. `reason` is an index into [`SkipReason::ALL`]. If the
/// generation is no longer held, the claim runs out and counts as a timeout, as if this had not been called.
#[wasm_bindgen]
pub fn skip_comparison(route: u32, generation: u32, claimed: u32, reason: usize) {
    with_route(route, generation, |comparing, rules, route, _| {
        comparing.skip(rules, route, claimed >> ticket::SHIFT, skip_reason(reason), now_ms());
    });
}

/// Counts a claimed comparison, by its ticket. `heads` holds the heads of legacy's response, of the new backend's
/// and of legacy's second one, and the lines of `adapted_unfit` if the new backend's response does not fit its
/// adapter, separated by U+0001, which no header can hold. A head is a status and header values, one per line.
/// If the generation is no longer held, the claim runs out and counts as a timeout, as if this had not been
/// called. Returns a [`verdict`].
#[wasm_bindgen]
pub fn finish_comparison(
    route: u32,
    generation: u32,
    claimed: u32,
    heads: &str,
    old: &[u8],
    new: &[u8],
    again: &[u8],
) -> u32 {
    let mismatch = with_route(route, generation, |comparing, rules, route, _| {
        let mut heads = heads.split(HEAD_SEPARATOR);
        let mut head = || heads.next().unwrap_or_default();
        let (old_head, new_head, again_head, unfit) = (head(), head(), head(), head());
        let again = Some((again_head, again)).filter(|(head, _)| !head.is_empty());
        let misfit = read_unfit(unfit).map(|unfit| unfit.difference());
        let answers = ResponsePair { old: (old_head, old), new: (new_head, new), misfit, again };
        comparing.finish(rules, route, claimed >> ticket::SHIFT, answers, now_ms())
    });
    match mismatch.flatten() {
        None => verdict::NONE,
        Some(false) => verdict::EQUAL,
        Some(true) => verdict::MISMATCH,
    }
}

/// Notes the verdict on a request of a user who is evidence. `low` and `high` are the halves of the hash that the decision
/// gave for the user, and `begun` is the start of the request in milliseconds since 1970.
#[wasm_bindgen]
pub fn note_compared(route: u32, generation: u32, low: u32, high: u32, begun: f64, is_mismatch: bool) {
    with_isolate(|isolate| {
        let rules = isolate.rules_of(generation)?;
        let flag = rules.routes().get(usize::try_from(route).ok()?)?.flag?;
        let user = u64::from(high) << 32 | u64::from(low);
        // Both backends answered, so the arm does not matter.
        let request = UserRequest { user, arm: Arm::New, minted: false, begun: begun as i64 };
        isolate.counting.add_compared(generation, flag, request, is_mismatch);
        Some(())
    });
}

/// Returns true if a response with a success status hides an error, by the rule of its route.
#[wasm_bindgen]
pub fn hides_error(route: u32, generation: u32, body: &[u8]) -> bool {
    with_route(route, generation, |_, _, route, _| {
        let text = std::str::from_utf8(body).ok()?;
        let body = Json::parse(text).ok()?;
        Some(route.error_when.as_ref()?.is_in(&body))
    })
    .flatten()
    .unwrap_or_default()
}
