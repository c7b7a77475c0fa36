//! The metrics of the deployment, as Prometheus reads them.

use crate::{
    api::{experiment_metrics, measured, measured::Ledgers, metrics_page::Page},
    canary::run::evidence_of,
    clock,
    platform::Platform,
    store::{LedgerParts, State, error::StoreError},
};
use cutover_core::{
    FlagName,
    canary::{Evidence, Run, Test, Verdict},
};
use std::collections::BTreeMap;

/// Bounds of the response time histogram: powers of two, in milliseconds. They are also bounds of
/// the internal buckets, so the exported counts are exact.
const BOUNDS: std::ops::RangeInclusive<usize> = 0..=15;

/// Number of runs whose evidence is read concurrently.
const MAX_READS: usize = 16;

/// Renders the current metrics of a state. Those of one flag are without the samples of the whole deployment, which another
/// page has.
///
/// # Errors
///
/// Fails if the table cannot be read or an item cannot be decoded.
pub async fn page(platform: &Platform, state: &State, is_of_one_flag: bool) -> Result<String, StoreError> {
    let mut ledgers = measured::ledgers(&platform.store, &state.config, LedgerParts::Series).await?;
    ledgers.retain(|flag, _| !is_of_one_flag || flag.is_some());
    let mut page = Page::default();
    // Ahead of the routes: a counter of the flag must not fall because one of its routes is gone.
    evaluations(&mut page, &ledgers);
    measured::keep_routes(&mut ledgers, &state.config);
    requests(&mut page, &ledgers);
    client_errors(&mut page, &ledgers);
    durations(&mut page, &ledgers);
    canaries(&mut page, platform, state).await?;
    if !is_of_one_flag {
        experiment_metrics::add(&mut page, platform, state).await?;
        publication(&mut page, state);
        measurement(&mut page, platform).await?;
    }
    Ok(page.text)
}

/// Returns the counts of every flag, route and arm, summed over all reasons but refusals, which no backend gave.
fn by_route(ledgers: &Ledgers) -> BTreeMap<(&str, &str, &str), cutover_core::measurement::counts::Counts> {
    let mut all = BTreeMap::new();
    for (flag, ledger) in ledgers {
        for series in ledger.series.iter().filter(|series| !series.reason.is_refusal()) {
            let key = (
                flag.as_ref().map(FlagName::as_str).unwrap_or_default(),
                series.route.as_ref().map(|route| route.as_str()).unwrap_or_default(),
                series.arm.as_str(),
            );
            all.entry(key)
                .or_insert_with(cutover_core::measurement::counts::Counts::default)
                .merge(&series.counts);
        }
    }
    all
}

fn requests(page: &mut Page, ledgers: &Ledgers) {
    let all = by_route(ledgers);
    let name = "cutover_requests_total";
    page.family(name, "counter", "Requests by flag, route and backend that served them.");
    for ((flag, route, arm), counts) in &all {
        page.sample(name, &[("flag", flag), ("route", route), ("backend", arm)], counts.requests as f64);
    }
    let name = "cutover_request_errors_total";
    page.family(
        name,
        "counter",
        "Failed requests by flag, route, backend and class: http_5xx, timeout, unreachable.",
    );
    for ((flag, route, arm), counts) in &all {
        for (class, count) in [
            ("http_5xx", counts.server_errors),
            ("timeout", counts.timeouts),
            ("unreachable", counts.unreachable),
        ] {
            let labels = [("flag", *flag), ("route", *route), ("backend", *arm), ("class", class)];
            page.sample(name, &labels, count as f64);
        }
    }
}

fn client_errors(page: &mut Page, ledgers: &Ledgers) {
    let name = "cutover_request_client_errors_total";
    let help = "Requests with a client error by flag, route, backend and class: http_401_403, http_404_405_410, \
                http_4xx (any other but 429), gave_up (the client left before the response).";
    page.family(name, "counter", help);
    for ((flag, route, arm), counts) in &by_route(ledgers) {
        for (class, count) in [
            ("http_401_403", counts.unauthorized),
            ("http_404_405_410", counts.not_found),
            ("http_4xx", counts.client_errors),
            ("gave_up", counts.gave_up),
        ] {
            let labels = [("flag", *flag), ("route", *route), ("backend", *arm), ("class", class)];
            page.sample(name, &labels, count as f64);
        }
    }
}

