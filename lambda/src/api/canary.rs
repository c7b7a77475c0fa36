//! `GET /canary` and `GET /canary/{name}`: the state of a canary, its evidence, its next action and
//! the reason.

use crate::{
    access::auth::Caller,
    api::{
        extract::{FlagPath, Page, Parameters},
        recent_traffic::RecentTraffic,
        respond::json_response,
    },
    canary::{
        notify,
        run::{circumstances, evidence_of},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{Cursor, Ledger, State as Truth},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    FlagName, PartsPerMillion, Timestamp,
    canary::{
        Action, ArmCounts, Assumed, BothArms, Evidence, Forecast, Run, RunState, UserCount, decide,
        plan::CanaryPlan,
    },
    measurement::event_kinds::EventKinds,
    measurement::histogram::Histogram,
};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) async fn list(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let truth = platform.store.state().await?;
    let (flags, next) = page.of(truth.config.canary_deployments.keys(), |flag| flag.as_str())?;
    let canaries: Vec<Value> = flags
        .into_iter()
        .map(|flag| match truth.runs.get(flag) {
            None => json!({ "flag": flag, "state": "not_started" }),
            Some(run) => json!({
                    "flag": flag,
                    "state": run.state,
                    "run": run.id,
                    "step": run.step,
                    "steps": run.plan.steps(),
                    "percentage": run.share(),
                    "reason": run.reason,
            "salt": run.salt,
                }),
        })
        .collect();
    let body = json!({ "canaries": canaries, "revision": truth.head.revision, "next_after": next });
    Ok(json_response(StatusCode::OK, &body))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Error rate that the forecast assumes.
    #[serde(default = "assumed_rate")]
    error_rate: f64,
    /// Share of slow responses that the forecast assumes.
    #[serde(default = "assumed_rate")]
    slow_rate: f64,
    /// Error rate of legacy; that of the new backend by default.
    legacy_error_rate: Option<f64>,
    /// Share of slow responses of legacy; that of the new backend by default.
    legacy_slow_rate: Option<f64>,
}

impl Query {
    fn assumed(&self, requests_per_second: Option<f64>) -> Assumed {
        Assumed {
            error_rate: self.error_rate,
            slow_rate: self.slow_rate,
            legacy_error_rate: self.legacy_error_rate.unwrap_or(self.error_rate),
            legacy_slow_rate: self.legacy_slow_rate.unwrap_or(self.slow_rate),
            requests_per_second,
            users: None,
        }
    }
}

/// Adds the forecast of a plan under the measured traffic.
fn add_forecast(body: &mut Value, plan: &CanaryPlan, query: &Query, measured: Option<f64>) {
    let steps = Forecast::of(plan, &query.assumed(measured));
    if let Some(fields) = body.as_object_mut() {
        fields.insert("outlook".to_owned(), json!(Forecast::sentence(&steps)));
        fields.insert("forecast".to_owned(), json!(steps));
        fields.insert("requests_per_second".to_owned(), json!(measured));
    }
}

fn assumed_rate() -> f64 {
    0.01
}

pub(super) async fn one(
    _: Caller,
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Problem> {
    let assumed = query.assumed(None);
    for (field, rate) in [
        ("error_rate", assumed.error_rate),
        ("slow_rate", assumed.slow_rate),
        ("legacy_error_rate", assumed.legacy_error_rate),
        ("legacy_slow_rate", assumed.legacy_slow_rate),
    ] {
        if !(0.0..1.0).contains(&rate) {
            return Err(Problem::invalid(
                field,
                format!("{rate} is not a rate"),
                "use a fraction from 0 up to, but not including, 1 (0.05 is 5 %)",
            ));
        }
    }
    let truth = platform.store.state().await?;
    // Before the ledger: what the cursor promises is true of ledgers that are read after it.
    let cursor = platform.store.cursor().await?;
    let ledger = platform.store.ledger(Some(&name)).await?;
    let measured = RecentTraffic::of(&name, &cursor, &ledger, clock::now()).map(|found| found.per_second);
    let Some(run) = truth.runs.get(&name) else {
        let plan = truth
            .config
            .canary_deployments
            .get(&name)
            .ok_or_else(|| Problem::not_found("canary", name.as_str()))?;
        let mut body = json!({
            "flag": name,
            "state": "not_started",
            "steps": plan.steps(),
            "plan": plan,
        });
        add_forecast(&mut body, plan, &query, measured);
        return Ok(json_response(StatusCode::OK, &body));
    };
    let mut body = shown(&platform, &truth, run, &cursor, &ledger).await?;
    add_forecast(&mut body, &run.plan, &query, measured);
    Ok(json_response(StatusCode::OK, &body))
}

async fn shown(
    platform: &Platform,
    truth: &Truth,
    run: &Run,
    cursor: &Cursor,
    ledger: &Ledger,
) -> Result<Value, Problem> {
    let now = clock::now();
    let evidence = evidence_of(platform, run).await?;
    let around = circumstances(cursor, truth, run);
    let decision = decide(run, &evidence, &around, now);
    let waiting = platform.store.waiting(&run.flag).await?;
    let since = waiting
        .filter(|(held, _)| held.run == run.id && held.step == run.step && held.reason == decision.reason)
        .map(|(held, _)| held.since);
    let times = ledger.times.as_ref().filter(|times| times.run == run.id && times.step == run.step);
    let tests: Vec<Value> = decision
        .verdict
        .tests
        .iter()
        .map(|result| {
            let shown = json!({
                "test": result.test,
                "says": result.test.says(),
                "percent": (result.percent() * 10.0).round() / 10.0,
                "fires": result.fires(),
                "evidence": result.evidence,
                "fires_at": result.fires_at,
            });
            notify::with_route(shown, result.route.as_ref())
        })
        .collect();
    let next = if run.state.is_active() {
        json!({
            "action": decision.action,
            "reason": decision.reason,
            "message": decision.says(),
            "not_before": decision.not_before,
            "waiting_since": since,
            "percentage": next_share(run, decision.action),
        })
    } else {
        Value::Null
    };
    let meta = truth.meta(crate::store::RUNS, run.flag.as_str());
    let more = json!({
        "started_at": run.started_at,
        "started_by": run.started_by,
        "step_started_at": run.step_started_at,
        "breach": run.breach.as_ref().map(notify::shown),
        "plan": run.plan,
        "next": next,
        "evidence": {
            "step": evidence.current.step,
            "new": arm(counts(run, &evidence).new, times.map(|times| &times.new)),
            "legacy": arm(counts(run, &evidence).legacy, times.map(|times| &times.legacy)),
            "routes": routes(&evidence),
            "users": users(&evidence),
            "worse": decision.verdict.worse.as_ref().map(|worse| worse.finding()),
            "tests": tests,
            "through": Timestamp::from_millis(ledger.through),
        },
        // Isolates of the last hour, of all flags; what they had counted since their last batch is unknown.
        "unknown_isolates": cursor.totals.isolates_lost_lately,
        "version": meta.map(|meta| meta.version),
    });
    let mut body = brief(run);
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
        if let Some(meta) = meta.filter(|meta| !meta.epoch.is_first()) {
            body.insert("epoch".to_owned(), json!(meta.epoch));
        }
    }
    Ok(body)
}

