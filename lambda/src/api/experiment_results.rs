//! `GET /experiments/{name}/results`: the judgement of the present phase, or of the last one that was counted. It may be looked at
//! at any time. While users are not split as configured, no result is shown but that.

use crate::{
    access::auth::Caller,
    api::{
        experiments::find,
        extract::ExperimentPath,
        measured::{self, MeasuredPhase, is_hidden, shown_tests},
        respond::json_response,
    },
    clock,
    platform::Platform,
    problem::Problem,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    ExperimentName, Timestamp,
    experiment::{Conclusion, Design, Effect, Figures, MetricSums, Phase, PrimaryFinding, TestResult},
    rules::experiment::document::Experiment,
};
use serde_json::{Value, json};

/// Number of hashes.
const HASHES: f64 = 18_446_744_073_709_551_616.0;

/// Thousandths in one unit of a value.
const THOUSANDTHS: f64 = 1_000.0;

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let experiment = find(&state, &name)?;
    let measured = measured::phase(&platform, &state, &name).await?;
    let mut results = results(&name, experiment, measured.as_ref(), clock::now());
    let capacity = Capacity::of(measured.as_ref(), platform.settings.experiment_users);
    let unknown_isolates = platform.store.cursor().await?.totals.isolates_lost_lately;
    if let Some(fields) = results.as_object_mut() {
        fields.insert("capacity".to_owned(), json!(capacity.held));
        fields.insert("next_capacity".to_owned(), json!(capacity.next));
        fields.insert("unknown_isolates".to_owned(), json!(unknown_isolates));
    }
    Ok(json_response(StatusCode::OK, &results))
}

/// Most users whom the evidence of an experiment remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Capacity {
    /// That of the open phase; of the next one if none is open.
    held: u32,
    /// That of the next phase.
    next: u32,
}

impl Capacity {
    /// Returns the capacity, given the number that is set for phases to come. A phase keeps the one that it began with.
    fn of(measured: Option<&MeasuredPhase>, set: u32) -> Self {
        let open = measured.map(|measured| &measured.phase).filter(|phase| phase.ended.is_none());
        Self { held: open.map_or(set, |phase| phase.evidence.capacity()), next: set }
    }
}

/// Returns the results of an experiment as JSON at a time.
fn results(
    name: &ExperimentName,
    experiment: &Experiment,
    measured: Option<&MeasuredPhase>,
    now: Timestamp,
) -> Value {
    let Some(MeasuredPhase { phase, through }) = measured else {
        return json!({
            "experiment": name,
            "state": experiment.state,
            "phase": experiment.phase,
            "began": null,
            "ended": null,
            "at": now,
            "through": null,
            "conclusion": null,
            "says": "nobody has been counted",
            "harm": null,
            "gap": null,
            "is_hidden": false,
            "remembered_share": 1.0,
            "crossed": 0,
            "before_exposure": 0,
            "without_room": 0,
            "unknown": 0,
            "control": null,
            "variants": [],
            "metrics": [],
            "tests": [],
            "effects": [],
        });
    };
    let Phase { identity, harm, .. } = phase;
    let record = phase.judged(now, crate::VERSION);
    let is_hidden = is_hidden(&record.judgement);
    // What has switched the experiment off stays its conclusion, whatever came since.
    let conclusion = harm.as_ref().map_or(&record.judgement.conclusion, |harm| &harm.judgement.conclusion);
    let gap = record.circumstances.gap;
    let (design, figures) = (&record.design, &record.figures);
    let shown = Shown { design, figures };
    json!({
        "experiment": name,
        "state": experiment.state,
        "phase": identity.phase,
        "began": identity.began,
        // An earlier version noted the time of the last record alone.
        "ended": record.circumstances.ended.or(phase.ended),
        "at": record.at,
        "through": through,
        "conclusion": shown.conclusion(conclusion),
        "says": gap.map_or_else(|| conclusion.to_string(), |gap| format!("{conclusion}; {gap}")),
        "harm": harm.as_ref().and_then(|harm| harm.harm()),
        "gap": gap,
        "is_hidden": is_hidden,
        "remembered_share": record.theta as f64 / HASHES,
        "crossed": figures.crossed,
        "before_exposure": figures.before_exposure,
        "without_room": figures.without_room,
        "unknown": figures.unknown,
        "control": shown.variant(design.control),
        "variants": shown.variants(),
        "metrics": if is_hidden { Vec::new() } else { shown.metrics() },
        "tests": shown_tests(&record.judgement).map(|test| shown.test(test)).collect::<Vec<_>>(),
        "effects": record.judgement.effects.iter().map(|effect| shown.effect(effect)).collect::<Vec<_>>(),
    })
}