fn durations(page: &mut Page, ledgers: &Ledgers) {
    let name = "cutover_request_duration_seconds";
    page.family(name, "histogram", "Time to the response headers, in seconds.");
    for ((flag, route, arm), counts) in by_route(ledgers) {
        let labels = |le: &'static str| [("flag", flag), ("route", route), ("backend", arm), ("le", le)];
        for octave in BOUNDS {
            let bound = f64::from(1_u32 << octave) / 1_000.0;
            let mut labels = labels("");
            let text = bound.to_string();
            labels[3].1 = &text;
            page.sample(&format!("{name}_bucket"), &labels, counts.histogram.at_most(octave * 8) as f64);
        }
        page.sample(&format!("{name}_bucket"), &labels("+Inf"), counts.histogram.count() as f64);
        let labels = [("flag", flag), ("route", route), ("backend", arm)];
        page.sample(&format!("{name}_sum"), &labels, counts.duration_ms as f64 / 1_000.0);
        page.sample(&format!("{name}_count"), &labels, counts.histogram.count() as f64);
    }
}

fn evaluations(page: &mut Page, ledgers: &Ledgers) {
    let name = "cutover_flag_evaluations_total";
    page.family(name, "counter", "Decisions by flag, reason and backend.");
    let mut all: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for (flag, ledger) in ledgers {
        let flag = flag.as_ref().map(FlagName::as_str).unwrap_or_default();
        for series in &ledger.series {
            *all.entry((flag, series.reason.as_str(), series.arm.as_str())).or_default() +=
                series.counts.requests;
        }
    }
    for ((flag, reason, arm), count) in all {
        page.sample(name, &[("flag", flag), ("reason", reason), ("backend", arm)], count as f64);
    }
}

async fn canaries(page: &mut Page, platform: &Platform, state: &State) -> Result<(), StoreError> {
    let name = "cutover_canary_percentage";
    page.family(name, "gauge", "Share of users on the new backend, in percent.");
    for (flag, config) in &state.config.feature_flags {
        let on = config.enabled && !state.is_held(flag);
        let share = if on { config.rollout_percentage.percent() } else { 0.0 };
        page.sample(name, &[("flag", flag.as_str())], share);
    }
    let name = "cutover_canary_undecided";
    page.family(name, "gauge", "1 if an item of the active canary run cannot be read, otherwise 0.");
    let mut verdicts = Vec::new();
    let runs: Vec<&Run> = state.runs.values().filter(|run| run.state.is_active()).collect();
    let unreadable = platform.store.unreadable_waiting().await?;
    let mut held = evidence_of_all(platform, &runs).await?;
    for run in runs {
        let undecided = match held.remove(&run.flag) {
            // `promote` reads both to decide the run.
            _ if unreadable.contains(run.flag.as_str()) => true,
            None => false,
            Some(Ok(evidence)) => {
                verdicts.push((run, Verdict::of(run, &evidence)));
                false
            }
            // The samples of the other flags must not be missing too.
            Some(Err(StoreError::Item(_) | StoreError::Later(_))) => true,
            Some(Err(StoreError::Restless)) => false,
            Some(Err(error)) => return Err(error),
        };
        page.sample(name, &[("flag", run.flag.as_str())], f64::from(u8::from(undecided)));
    }
    let name = "cutover_canary_step";
    page.family(
        name,
        "gauge",
        "Step of the active canary run, from 0; one beyond the last step while it bakes.",
    );
    for (run, _) in &verdicts {
        let labels = [("flag", run.flag.as_str()), ("run", run.id.as_str()), ("state", run.state.as_str())];
        page.sample(name, &labels, f64::from(run.step));
    }
    let name = "cutover_canary_evidence_ratio";
    page.family(name, "gauge", "Evidence of each test of the current step; a test fires at 1.");
    for (run, verdict) in &verdicts {
        for result in &verdict.tests {
            let test = test_name(result.test);
            let mut labels =
                vec![("flag", run.flag.as_str()), ("run", run.id.as_str()), ("test", test.as_str())];
            labels.extend(result.route.as_ref().map(|route| ("route", route.as_str())));
            page.sample(name, &labels, result.percent() / 100.0);
        }
    }
    let counters = platform.store.event_counters().await?;
    for (name, counter, help) in [
        ("cutover_rollbacks_total", "rollbacks", "Canary runs that were rolled back automatically."),
        ("cutover_canary_advances_total", "advances", "Steps that canary runs advanced automatically."),
    ] {
        page.family(name, "counter", help);
        for flag in state.config.feature_flags.keys() {
            let count = counters.get(flag.as_str()).and_then(|counters| counters.get(counter));
            page.sample(name, &[("flag", flag.as_str())], count.copied().unwrap_or_default() as f64);
        }
    }
    Ok(())
}