/// Returns the counts to show. After a rollback these are the ones that caused it, also if the
/// evidence of their step is gone.
fn counts(run: &Run, evidence: &Evidence) -> BothArms {
    let breach = run.breach.as_ref().filter(|_| run.state == RunState::RolledBack);
    let caused = breach.and_then(|breach| breach.figures);
    caused.map_or(evidence.current.counts, |figures| BothArms { new: figures.new, legacy: figures.legacy })
}

/// Returns the counts of the routes with criteria of their own.
fn routes(evidence: &Evidence) -> Value {
    let routes = evidence.current.routes.iter().map(|(route, held)| {
        let BothArms { new, legacy } = held.counts;
        (route.to_string(), json!({ "new": arm(new, None), "legacy": arm(legacy, None) }))
    });
    Value::Object(routes.collect())
}

/// Returns the distinct users of the step, and those with an event of each kind.
fn users(evidence: &Evidence) -> Value {
    let both = |count: UserCount| json!({ "new": count.new, "legacy": count.legacy() });
    let events = &evidence.current.events.step;
    json!({
        "seen": both(evidence.current.seen.count),
        "errors": both(events.total(EventKinds::ERROR)),
        "slow": both(events.total(EventKinds::SLOW)),
        "unauthorized": both(events.total(EventKinds::UNAUTHORIZED)),
        "not_found": both(events.total(EventKinds::NOT_FOUND)),
        "client_errors": both(events.total(EventKinds::CLIENT_ERROR)),
        "compared": evidence.current.compared.compared,
        "mismatched": evidence.current.compared.mismatched,
    })
}

fn arm(counts: ArmCounts, times: Option<&Histogram>) -> Value {
    let quantile = |share| times.and_then(|times| times.quantile(share)).map(|ms| (ms * 10.0).round() / 10.0);
    json!({
        "requests": counts.requests,
        "errors": counts.errors,
        // Without requests the rate is unknown, which is null, never zero.
        "error_rate": (counts.requests > 0).then(|| counts.errors as f64 / counts.requests as f64),
        "slow_success": counts.slow_success,
        "slow_rollback": counts.slow_rollback,
        "unauthorized": counts.unauthorized,
        "not_found": counts.not_found,
        "client_errors": counts.client_errors,
        "gave_up": counts.gave_up,
        "diverted": counts.diverted,
        "p50_ms": quantile(0.50),
        "p95_ms": quantile(0.95),
    })
}

fn next_share(run: &Run, action: Action) -> Option<PartsPerMillion> {
    match action {
        Action::RollBack => Some(PartsPerMillion::ZERO),
        Action::Hold | Action::Pause | Action::Restart | Action::Complete => None,
        Action::Advance => Some(run.advanced(run.step_started_at, "").share()),
    }
}

/// Returns the summary of a run, the response to operations on it.
pub(super) fn brief(run: &Run) -> Value {
    json!({
        "flag": run.flag,
        "run": run.id,
        "state": run.state,
        "step": run.step,
        "steps": run.plan.steps(),
        "percentage": run.share(),
        "reason": run.reason,
        "salt": run.salt,
    })
}

/// Returns the run of a flag, if it is in one of the given states.
pub(super) fn run_in<'t>(truth: &'t Truth, flag: &FlagName, states: &[RunState]) -> Result<&'t Run, Problem> {
    let run = truth.runs.get(flag).ok_or_else(|| {
        let detail = format!("the canary of {flag} was never started");
        Problem::new(StatusCode::CONFLICT, "canary_not_started", detail, "start the canary first")
    })?;
    if states.contains(&run.state) {
        return Ok(run);
    }
    let wanted: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    let detail =
        format!("the run {} of {flag} is {}, not {}", run.id, run.state.as_str(), wanted.join(" or "));
    let hint = "see GET /canary/{name} for its state; to start again after a finished run, use retry";
    Err(Problem::new(StatusCode::CONFLICT, "canary_state", detail, hint))
}
