//! The paths that the Worker answers itself, and the token that opens them. Events have a path of their own, see
//! [`track`](crate::bindings::track).

use crate::{
    bindings::{
        response::response,
        state::{now_ms, with_isolate},
    },
    isolate::Counts,
    limiting::LimitCounts,
    wire::Packed,
};
use cutover_core::{
    Arm, Facts, Reason, RouteId, Ruleset, Timestamp, decide,
    decision::{decide::identity_on, failover::OriginState},
    rules::experiment::compiled::Outside,
};
use serde::Serialize;
use std::collections::BTreeMap;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{Env, WorkerVersionMetadata};

/// Name of the binding that says which version of the Worker this is.
const VERSION: &str = "CUTOVER_VERSION";

/// Answers `/_cutover/health` and `/_cutover/decide`.
///
/// # Errors
///
/// Fails if the runtime cannot build the response.
#[wasm_bindgen]
pub fn own_path(packed: &str, authorization: Option<String>, env: Env) -> Result<web_sys::Response, JsValue> {
    let packed = Packed::new(packed);
    let (status, body) = match packed.path {
        "/_cutover/health" if is_holder(authorization.as_deref(), &env) => health(&env),
        "/_cutover/health" => (200, json(&Alive { status: "ok" })),
        "/_cutover/decide" => explain(&packed, authorization.as_deref(), &env),
        _ => problem(404, "own_path_unknown", "Not Found", "The Worker has no such path of its own."),
    };
    respond(status, Some(&body))
}

/// Returns true if a request brings the edge token.
#[wasm_bindgen]
pub fn is_edge_holder(authorization: Option<String>, env: Env) -> bool {
    is_holder(authorization.as_deref(), &env)
}

/// Builds a response. One that asks for patience says for how long.
pub(super) fn respond(status: u16, body: Option<&str>) -> Result<web_sys::Response, JsValue> {
    let kind = if status == 200 { "application/json" } else { "application/problem+json" };
    let kind = body.map(|_| ("content-type", kind));
    let patience = matches!(status, 429 | 503).then_some(("retry-after", "1"));
    let headers = [Some(("cache-control", "no-store")), kind, patience];
    response(status, headers.into_iter().flatten(), body.unwrap_or_default())
}

#[derive(Serialize)]
struct Problem<'p> {
    r#type: &'p str,
    title: &'p str,
    status: u16,
    code: &'p str,
    detail: &'p str,
}

pub(super) fn problem(status: u16, code: &str, title: &str, detail: &str) -> (u16, String) {
    (status, json(&Problem { r#type: "about:blank", title, status, code, detail }))
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

/// Health for everybody: the Worker runs. More is for holders of the edge token, because it tells names and volumes.
#[derive(Serialize)]
struct Alive<'a> {
    status: &'a str,
}

/// State of the isolate, as `/_cutover/health` reports it to holders of the edge token.
#[derive(Serialize)]
struct Health<'i> {
    status: &'i str,
    /// Id of this version of the Worker; `None` if it has no such binding.
    version: Option<&'i str>,
    revision: Option<u64>,
    snapshot_age_ms: Option<i64>,
    flags: Option<usize>,
    kv_reads: u64,
    /// Bytes of the core's memory, which grows and never shrinks.
    memory: usize,
    last_refusal: Option<&'i str>,
    settings_not_understood: &'i [&'static str],
    /// Entries of event headers that were not understood.
    malformed_events: u64,
    /// Documents that are not trusted and were sent on, by their routes. Absent as long as there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    untrusted_documents: &'i BTreeMap<RouteId, u64>,
    /// Origins that are not well; absent if all are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    origins: Vec<OriginState<'i>>,
    reporting: ReportingHealth<'i>,
    /// Rate limits of the rules in force; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<LimitHealth<'i>>,
    outcomes: Counts,
}

#[derive(Serialize)]
struct LimitHealth<'i> {
    policy: &'i str,
    /// `bound` or `absent`: the Worker has no binding for it, so each isolate limits by itself.
    limiter: &'static str,
    #[serde(flatten)]
    counts: LimitCounts,
}

#[derive(Serialize)]
struct ReportingHealth<'i> {
    enabled: bool,
    isolate: Option<&'i str>,
    sent: u64,
    failures: u64,
    silence_ms: Option<i64>,
    pending: bool,
    cells: usize,
    lost: u64,
    users_lost: u64,
}

fn limit_health((policy, counts, is_absent): (&str, LimitCounts, bool)) -> LimitHealth<'_> {
    LimitHealth { policy, limiter: if is_absent { "absent" } else { "bound" }, counts }
}