/// Reads the evidence of runs, some at a time.
async fn evidence_of_all(
    platform: &Platform,
    runs: &[&Run],
) -> Result<BTreeMap<FlagName, Result<Evidence, StoreError>>, StoreError> {
    let mut waiting = runs.iter();
    let mut reading = tokio::task::JoinSet::new();
    let mut all = BTreeMap::new();
    loop {
        while reading.len() < MAX_READS
            && let Some(run) = waiting.next()
        {
            let (platform, run) = (platform.clone(), (*run).clone());
            reading.spawn(async move {
                let evidence = evidence_of(&platform, &run).await;
                (run.flag, evidence)
            });
        }
        let Some(read) = reading.join_next().await else { return Ok(all) };
        let (flag, evidence) = read.map_err(|error| StoreError::Call(error.to_string()))?;
        all.insert(flag, evidence);
    }
}

fn test_name(test: Test) -> String {
    // A unit variant is encoded as a string.
    serde_json::to_value(test).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn publication(page: &mut Page, state: &State) {
    let head = &state.head;
    page.family("cutover_revision", "gauge", "Revision of the configuration.");
    page.sample("cutover_revision", &[], head.revision.0 as f64);
    let name = "cutover_publication_lag_revisions";
    page.family(name, "gauge", "Revisions that have not been published to Workers KV yet.");
    page.sample(name, &[], head.revision.0.saturating_sub(state.published.0) as f64);
    page.family("cutover_emergency", "gauge", "1 while an emergency is in force, otherwise 0.");
    page.sample("cutover_emergency", &[], f64::from(u8::from(head.emergency.is_some())));
}

async fn measurement(page: &mut Page, platform: &Platform) -> Result<(), StoreError> {
    let cursor = platform.store.cursor().await?;
    let totals = &cursor.totals;
    let name = "cutover_tick_age_seconds";
    page.family(name, "gauge", "Seconds since each scheduled function last completed.");
    for (function, at) in platform.store.ticks().await? {
        let age = (clock::now().millis() - at.millis()).max(0);
        page.sample(name, &[("function", &function)], age as f64 / 1_000.0);
    }
    page.family("cutover_isolates_active", "gauge", "Isolates that reported in the last two minutes.");
    page.sample("cutover_isolates_active", &[], totals.isolates as f64);
    if let Some(age) = totals.oldest_snapshot_ms {
        let name = "cutover_snapshot_age_seconds";
        page.family(name, "gauge", "Age of the oldest snapshot in use by an active isolate, in seconds.");
        page.sample(name, &[], age as f64 / 1_000.0);
    }
    let name = "cutover_batches_total";
    page.family(
        name,
        "counter",
        "Batches that were evaluated, by kind; late and unreadable ones are among the stored.",
    );
    for (kind, count) in
        [("stored", totals.batches), ("late", totals.late), ("unreadable", totals.unreadable)]
    {
        page.sample(name, &[("kind", kind)], count as f64);
    }
    page.family(
        "cutover_isolates_lost_total",
        "counter",
        "Isolates that fell silent before their final report.",
    );
    page.sample("cutover_isolates_lost_total", &[], totals.isolates_lost as f64);
    page.family("cutover_outcomes_lost_total", "counter", "Outcomes that isolates reported as lost.");
    page.sample("cutover_outcomes_lost_total", &[], totals.outcomes_lost as f64);
    page.family("cutover_users_lost_total", "counter", "Users in reports that ingest refused.");
    page.sample("cutover_users_lost_total", &[], totals.users_lost as f64);
    let name = "cutover_responses_uninspected_total";
    page.family(name, "counter", "Responses too large, or too many at once, for error_when to inspect.");
    page.sample(name, &[], totals.uninspected as f64);
    let name = "cutover_flag_behind_seconds";
    page.family(
        name,
        "gauge",
        "Seconds by which the ledger of a flag lags that could not be read or written.",
    );
    for (flag, parked) in &cursor.parked {
        let lag = clock::now().millis() - parked.through;
        page.sample(name, &[("flag", flag)], lag as f64 / 1_000.0);
    }
    if cursor.through > 0 {
        let name = "cutover_evaluation_lag_seconds";
        page.family(name, "gauge", "Seconds by which the ledgers lag behind the current time.");
        let lag = crate::clock::now().millis() - cursor.through;
        page.sample(name, &[], lag as f64 / 1_000.0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        measurement::packing,
        store::{Ledger, Series},
    };
    use cutover_core::{
        Arm, Reason,
        measurement::counts::{Counts, Outcome},
        statistics::split_mix::SplitMix64,
    };

    /// Largest response of a function, in bytes. Lambda has a compressed one as base64.
    const MAX_RESPONSE: usize = 6_000_000;

    /// A refusal takes no time and is no error, so it would make the arm that it is counted on look better than it is.
    #[test]
    fn refusals_are_decisions_and_no_requests_of_a_backend() {
        let mut counts = Counts::default();
        counts.add(Outcome::Status(429), 0, false, None);
        let series = |reason| Series { route: None, arm: Arm::Legacy, reason, counts: counts.clone() };
        let series = [Reason::Limited, Reason::Guarded, Reason::Rollout].map(series).to_vec();
        let ledgers = Ledgers::from([(None, Ledger { series, ..Ledger::default() })]);
        let all = by_route(&ledgers);
        let counts = all.values().next().unwrap();
        assert_eq!((all.len(), counts.requests, counts.histogram.count()), (1, 1, 1));
        let mut page = Page::default();
        evaluations(&mut page, &ledgers);
        assert!(page.text.contains("LIMITED") && page.text.contains("GUARDED"), "{}", page.text);
    }

    #[test]
    fn the_page_of_hundreds_of_flags_fits_into_a_response_if_it_is_compressed() {
        let mut dice = SplitMix64::new(1);
        let mut series = |route: usize, arm: Arm| {
            let mut counts = Counts::default();
            for _ in 0..200 {
                let ms = u32::try_from(dice.draw() % 40_000).unwrap();
                counts.add(Outcome::Status(200), ms, false, None);
            }
            let route = format!("a-route-of-the-flag-{route}").parse().ok();
            Series { route, arm, reason: Reason::Rollout, counts }
        };
        let mut ledgers = Ledgers::new();
        for flag in 0..300 {
            let routes = (0..4).flat_map(|route| [(route, Arm::Legacy), (route, Arm::New)]);
            let series = routes.map(|(route, arm)| series(route, arm)).collect();
            let name: FlagName = format!("a_feature_flag_{flag:03}").parse().unwrap();
            ledgers.insert(Some(name), Ledger { series, ..Ledger::default() });
        }
        let mut page = Page::default();
        evaluations(&mut page, &ledgers);
        requests(&mut page, &ledgers);
        client_errors(&mut page, &ledgers);
        durations(&mut page, &ledgers);
        assert!(page.text.len() > MAX_RESPONSE, "{} bytes would fit as they are", page.text.len());
        let packed = packing::pack(page.text.as_bytes()).len();
        assert!(packed * 4 / 3 < MAX_RESPONSE / 2, "{packed} bytes");
    }
}