/// Figures with the design that gives names to their positions.
struct Shown<'s> {
    design: &'s Design,
    figures: &'s Figures,
}

impl Shown<'_> {
    fn variant(&self, position: u8) -> Option<&str> {
        self.design.variants.get(usize::from(position)).map(|variant| variant.key.as_str())
    }

    fn metric(&self, position: u8) -> Option<&str> {
        self.design.metrics.get(usize::from(position)).map(|metric| metric.name.as_str())
    }

    /// Returns a conclusion with names instead of positions.
    fn conclusion(&self, conclusion: &Conclusion) -> Value {
        match conclusion {
            Conclusion::Off { variant, metric } => {
                json!({ "kind": "off", "variant": self.variant(*variant), "metric": self.metric(*metric) })
            }
            Conclusion::Hidden { variant } => json!({ "kind": "hidden", "variant": self.variant(*variant) }),
            Conclusion::Ready { findings } => {
                let finding = |finding: &PrimaryFinding| {
                    json!({
                        "variant": self.variant(finding.variant),
                        "metric": self.metric(finding.metric),
                        "is_better": finding.is_better,
                    })
                };
                json!({ "kind": "ready", "findings": findings.iter().map(finding).collect::<Vec<_>>() })
            }
            // Those without positions are shown as they are recorded.
            Conclusion::NoPracticalDifference | Conclusion::Inconclusive | Conclusion::Continue { .. } => {
                json!(conclusion)
            }
        }
    }

    fn variants(&self) -> Vec<Value> {
        let Figures { running, matured, .. } = self.figures;
        let sums = running.iter().zip(matured);
        let variants = self.design.variants.iter().zip(sums).map(|(variant, (running, matured))| {
            json!({
                "variant": variant.key,
                "weight": variant.weight,
                "users": running.users,
                "matured_users": matured.users,
            })
        });
        variants.collect()
    }

    /// Returns each metric with the users of each variant who had an event so far.
    fn metrics(&self) -> Vec<Value> {
        let metrics = self.design.metrics.iter().enumerate().map(|(position, metric)| {
            let variants = self.design.variants.iter().zip(&self.figures.running);
            let variants = variants.map(|(variant, sums)| {
                let of_metric = sums.metrics.get(position).copied().unwrap_or_default();
                of_variant(variant.key.as_str(), sums.users, &of_metric)
            });
            json!({
                "metric": metric.name,
                "kind": metric.kind,
                "role": metric.role,
                "direction": metric.direction,
                "variants": variants.collect::<Vec<_>>(),
            })
        });
        metrics.collect()
    }

    fn test(&self, test: &TestResult) -> Value {
        json!({
            "kind": test.kind,
            "variant": self.variant(test.variant),
            "metric": test.metric.and_then(|metric| self.metric(metric)),
            "period": test.period,
            "users": test.users,
            "all": test.all,
            "evidence": test.evidence,
            "fires_at": test.fires_at,
            "percent": test.percent(),
            "fires": test.fires,
            "is_better": test.is_better,
        })
    }

    fn effect(&self, effect: &Effect) -> Value {
        json!({
            "variant": self.variant(effect.variant),
            "metric": self.metric(effect.metric),
            "users": effect.users,
            "control_users": effect.control_users,
            "absolute": effect.absolute,
            "relative": effect.relative,
        })
    }
}

