//! `PUT /experiments/{name}`: creates or replaces an experiment. `DELETE /experiments/{name}`: removes one that is not running.

use crate::{
    api::{
        experiment_guard::{may_own, must_be_counted, must_have_enabled_flags, must_stay_stopped},
        experiments::{SECTION, experiment_json, find},
        extract::ExperimentPath,
        object_body::NamedObject,
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{
    Epoch, ExperimentName,
    config::{Config, experiment_from_json},
    rules::experiment::{
        document::{Experiment, ExperimentState},
        succession::next,
    },
};
use serde_json::{Value, json};

/// Unix second at which 2025 began. Phases after a restore are counted from it, so that they stay within the numbers that a
/// phase can have.
const START_OF_2025: u64 = 1_735_689_600;

/// Saves an experiment. A state that the body leaves out stays as it is, and a new experiment is a draft: nobody moves because
/// a field is missing.
pub(super) async fn put(
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let body = body_of(&name, demand.json()?)?;
    change(&platform, &demand, Operation::ExperimentPut, |truth| {
        demand.must_be_as_seen(truth, "experiment", SECTION, name.as_str())?;
        let held = truth.config.ab_tests.get(&name);
        let state = held.map_or(ExperimentState::Draft, |held| held.state);
        let mut written =
            experiment_from_json(&body, &truth.config, state).map_err(Problem::invalid_document)?;
        // The default salt is shown and not kept, so that what is exported equals what was applied.
        if held.is_none_or(|held| held.salt.is_none()) && written.salt.as_deref() == Some(name.as_str()) {
            written.salt = None;
        }
        let config = with_experiment(truth, &name, &written);
        must_be_valid(truth, &config)?;
        Ok(proposal(name.clone(), config, held.is_none()))
    })
    .await
}

pub(super) async fn delete(
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.must_have_no_body()?;
    change(&platform, &demand, Operation::ExperimentDelete, |truth| {
        let experiment = find(truth, &name)?;
        demand.must_be_as_seen(truth, "experiment", SECTION, name.as_str())?;
        if experiment.is_running() {
            let detail = format!("the experiment {name} is running");
            let hint = "stop it first (cutover experiment stop), which keeps its outcome";
            return Err(Problem::new(StatusCode::CONFLICT, "experiment_state", detail, hint));
        }
        let mut config = truth.config.clone();
        config.ab_tests.remove(&name);
        Ok(Proposal::of_deletion(config, json!({ "deleted": name })))
    })
    .await
}

/// Returns the configuration with an experiment saved as the successor of the one that is there.
pub(super) fn with_experiment(truth: &Truth, name: &ExperimentName, written: &Experiment) -> Config {
    let mut config = truth.config.clone();
    let saved = next(name, truth.config.ab_tests.get(name), written);
    config.ab_tests.insert(name.clone(), saved);
    begin_above_earlier(truth, &mut config);
    config
}

/// Begins each new experiment above the last phase of the one of its name that was deleted, and after a restore each one that
/// begins to run above every phase before it: those that began between the backup and the restore are not known, and their
/// measurements may still arrive. Measurements of two phases must not be added up.
pub(super) fn begin_above_earlier(truth: &Truth, config: &mut Config) {
    let first_of_epoch = first_phase_of(truth.head.epoch);
    for (name, experiment) in &mut config.ab_tests {
        let held = truth.config.ab_tests.get(name);
        let last = truth.last_phases.get(name).filter(|_| held.is_none());
        experiment.phase = experiment.phase.max(last.map_or(1, |last| last.saturating_add(1)));
        if experiment.is_running() && !held.is_some_and(Experiment::is_running) {
            experiment.phase = experiment.phase.max(first_of_epoch);
        }
    }
}

/// Returns the smallest number of a phase that begins in an epoch, above those of earlier epochs: the seconds from 2025 to the
/// restore. Before the first restore every number is free.
fn first_phase_of(epoch: Epoch) -> u32 {
    u32::try_from(epoch.0.saturating_sub(START_OF_2025)).unwrap_or(u32::MAX)
}

/// Checks that experiments may own their flags, and that the configuration has room for them.
pub(super) fn must_be_valid(truth: &Truth, config: &Config) -> Result<(), Problem> {
    must_stay_stopped(truth, config)?;
    may_own(truth, config)?;
    must_have_enabled_flags(truth, config)?;
    must_be_counted(truth, config)?;
    config.check().map_err(Problem::invalid_document)
}

/// Proposes a configuration, with one of its experiments as the response.
pub(super) fn proposal(name: ExperimentName, config: Config, is_created: bool) -> Proposal {
    let saved = config.ab_tests.get(&name).cloned();
    Proposal {
        config,
        emergency: EmergencyChange::Keep,
        others: Vec::new(),
        answer: Box::new(move |outcome| {
            let status = if is_created { StatusCode::CREATED } else { StatusCode::OK };
            let meta = outcome.meta(SECTION, name.as_str());
            let shown = saved.as_ref().map(|saved| experiment_json(&name, saved, meta.as_ref()));
            (status, shown.unwrap_or_default())
        }),
    }
}

/// Returns a body without the fields that the server maintains: a response to GET may be sent back, and its name must match the
/// path.
fn body_of(name: &ExperimentName, body: Value) -> Result<Value, Problem> {
    NamedObject { kind: "experiment", field: "experiment", name: name.as_str() }.without_kept(&[], body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_begins_above_the_last_phase_of_a_deleted_one_of_its_name() {
        let text = "experiments: { e: { name: E, PHASE variants: { a: A, b: B } } }";
        let written = |phase: &str| {
            let config = Config::from_yaml(&text.replace("PHASE", phase)).unwrap();
            config.ab_tests.into_values().next().unwrap()
        };
        let name: ExperimentName = "e".parse().unwrap();
        let mut truth = Truth::default();
        let phase = |truth: &Truth, written: &Experiment| {
            with_experiment(truth, &name, written).ab_tests[&name].phase
        };
        assert_eq!(phase(&truth, &written("")), 1);
        truth.last_phases.insert(name.clone(), 3);
        assert_eq!(phase(&truth, &written("")), 4);
        assert_eq!(phase(&truth, &written("phase: 3,")), 4, "an export of the deleted one");
        assert_eq!(phase(&truth, &written("phase: 9,")), 9);
        // Once it exists its own phase counts.
        truth.config.ab_tests.insert(name.clone(), written("phase: 4,"));
        assert_eq!(phase(&truth, &written("")), 4);
    }

    /// The backup has a draft or a paused experiment; since then it was started, or its next phase was.
    #[test]
    fn an_experiment_that_begins_to_run_after_a_restore_has_a_phase_above_all_before() {
        let experiment = |state: &str, phase: u32| {
            let text = format!(
                "experiments: {{ e: {{ name: E, state: {state}, phase: {phase}, variants: {{ a: A, b: B }} }} }}"
            );
            Config::from_yaml(&text).unwrap().ab_tests.into_values().next().unwrap()
        };
        let name: ExperimentName = "e".parse().unwrap();
        let phase = |epoch: u64, held: Option<&Experiment>, state: &str| {
            let mut truth = Truth::default();
            truth.head.epoch = Epoch(epoch);
            truth.config.ab_tests.extend(held.map(|held| (name.clone(), held.clone())));
            let phase = held.map_or(1, |held| held.phase);
            with_experiment(&truth, &name, &experiment(state, phase)).ab_tests[&name].phase
        };
        let restored = START_OF_2025 + 60_000_000;
        for (held, state, expected) in [
            (None, "running", 60_000_000),
            (Some(experiment("draft", 1)), "running", 60_000_000),
            (Some(experiment("paused", 2)), "running", 60_000_000),
            // It has begun since the restore, and goes on.
            (Some(experiment("paused", 60_000_000)), "running", 60_000_000),
            (Some(experiment("paused", 60_000_007)), "running", 60_000_007),
            (Some(experiment("running", 60_000_000)), "running", 60_000_000),
            // Nobody is counted, or the phase is over.
            (None, "draft", 1),
            (Some(experiment("paused", 2)), "paused", 2),
            (Some(experiment("paused", 2)), "stopped", 2),
        ] {
            assert_eq!(phase(restored, held.as_ref(), state), expected, "{held:?} {state}");
        }
        assert_eq!(phase(0, Some(&experiment("paused", 2)), "running"), 2, "nothing was restored");
    }

    #[test]
    fn an_experiment_that_was_shown_is_read_back_as_the_same_one() {
        let text = "feature_flags: { f: { enabled: true } }
holdouts: { quiet: { percentage: 5 } }
experiments:
  full:
    name: Full
    flag: f
    state: stopped
    outcome: { decision: ship it, winner: b }
    metrics: [{ name: spent, kind: value, cap: 500000, on: { event: order } }, { name: errors, role: guardrail, on: error }]
    analysis: { min_days: 14, practical_difference: 0.01 }
    holdout: quiet
    layer: { name: l, from: 0, to: 50 }
    conditions: [{ type: attribute, name: country, op: in, values: [NO] }]
    variants: [{ key: a, name: A, arm: legacy, traffic_percentage: 50 },
               { key: b, name: B, arm: new, traffic_percentage: 50, value: blue }]
  bare: { name: Bare, variants: { a: A, b: B } }";
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(text).unwrap();
        for (name, held) in &truth.config.ab_tests {
            let mut shown = experiment_json(name, held, None);
            shown["revision"] = json!(7);
            shown["unchanged"] = json!(true);
            let body = body_of(name, shown).unwrap();
            let read = experiment_from_json(&body, &truth.config, ExperimentState::Draft).unwrap();
            let salt = read.salt.clone().filter(|salt| salt != name.as_str());
            let saved = next(name, Some(held), &Experiment { salt, ..read });
            assert_eq!(saved, *held, "{name}");
        }
        let other = body_of(&"full".parse().unwrap(), json!({ "experiment": "bare" }));
        assert_eq!(other.unwrap_err().field.as_deref(), Some("experiment"));
    }
}
