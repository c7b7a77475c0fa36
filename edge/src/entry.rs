//! What JavaScript calls. Nothing here is kept across an await but the environment of the request itself:
//! the isolate's state is borrowed for one step at a time.

use crate::{
    adapting,
    isolate::Isolate,
    kv,
    settings::Settings,
    wire::{Answer, Packed, input_name},
};
use cutover_core::{Reason, ruleset::Input};
use serde::Serialize;
use std::{cell::RefCell, fmt::Write};
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Context, Env, worker_sys::Context as RawContext};

thread_local! {
    static ISOLATE: RefCell<Isolate> = RefCell::new(Isolate::default());
    static MINTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// One step on the isolate's state. `None` cannot happen while no step calls another.
pub(crate) fn with_isolate<T>(step: impl FnOnce(&mut Isolate) -> T) -> Option<T> {
    ISOLATE.with(|isolate| isolate.try_borrow_mut().ok().map(|mut isolate| step(&mut isolate)))
}

pub(crate) fn now_ms() -> i64 {
    // Whole milliseconds since 1970 fit.
    js_sys::Date::now() as i64
}

/// 128 random bits as 32 hexadecimal digits.
fn mint() -> Option<String> {
    let mut bits = [0_u8; 16];
    getrandom::fill(&mut bits).ok()?;
    let mut id = String::with_capacity(32);
    for byte in bits {
        write!(id, "{byte:02x}").ok()?;
    }
    Some(id)
}

fn remember(isolate: &Isolate, (answer, minted): (Answer, Option<String>)) -> u32 {
    adapting::remember(isolate.begun.take());
    if minted.is_some() {
        MINTED.with(|held| held.replace(minted));
    }
    answer.0
}

/// Decides a request. See [`crate::wire`] for both formats.
#[wasm_bindgen]
pub fn decide(packed: &str, now: f64, generation: u32) -> u32 {
    with_isolate(|isolate| {
        remember(isolate, isolate.decide(&Packed::new(packed), now as i64, generation, mint))
    })
    .unwrap_or(Answer::legacy(Reason::Internal).0)
}

/// Decides a request with the inputs that [`inputs_for`] named.
#[wasm_bindgen]
pub fn decide_with(packed: &str, now: f64) -> u32 {
    with_isolate(|isolate| {
        let packed = Packed::new(packed);
        let rules = isolate.rules();
        let inputs: &[Input] = rules
            .as_deref()
            .and_then(|rules| rules.route(packed.method, packed.path))
            .map(|route| route.inputs.as_slice())
            .unwrap_or_default();
        remember(isolate, isolate.decide_with(&packed, inputs, now as i64, mint))
    })
    .unwrap_or(Answer::legacy(Reason::Internal).0)
}

/// The names of the inputs that the request's route asks for, one per line.
#[wasm_bindgen]
pub fn inputs_for(packed: &str) -> String {
    with_isolate(|isolate| {
        let packed = Packed::new(packed);
        let rules = isolate.rules();
        let route = rules.as_deref().and_then(|rules| rules.route(packed.method, packed.path));
        route.map(|route| lines(&route.inputs)).unwrap_or_default()
    })
    .unwrap_or_default()
}

/// The anonymous id that the last decision minted. Asked for in the same turn, so no other request is between.
#[wasm_bindgen]
pub fn minted() -> Option<String> {
    MINTED.with(RefCell::take)
}

/// Something of the routes that have it; nothing at all where none has.
type PerRoute<T> = Option<Vec<Option<T>>>;

/// What JavaScript keeps between requests.
#[derive(Serialize)]
struct Table<'i> {
    generation: u32,
    revision: u64,
    inputs: Vec<&'i str>,
    cookies_unless: Option<&'i str>,
    /// Base URL and milliseconds of each origin.
    origins: Vec<(&'i str, u32)>,
    /// The positions of the origins of each route: legacy, new, legacy, new and so on.
    arms: Vec<usize>,
    /// Of each route, what its adapters look at: headers, and claims of a token.
    adapt: PerRoute<(Vec<&'i str>, Vec<&'i str>)>,
    /// Of each adapter, the path of its endpoint, the headers that the backend gets, and those of the backend's that the
    /// client gets.
    adapters: Vec<(&'i str, &'i [String], &'i [String])>,
    /// Of each route, how its answers are compared: milliseconds, bytes, headers, and the header that makes a request that
    /// changes something safe to repeat.
    compare: PerRoute<(u32, u32, &'i [String], Option<&'i str>)>,
    /// Of each route, whether its answers may hide errors.
    hides: Option<Vec<bool>>,
    report_interval: i64,
    headers: u32,
    reasons: [Reason; 12],
}

/// What JavaScript keeps between requests, as JSON.
#[wasm_bindgen]
pub fn table() -> String {
    with_isolate(|isolate| {
        let rules = isolate.rules();
        let origins: Vec<_> = rules
            .as_deref()
            .map(|rules| rules.origins())
            .unwrap_or_default()
            .iter()
            .map(|origin| (origin.base.as_str(), origin.timeout_ms))
            .collect();
        let arms: Vec<usize> = rules
            .as_deref()
            .map(|rules| rules.routes())
            .unwrap_or_default()
            .iter()
            .flat_map(|route| [route.legacy, route.new])
            .collect();
        let routes = || rules.as_deref().map(|rules| rules.routes()).unwrap_or_default().iter();
        let adapt = routes().map(|route| {
            let rules = rules.as_deref().filter(|_| !route.adapt.is_empty())?;
            Some((rules.headers_for(route), rules.claims_for(route)))
        });
        let adapters = rules.as_deref().map(|rules| rules.adapters()).unwrap_or_default().iter();
        let adapters = adapters.map(|adapter| {
            let program = &adapter.program;
            (program.endpoint.as_str(), program.forward.as_slice(), program.keep.as_slice())
        });
        let compare = routes().map(|route| {
            let policy = route.compare.as_ref()?;
            let key = policy.mirror.as_ref().map(|mirror| mirror.key_header.as_str());
            Some((policy.timeout_ms, policy.max_bytes, policy.headers.as_slice(), key))
        });
        let settings = isolate.settings();
        let table = Table {
            generation: isolate.generation(),
            revision: rules.as_deref().map_or(0, |rules| rules.revision().0),
            inputs: isolate.inputs_up_front().iter().map(input_name).collect(),
            cookies_unless: rules.as_deref().and_then(|rules| rules.cookies_unless()),
            origins,
            arms,
            // Most configurations have none, and their tables stay small.
            adapt: routes().any(|route| !route.adapt.is_empty()).then(|| adapt.collect()),
            adapters: adapters.collect(),
            compare: routes().any(|route| route.compare.is_some()).then(|| compare.collect()),
            hides: routes()
                .any(|route| route.error_when.is_some())
                .then(|| routes().map(|route| route.error_when.is_some()).collect()),
            report_interval: if settings.reports { settings.report_interval_ms } else { 0 },
            headers: settings.headers.bits(),
            reasons: Reason::ALL,
        };
        serde_json::to_string(&table).unwrap_or_default()
    })
    .unwrap_or_default()
}

/// Counts outcomes, see [`crate::isolate::Isolate::record`].
#[wasm_bindgen]
pub fn record(outcomes: &[u32], at: f64) {
    with_isolate(|isolate| isolate.record(outcomes, at as i64));
}

/// The next batch to send, see [`crate::isolate::Isolate::next_batch`].
#[wasm_bindgen]
pub fn next_batch(at_rest: bool) -> Option<String> {
    with_isolate(|isolate| isolate.next_batch(at_rest, now_ms())).flatten()
}

/// The number of the batch that [`next_batch`] gave last.
#[wasm_bindgen]
pub fn sequence() -> f64 {
    // A number of batches, far below 2^53.
    with_isolate(|isolate| isolate.reporting.sequence() as f64).unwrap_or_default()
}

/// Takes in how the exchange of a batch ended, see [`crate::isolate::Isolate::finish_batch`].
#[wasm_bindgen]
pub fn finish_batch(sequence: f64, status: u16, body: &str) -> bool {
    with_isolate(|isolate| isolate.finish_batch(sequence as u64, status, body, now_ms())).unwrap_or_default()
}

/// A question to the control plane, see [`crate::isolate::Isolate::question`].
#[wasm_bindgen]
pub fn question() -> Option<String> {
    with_isolate(|isolate| isolate.question(now_ms())).flatten()
}

/// Takes in the answer to a question, see [`crate::isolate::Isolate::answered`].
#[wasm_bindgen]
pub fn answered(status: u16, body: &str) {
    with_isolate(|isolate| isolate.answered(status, body, now_ms()));
}

/// Whether another request waits for the answer to a question.
#[wasm_bindgen]
pub fn is_asking() -> bool {
    with_isolate(|isolate| isolate.reporting.is_asking(now_ms())).unwrap_or_default()
}

/// Whether the control plane does not know that there will be something to tell, or was not heard since this many
/// milliseconds.
#[wasm_bindgen]
pub fn must_announce(limit_ms: f64) -> bool {
    with_isolate(|isolate| isolate.reporting.must_announce(now_ms(), limit_ms as i64)).unwrap_or_default()
}

/// Reads the environment and begins to bring the first snapshot. Returns for how many milliseconds it may be waited
/// for.
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

/// Whether a request may still hope for the snapshot that is being read.
#[wasm_bindgen]
pub fn is_worth_waiting() -> bool {
    with_isolate(|isolate| isolate.is_worth_waiting(now_ms())).unwrap_or_default()
}

/// Reads the snapshot behind the request, unless another request is on it or it is not due.
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

fn lines(inputs: &[Input]) -> String {
    inputs.iter().map(input_name).collect::<Vec<_>>().join("\n")
}