fn health(env: &Env) -> (u16, String) {
    let now = now_ms();
    let version = env.get_binding::<WorkerVersionMetadata>(VERSION).ok().map(|version| version.id());
    let body = with_isolate(|isolate| {
        let rules = isolate.rules();
        let status = match (&rules, isolate.is_stale(now)) {
            (None, _) => "no_snapshot",
            (Some(_), true) => "stale",
            (Some(_), false) => "ok",
        };
        let counting = &isolate.counting;
        let limits = isolate.limits.borrow();
        json(&Health {
            status,
            version: version.as_deref(),
            revision: rules.as_deref().map(|rules| rules.revision().0),
            snapshot_age_ms: isolate.age_ms(now),
            flags: rules.as_deref().map(|rules| rules.flags().len()),
            kv_reads: isolate.reads,
            memory: core::arch::wasm32::memory_size(0) * 65_536,
            last_refusal: isolate.last_refusal(),
            settings_not_understood: &isolate.settings().not_understood,
            malformed_events: isolate.malformed_events,
            untrusted_documents: &isolate.untrusted_documents,
            origins: isolate.breakers.states(now).collect(),
            reporting: ReportingHealth {
                enabled: isolate.settings().reports,
                isolate: isolate.reporting.isolate(),
                sent: isolate.reporting.sent,
                failures: isolate.reporting.failures,
                silence_ms: isolate.reporting.silence_ms(now),
                pending: isolate.reporting.is_pending(),
                cells: counting.len(),
                lost: counting.lost_in_all,
                users_lost: counting.users_lost_in_all,
            },
            limits: limits.counts().map(limit_health).collect(),
            outcomes: isolate.counts,
        })
    });
    (200, body.unwrap_or_default())
}

#[derive(Serialize)]
struct Explained<'e> {
    arm: Arm,
    reason: Reason,
    bucket: Option<u32>,
    failed_condition: Option<usize>,
    route: Option<&'e str>,
    origin: Option<&'e str>,
    revision: Option<u64>,
    /// The user in each experiment; none of them if no route matches, because nobody is assigned then.
    experiments: Vec<Assigned<'e>>,
}

/// The variant of a user in an experiment, or the reason for which the request takes no part.
#[derive(Serialize)]
struct Assigned<'e> {
    experiment: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outside: Option<Outside>,
}

fn assigned<'e>(
    rules: &'e Ruleset,
    user: Option<&str>,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Vec<Assigned<'e>> {
    let assigned = rules.experiments().map(|experiment| {
        let variant = experiment.assign(user, facts, now);
        Assigned {
            experiment: experiment.name.as_str(),
            variant: variant.ok().map(|variant| variant.key.as_str()),
            outside: variant.err(),
        }
    });
    assigned.collect()
}

/// Answers `/_cutover/decide?path=&user=&method=`: the decision that this isolate would make, for a
/// caller who presents the edge token.
fn explain(packed: &Packed<'_>, authorization: Option<&str>, env: &Env) -> (u16, String) {
    if let Err(refusal) = check_token(authorization, env) {
        return refusal;
    }
    let question = Facts { query: packed.query, ..Facts::default() };
    let Some(path) = question.query_parameter("path") else {
        let detail = "Name the path to decide, as in /_cutover/decide?path=/api/v1/reviews&user=u1.";
        return problem(400, "path_missing", "Bad Request", detail);
    };
    let method = question.query_parameter("method").unwrap_or("GET".into());
    let user = question.query_parameter("user");
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let now = Timestamp::from_millis(now_ms());
    let Some(rules) = with_isolate(|isolate| isolate.rules()).flatten() else {
        let nothing = Explained {
            arm: Arm::Legacy,
            reason: Reason::NoSnapshot,
            bucket: None,
            failed_condition: None,
            route: None,
            origin: None,
            revision: None,
            experiments: Vec::new(),
        };
        return (200, json(&nothing));
    };
    let facts = Facts { method: &method, path, query, user: user.as_deref(), ..Facts::default() };
    let decision = decide(&rules, &facts, now);
    let origin = decision.origin().and_then(|position| rules.origins().get(position));
    let experiments =
        decision.route.map(|route| assigned(&rules, identity_on(route, &facts).user(), &facts, now));
    let explained = Explained {
        arm: decision.verdict.arm,
        reason: decision.verdict.reason,
        bucket: decision.verdict.bucket.map(|bucket| bucket.get()),
        failed_condition: decision.verdict.failed_condition,
        route: decision.route.map(|route| route.id.as_str()),
        origin: origin.map(|origin| origin.name.as_str()),
        revision: Some(rules.revision().0),
        experiments: experiments.unwrap_or_default(),
    };
    (200, json(&explained))
}

/// Returns true if a string is the edge token.
#[wasm_bindgen]
pub fn is_edge_token(given: &str, env: Env) -> bool {
    env.secret("CUTOVER_EDGE_TOKEN").is_ok_and(|token| is_equal(given, &token.to_string()))
}

/// Checks that a request brings the edge token.
///
/// # Errors
///
/// Returns the problem of a request without it, or of a Worker without a token.
pub(super) fn check_token(authorization: Option<&str>, env: &Env) -> Result<(), (u16, String)> {
    let Ok(token) = env.secret("CUTOVER_EDGE_TOKEN").map(|token| token.to_string()) else {
        let detail = "Set the secret CUTOVER_EDGE_TOKEN to use this path.";
        return Err(problem(403, "edge_token_not_set", "Forbidden", detail));
    };
    if is_token(authorization, &token) {
        return Ok(());
    }
    let detail = "Send the edge token as Authorization: Bearer TOKEN.";
    Err(problem(401, "edge_token_wrong", "Unauthorized", detail))
}

/// Returns true if a request brings the edge token.
pub(super) fn is_holder(authorization: Option<&str>, env: &Env) -> bool {
    env.secret("CUTOVER_EDGE_TOKEN").is_ok_and(|token| is_token(authorization, &token.to_string()))
}

fn is_token(authorization: Option<&str>, token: &str) -> bool {
    is_equal(authorization.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default(), token)
}

fn is_equal(given: &str, token: &str) -> bool {
    !token.is_empty() && equal_in_constant_time(given.as_bytes(), token.as_bytes())
}

fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}
