//! The functions that JavaScript calls. Nothing here is kept across an await except the environment
//! of the request itself: the isolate's state is borrowed for one step at a time.

use crate::{
    adapting,
    isolate::Isolate,
    kv,
    settings::Settings,
    wire::{Answer, Packed, input_name},
};
use cutover_core::{Reason, decision::input::Input};
use serde::Serialize;
use std::{cell::RefCell, fmt::Write};
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Context, Env, worker_sys::Context as RawContext};

thread_local! {
    static ISOLATE: RefCell<Isolate> = RefCell::new(Isolate::default());
    static MINTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one step on the isolate's state. Returns `None` only if a step calls another step, which
/// none does.
pub(crate) fn with_isolate<T>(step: impl FnOnce(&mut Isolate) -> T) -> Option<T> {
    ISOLATE.with(|isolate| isolate.try_borrow_mut().ok().map(|mut isolate| step(&mut isolate)))
}

pub(crate) fn now_ms() -> i64 {
    // Whole milliseconds since 1970 fit.
    js_sys::Date::now() as i64
}

/// Returns 128 random bits as 32 hexadecimal digits, or `None` if the runtime has no randomness.
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

/// Returns the names of the inputs that the request's route needs, one per line.
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

/// Returns the anonymous id that the last decision minted. JavaScript calls this in the same turn,
/// so no other request comes between.
#[wasm_bindgen]
pub fn minted() -> Option<String> {
    MINTED.with(RefCell::take)
}

/// One value per route, `None` for a route without one; `None` altogether if no route has one.
type PerRoute<T> = Option<Vec<Option<T>>>;

/// The configuration that JavaScript keeps between requests.
#[derive(Serialize)]
struct Table<'i> {
    generation: u32,
    revision: u64,
    inputs: Vec<&'i str>,
    cookies_unless: Option<&'i str>,
    /// Base URL and timeout in milliseconds of each origin.
    origins: Vec<(&'i str, u32)>,
    /// Positions of each route's origins: legacy, new, legacy, new and so on.
    arms: Vec<usize>,
    /// For each adapted route, the headers and the token claims that its adapters read.
    adapt: PerRoute<(Vec<&'i str>, Vec<&'i str>)>,
    /// For each adapter, the path of its endpoint, the request headers forwarded to the backend,
    /// and the backend's response headers passed on to the client.
    adapters: Vec<(&'i str, &'i [String], &'i [String])>,
    /// For each compared route, the limits in milliseconds and bytes, the headers to compare, and
    /// the idempotency-key header that makes a mirrored write safe to repeat.
    compare: PerRoute<(u32, u32, &'i [String], Option<&'i str>)>,
    /// For each route, true if a response with a success status may hide an error.
    hides: Option<Vec<bool>>,
    report_interval: i64,
    headers: u32,
    reasons: [Reason; 12],
}

/// Returns the configuration that JavaScript keeps between requests, as JSON.
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
            // Most configurations adapt and compare nothing, which keeps their tables small.
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

/// Counts outcomes, see [`Isolate::record`].
#[wasm_bindgen]
pub fn record(outcomes: &[u32], now: f64) {
    with_isolate(|isolate| isolate.record(outcomes, now as i64));
}

/// Returns the next batch to send, see [`Isolate::next_batch`].
#[wasm_bindgen]
pub fn next_batch(at_rest: bool) -> Option<String> {
    with_isolate(|isolate| isolate.next_batch(at_rest, now_ms())).flatten()
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
    with_isolate(|isolate| isolate.finish_batch(sequence as u64, status, body, now_ms())).unwrap_or_default()
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

/// Returns true while a question waits for its response.
#[wasm_bindgen]
pub fn is_asking() -> bool {
    with_isolate(|isolate| isolate.reporting.is_asking(now_ms())).unwrap_or_default()
}

/// Returns true if the control plane does not expect a report from this isolate, or has been silent
/// for more than `limit_ms` milliseconds.
#[wasm_bindgen]
pub fn must_announce(limit_ms: f64) -> bool {
    with_isolate(|isolate| isolate.reporting.must_announce(now_ms(), limit_ms as i64)).unwrap_or_default()
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

fn lines(inputs: &[Input]) -> String {
    inputs.iter().map(input_name).collect::<Vec<_>>().join("\n")
}
