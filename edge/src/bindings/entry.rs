//! The functions that JavaScript calls. Nothing here is kept across an await except the environment
//! of the request itself: the isolate's state is borrowed for one step at a time.

use crate::{
    bindings::{
        exchanges, groups, kv,
        state::{mint, now_ms, with_isolate},
    },
    isolate::Isolate,
    settings::Settings,
    wire::{Packed, PackedDecision},
};
use cutover_core::{Arm, Reason};
use std::cell::RefCell;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Context, Env, worker_sys::Context as RawContext};

thread_local! {
    static MINTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub(super) fn remember(isolate: &Isolate, (answer, minted): (PackedDecision, Option<String>)) -> u32 {
    exchanges::remember(isolate.begun.take());
    groups::remember(&isolate.groups.borrow());
    if minted.is_some() {
        MINTED.with(|held| held.replace(minted));
    }
    answer.0
}

/// Sets the number of the first generation of a core that replaces a broken one, see [`Isolate::begin_generations`].
#[wasm_bindgen]
pub fn begin_generations(first: u32) {
    with_isolate(|isolate| isolate.begin_generations(first));
}

/// Decides a request. See [`crate::wire`] for both formats.
#[wasm_bindgen]
pub fn decide(packed: &str, now: f64, generation: u32) -> u32 {
    with_isolate(|isolate| {
        remember(isolate, isolate.decide(&Packed::new(packed), now as i64, generation, mint))
    })
    .unwrap_or(PackedDecision::legacy(Reason::Internal).0)
}

/// Decides a request that asks for an arm with a signed header, which JavaScript has verified.
#[wasm_bindgen]
pub fn decide_forced(packed: &str, now: f64, generation: u32, is_new: bool) -> u32 {
    let forced = Some(if is_new { Arm::New } else { Arm::Legacy });
    let mut packed = Packed::new(packed);
    packed.forced = forced;
    with_isolate(|isolate| remember(isolate, isolate.decide(&packed, now as i64, generation, mint)))
        .unwrap_or(PackedDecision::legacy(Reason::Internal).0)
}

/// Returns the position of the legacy origin of the request's route, or -1 if no route matches. For a request that
/// could not be decided, because its inputs could not be read.
#[wasm_bindgen]
pub fn legacy_origin(packed: &str, generation: u32) -> i32 {
    let position = with_isolate(|isolate| {
        let is_current = isolate.generation() == generation;
        isolate.legacy_origin(&Packed::new(packed)).filter(|_| is_current)
    });
    position.flatten().and_then(|position| i32::try_from(position).ok()).unwrap_or(-1)
}

/// Counts requests whose ends nobody will learn.
#[wasm_bindgen]
pub fn lose(outcomes: u32) {
    with_isolate(|isolate| isolate.counting.lose(u64::from(outcomes)));
}

/// Returns the anonymous id that the last decision minted. JavaScript calls this in the same turn,
/// so no other request comes between.
#[wasm_bindgen]
pub fn minted() -> Option<String> {
    MINTED.with(RefCell::take)
}

/// Returns the lower half of the hash of the last decision's user, see [`PackedDecision::EVIDENCE`]; 0 if the request is no
/// evidence of a canary. JavaScript calls this in the same turn.
#[wasm_bindgen]
pub fn evidence_low() -> u32 {
    // Cuts off the upper half on purpose.
    with_isolate(|isolate| isolate.evidence.get() as u32).unwrap_or_default()
}

/// Returns the upper half of that hash, see [`evidence_low`].
#[wasm_bindgen]
pub fn evidence_high() -> u32 {
    with_isolate(|isolate| (isolate.evidence.get() >> 32) as u32).unwrap_or_default()
}

/// Returns the number of the last decision's ticket, see [`Isolate::ticket`]. JavaScript calls this in the same turn.
#[wasm_bindgen]
pub fn experiment_ticket() -> u32 {
    with_isolate(|isolate| isolate.ticket.get()).unwrap_or_default()
}

/// Counts outcomes, see [`Isolate::record`].
#[wasm_bindgen]
pub fn record(outcomes: &[u32]) {
    with_isolate(|isolate| {
        isolate.record(outcomes);
        isolate.forget_well_origins(now_ms());
    });
}

/// Returns true if a question is due, see [`Schedule::question_is_due`](crate::schedule::Schedule::question_is_due).
#[wasm_bindgen]
pub fn question_is_due(last_request: f64) -> bool {
    with_isolate(|isolate| isolate.schedule.question_is_due(now_ms(), last_request as i64))
        .unwrap_or_default()
}

/// Returns true if a report is due, see [`Schedule::report_is_due`](crate::schedule::Schedule::report_is_due).
#[wasm_bindgen]
pub fn report_is_due() -> bool {
    with_isolate(|isolate| isolate.schedule.report_is_due(now_ms())).unwrap_or_default()
}

/// Returns the milliseconds to the next look at the schedule, see
/// [`Schedule::pause_ms`](crate::schedule::Schedule::pause_ms).
#[wasm_bindgen]
pub fn pause_ms(last_request: f64) -> f64 {
    // A few seconds at most.
    with_isolate(|isolate| isolate.schedule.pause_ms(now_ms(), last_request as i64) as f64).unwrap_or(1_000.0)
}

/// Returns the next batch to send, see [`Isolate::next_batch`].
#[wasm_bindgen]
pub fn next_batch(at_rest: bool, open: u32) -> Option<String> {
    with_isolate(|isolate| isolate.next_batch(at_rest, open, now_ms())).flatten()
}

/// Returns the sequence number of the batch that [`next_batch`] returned last.
#[wasm_bindgen]
pub fn sequence() -> f64 {
    // A count of batches, far below 2^53.
    with_isolate(|isolate| isolate.reporting.sequence() as f64).unwrap_or_default()
}

/// Applies the response to a batch, see [`Isolate::finish_batch`].
#[wasm_bindgen]
pub fn finish_batch(sequence: f64, status: u16, body: &str) -> bool {
    with_isolate(|isolate| isolate.finish_batch(sequence as u64, status, body, now_ms(), mint))
        .unwrap_or_default()
}

/// Returns a question to the control plane, see [`Isolate::question`].
#[wasm_bindgen]
pub fn question() -> Option<String> {
    with_isolate(|isolate| isolate.question(now_ms())).flatten()
}

/// Applies the response to a question, see [`Isolate::answered`].
#[wasm_bindgen]
pub fn answered(status: u16, body: &str) {
    with_isolate(|isolate| isolate.answered(status, body, now_ms()));
}

/// Reads the environment and starts reading the first snapshot. Returns the number of milliseconds
/// for which requests may wait for it.
#[wasm_bindgen]
pub fn boot(env: Env, context: RawContext) -> f64 {
    let settings = Settings::read(|name| env.var(name).ok().map(|value| value.to_string()));
    let patience = settings.boot_wait_ms;
    with_isolate(|isolate| {
        if let (None, Some(name)) = (isolate.reporting.isolate(), mint()) {
            isolate.begin_draws(&name);
            isolate.reporting.name(name);
        }
        if *isolate.settings() != settings {
            isolate.configure(settings, now_ms());
        }
    });
    refresh(env, context);
    patience as f64
}

/// Returns true while the isolate holds no snapshot and one is being read.
#[wasm_bindgen]
pub fn is_worth_waiting() -> bool {
    with_isolate(|isolate| isolate.is_worth_waiting(now_ms())).unwrap_or_default()
}

/// Reads the snapshot in the background of the request, unless it is not due or another request is
/// reading it.
#[wasm_bindgen]
pub fn refresh(env: Env, context: RawContext) {
    if with_isolate(|isolate| isolate.begin_read(now_ms())) != Some(true) {
        return;
    }
    Context::new(context).wait_until(async move {
        let read = kv::read_snapshot(&env).await;
        let outcome = with_isolate(|isolate| isolate.finish_read(now_ms(), read));
        if let Some(Err(refusal)) = outcome {
            worker::console_warn!("{refusal}");
        }
    });
}