/// Returns the sums of a metric over the users of a variant, with the share of those who had an event.
fn of_variant(key: &str, users: u64, sums: &MetricSums) -> Value {
    let rate = if users == 0 { None } else { Some(sums.with_event as f64 / users as f64) };
    json!({
        "variant": key,
        "users_with_event": sums.with_event,
        "rate": rate,
        "events": sums.counts.get() as f64,
        "value": sums.values.get() as f64 / THOUSANDTHS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        config::Config,
        experiment::{Arrivals, DEFAULT_CAPACITY, PhaseIdentity},
        measurement::{
            batch::Batch,
            experiments::{ExperimentPart, Exposure, UserOutcome},
        },
    };

    fn experiment() -> (ExperimentName, Experiment) {
        let text = "experiments: { e: { name: E, success_metrics: [order, error_rate], variants: { control: C, treatment: T } } }";
        Config::from_yaml(text).unwrap().ab_tests.pop_first().unwrap()
    }

    /// Results with this many users of control and treatment, of whom each second one converted.
    fn shown(users: [u64; 2]) -> Value {
        let (name, experiment) = experiment();
        let began = Timestamp::from_millis(0);
        let identity = PhaseIdentity { experiment: name.clone(), phase: 1, began };
        let mut phase = Phase::begin(identity, Design::of(&experiment), DEFAULT_CAPACITY);
        let mut part = ExperimentPart::empty(name.clone(), 1, 10);
        for (variant, users) in [(0, users[0]), (1, users[1])] {
            for number in 0..users {
                let user = 1 + number + 100_000 * u64::from(variant);
                part.exposures.push(Exposure { user, variant, after_s: 0 });
                if number % 2 == 0 {
                    part.outcomes.push(UserOutcome { user, metric: 0, after_s: 1, value: None, id: None });
                }
            }
        }
        let mut arrivals = Arrivals::new(name.clone(), 1);
        arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) });
        let now = Timestamp::from_millis(60_000);
        phase.fold(&arrivals, now);
        let measured = MeasuredPhase { phase, through: Some(now) };
        results(&name, &experiment, Some(&measured), now)
    }

    #[test]
    fn results_have_names_instead_of_positions() {
        let shown = shown([100, 90]);
        assert_eq!(shown["conclusion"], json!({ "kind": "continue", "because": "min_days" }));
        assert_eq!(shown["variants"][1]["variant"], "treatment");
        assert_eq!(shown["variants"][1]["users"], 90);
        assert_eq!(shown["metrics"][0]["variants"][1]["users_with_event"], 45);
        assert_eq!(shown["metrics"][0]["variants"][1]["rate"], 0.5);
        let primary =
            shown["tests"].as_array().unwrap().iter().find(|test| test["kind"] == "primary").unwrap();
        assert_eq!((&primary["variant"], &primary["metric"]), (&json!("treatment"), &json!("order")));
        assert_eq!((&shown["is_hidden"], &shown["control"]), (&json!(false), &json!("control")));
    }

    #[test]
    fn results_are_hidden_while_users_are_not_split_as_configured() {
        let shown = shown([1_000, 10]);
        assert_eq!(shown["conclusion"], json!({ "kind": "hidden", "variant": "treatment" }));
        assert_eq!((&shown["metrics"], &shown["effects"]), (&json!([]), &json!([])));
        let kinds: Vec<&Value> =
            shown["tests"].as_array().unwrap().iter().map(|test| &test["kind"]).collect();
        assert_eq!(kinds, ["sample_ratio"]);
        assert_eq!(shown["variants"][0]["users"], 1_000);
    }

    #[test]
    fn an_open_phase_keeps_its_capacity_and_the_next_one_has_that_which_is_set() {
        let (name, experiment) = experiment();
        let identity = PhaseIdentity { experiment: name, phase: 1, began: Timestamp::from_millis(0) };
        let phase = Phase::begin(identity, Design::of(&experiment), 4_096);
        let mut measured = MeasuredPhase { phase, through: None };
        assert_eq!(Capacity::of(Some(&measured), 16_384), Capacity { held: 4_096, next: 16_384 });
        measured.phase.ended = Some(Timestamp::from_millis(1));
        assert_eq!(Capacity::of(Some(&measured), 16_384), Capacity { held: 16_384, next: 16_384 });
        assert_eq!(Capacity::of(None, 500), Capacity { held: 500, next: 500 });
    }

    #[test]
    fn an_experiment_that_was_never_counted_has_the_same_fields() {
        let (name, experiment) = experiment();
        let never = results(&name, &experiment, None, Timestamp::from_millis(0));
        let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&never), fields(&shown([1, 1])));
    }
}
