//! The table: the configuration that JavaScript keeps between requests.

use crate::{
    bindings::{groups, state::with_isolate},
    wire::input_name,
};
use cutover_core::{
    Reason,
    adapter::Program,
    caching::CacheRules,
    decision::route::CompiledOrigin,
    rules::{origin::OriginOptions, route::Fallback},
};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

/// One value per route or origin, `None` for one without; `None` altogether if none has one.
type PerRoute<T> = Option<Vec<Option<T>>>;

/// The headers that responses of an adapter have in common: the content type, empty for that of JSON,
/// and the names and values of the others, of successes and of errors.
type CommonHeaders<'i> = (&'i str, Vec<(&'i str, &'i str)>, Vec<(&'i str, &'i str)>);

/// The configuration that JavaScript keeps between requests.
#[derive(Serialize)]
struct Table<'i> {
    generation: u32,
    revision: u64,
    inputs: Vec<&'i str>,
    cookies_unless: Option<&'i str>,
    /// Base URL, timeout in milliseconds and options of each origin.
    origins: Vec<(&'i str, u32, Option<&'i OriginOptions>)>,
    /// Positions of each route's origins: legacy, new, legacy, new and so on.
    arms: Vec<usize>,
    /// For each adapted route, the headers and the token claims that its adapters read.
    adapt: PerRoute<(Vec<&'i str>, Vec<&'i str>)>,
    /// For each adapter, the path of its endpoint, the request headers forwarded to the backend, the
    /// backend's response headers passed on to the client, and the headers of all responses.
    adapters: Vec<AdapterProgram<'i>>,
    /// For each compared route, the limits in milliseconds and bytes, the headers to compare, and
    /// the idempotency-key header that makes a mirrored write safe to repeat.
    compare: PerRoute<(u32, u32, &'i [String], Option<&'i str>)>,
    /// For each route, true if a response with a success status may hide an error.
    hides: Option<Vec<bool>>,
    /// For each route, true if its requests are checked by a guard; `None` altogether if no route has one.
    guards: Option<Vec<bool>>,
    /// For each route, the rules by which its responses are cached.
    caches: PerRoute<CacheColumn<'i>>,
    /// For each route, true if it has rate limits; `None` altogether if no route has any.
    limits: Option<Vec<bool>>,
    /// For each route, the code of its [`Fallback`]; `None` altogether if all have the default.
    fallback: Option<Vec<u8>>,
    /// For each origin with a secondary, a retry or a path for its health, and for each secondary, see
    /// [`FailoverOptions`]; `None` altogether if no origin has one.
    failover: PerRoute<FailoverOptions>,
    /// Address of the variants of the last decision's user, see [`groups`]; `None` if no experiment runs.
    groups: Option<usize>,
    /// True if there are endpoints that evaluate flags.
    evaluates: bool,
    reports: bool,
    headers: u32,
    reasons: [Reason; Reason::ALL.len()],
}

/// Position of an origin's secondary, -1 if it has none; true if a failed request may be sent to it a second time; true
/// if it says at a path of its own how it is.
type FailoverOptions = (i32, bool, bool);
/// The rules by which the responses of a route are cached, see [`CacheRules`].
#[derive(Serialize)]
struct CacheColumn<'i> {
    ttl: Option<u32>,
    stale: u32,
    headers: &'i [String],
    tags: &'i [String],
    version: u32,
}

impl<'i> CacheColumn<'i> {
    fn of(rules: &'i CacheRules) -> Self {
        let CacheRules { ttl_seconds, stale_seconds, headers, tags, version, bypass_percent: _ } = rules;
        Self { ttl: *ttl_seconds, stale: *stale_seconds, headers, tags, version: *version }
    }
}

type AdapterProgram<'i> = (&'i str, &'i [String], &'i [String], Option<CommonHeaders<'i>>);

/// Returns the headers that responses of an adapter have in common; `None` if there are none.
fn common_headers(program: &Program) -> Option<CommonHeaders<'_>> {
    let content_type = program.content_type.as_str();
    let [successes, errors] = [false, true].map(|is_error| program.constant_headers(is_error));
    let is_plain = content_type.is_empty() && successes.is_empty() && errors.is_empty();
    (!is_plain).then_some((content_type, successes, errors))
}

fn failover_options(origins: &[CompiledOrigin]) -> PerRoute<FailoverOptions> {
    let options = |origin: &CompiledOrigin| {
        let failover = origin.failover.as_ref()?;
        let secondary = failover.secondary.and_then(|position| i32::try_from(position).ok());
        Some((secondary.unwrap_or(-1), failover.retry, failover.health.is_some()))
    };
    origins.iter().any(|origin| origin.failover.is_some()).then(|| origins.iter().map(options).collect())
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
            .map(|origin| (origin.base.as_str(), origin.timeout_ms, origin.options.as_ref()))
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
            let common = common_headers(program);
            (program.endpoint.as_str(), program.forward.as_slice(), program.keep.as_slice(), common)
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
            inputs: isolate.inputs().iter().map(input_name).collect(),
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
            guards: routes()
                .any(|route| route.guard.is_some())
                .then(|| routes().map(|route| route.guard.is_some()).collect()),
            caches: routes()
                .any(|route| route.cache.is_some())
                .then(|| routes().map(|route| route.cache.as_ref().map(CacheColumn::of)).collect()),
            limits: routes()
                .any(|route| !route.limits.is_empty())
                .then(|| routes().map(|route| !route.limits.is_empty()).collect()),
            fallback: routes()
                .any(|route| route.fallback != Fallback::default())
                .then(|| routes().map(|route| route.fallback as u8).collect()),
            failover: failover_options(rules.as_deref().map(|rules| rules.origins()).unwrap_or_default()),
            groups: rules
                .as_deref()
                .filter(|rules| rules.has_running_experiments())
                .map(|_| groups::address()),
            evaluates: rules.as_deref().is_some_and(|rules| rules.access().is_some()),
            reports: settings.reports,
            headers: settings.headers.bits(),
            reasons: Reason::ALL,
        };
        serde_json::to_string(&table).unwrap_or_default()
    })
    .unwrap_or_default()
}
