//! `POST /experiments/{name}/start`, `/pause` and `/stop`: the states of an experiment.

use crate::{
    api::{
        experiment_guard::must_be_harmless,
        experiment_save::{must_be_valid, proposal, with_experiment},
        experiments::{SECTION, find},
        extract::ExperimentPath,
        measured::folded_phase,
    },
    change::{commit::change, demand::ChangeRequest, operation::Operation, proposal::ChangeResponse},
    platform::Platform,
    problem::Problem,
    store::{Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{
    ExperimentName,
    rules::experiment::document::{Experiment, ExperimentOutcome, ExperimentState},
    vocabulary::names::VariantKey,
};
use serde::Deserialize;

/// Longest reason and longest decision, in characters.
const MAX_WORDS: usize = 500;

/// Body of a request to stop an experiment. Nothing chooses a winner but the caller.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StopBody {
    reason: String,
    #[serde(default)]
    decision: Option<String>,
    #[serde(default)]
    winner: Option<VariantKey>,
}

/// Assigns users from now on. A paused experiment goes on with the same assignment, unless its phase has done harm.
pub(super) async fn start(
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    demand.must_have_no_body()?;
    let folded = folded_phase(&platform.store, &name).await?;
    change(&platform, &demand, Operation::ExperimentStart, |truth| {
        let experiment = in_state(truth, &name, &[ExperimentState::Draft, ExperimentState::Paused])?;
        demand.must_be_as_seen(truth, "experiment", SECTION, name.as_str())?;
        let running = Experiment { state: ExperimentState::Running, ..experiment.clone() };
        let config = with_experiment(truth, &name, &running);
        must_be_harmless(truth, &config, &name, folded.as_ref())?;
        must_be_valid(truth, &config)?;
        Ok(proposal(name.clone(), config, false))
    })
    .await
}

/// Assigns nobody until the experiment is started again: its users go where its flag sends them.
pub(super) async fn pause(
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    demand.must_have_no_body()?;
    change(&platform, &demand, Operation::ExperimentPause, |truth| {
        let experiment = in_state(truth, &name, &[ExperimentState::Running])?;
        demand.must_be_as_seen(truth, "experiment", SECTION, name.as_str())?;
        let paused = Experiment { state: ExperimentState::Paused, ..experiment.clone() };
        Ok(proposal(name.clone(), with_experiment(truth, &name, &paused), false))
    })
    .await
}

/// Ends the experiment with the outcome that the caller gives, if any. Its users go where its flag sends them.
pub(super) async fn stop(
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
    mut demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let StopBody { reason, decision, winner } = demand.shape()?;
    demand.reason = Some(words("reason", &reason)?);
    let decision = decision.map(|decision| words("decision", &decision)).transpose()?;
    change(&platform, &demand, Operation::ExperimentStop, |truth| {
        let experiment = in_state(truth, &name, &[ExperimentState::Running, ExperimentState::Paused])?;
        demand.must_be_as_seen(truth, "experiment", SECTION, name.as_str())?;
        must_be_a_variant(&name, experiment, winner.as_ref())?;
        let has_outcome = decision.is_some() || winner.is_some();
        let outcome = has_outcome.then(|| ExperimentOutcome {
            decision: decision.clone().unwrap_or_default(),
            winner: winner.clone(),
        });
        let stopped = Experiment { state: ExperimentState::Stopped, outcome, ..experiment.clone() };
        Ok(proposal(name.clone(), with_experiment(truth, &name, &stopped), false))
    })
    .await
}

/// Returns an experiment in one of the given states.
fn in_state<'t>(
    truth: &'t Truth,
    name: &ExperimentName,
    states: &[ExperimentState],
) -> Result<&'t Experiment, Problem> {
    let experiment = find(truth, name)?;
    if states.contains(&experiment.state) {
        return Ok(experiment);
    }
    let wanted: Vec<&str> = states.iter().map(|state| word(*state)).collect();
    let state = word(experiment.state);
    let detail = format!("the experiment {name} is {state}, not {}", wanted.join(" or "));
    let hint = match experiment.state {
        ExperimentState::Draft => "start it, or delete it if it is not wanted",
        ExperimentState::Running => "pause it or stop it",
        ExperimentState::Paused => "start it to go on, or stop it",
        ExperimentState::Stopped => "save it with the state draft, and start it: that is its next phase",
    };
    Err(Problem::new(StatusCode::CONFLICT, "experiment_state", detail, hint))
}

/// Returns the name of a state in documents.
fn word(state: ExperimentState) -> &'static str {
    ExperimentState::ALL.iter().find(|(_, other)| *other == state).map_or("unknown", |(word, _)| *word)
}

fn must_be_a_variant(
    name: &ExperimentName,
    experiment: &Experiment,
    winner: Option<&VariantKey>,
) -> Result<(), Problem> {
    let keys = || experiment.variants.iter().map(|variant| &variant.key);
    match winner.filter(|winner| keys().all(|key| key != *winner)) {
        None => Ok(()),
        Some(unknown) => {
            let detail = format!("the experiment {name} has no variant {:?}", unknown.as_str());
            let known: Vec<&str> = keys().map(VariantKey::as_str).collect();
            Err(Problem::invalid("winner", detail, format!("use {}, or leave it out", known.join(", "))))
        }
    }
}

/// Returns a text of a body in one line: a reason is also a header of the request that a second person approves.
fn words(field: &str, text: &str) -> Result<String, Problem> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    let length = line.chars().count();
    if (1..=MAX_WORDS).contains(&length) {
        return Ok(line.to_owned());
    }
    let hint = format!("write 1 to {MAX_WORDS} characters");
    Err(Problem::invalid(field, format!("the {field} has {length} characters"), hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Config;

    #[test]
    fn a_state_that_does_not_allow_it_is_named_with_the_next_step() {
        let text = "experiments: { e: { name: E, state: stopped, variants: { a: A, b: B } } }";
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(text).unwrap();
        let name: ExperimentName = "e".parse().unwrap();
        let refused =
            in_state(&truth, &name, &[ExperimentState::Running, ExperimentState::Paused]).unwrap_err();
        assert_eq!((refused.status, refused.code), (StatusCode::CONFLICT, "experiment_state"));
        assert_eq!(refused.detail, "the experiment e is stopped, not running or paused");
        assert!(refused.hint.contains("next phase"), "{}", refused.hint);
        assert!(in_state(&truth, &name, &[ExperimentState::Stopped]).is_ok());
    }

    #[test]
    fn a_winner_is_a_variant_and_a_reason_has_words() {
        let text = "experiments: { e: { name: E, variants: { a: A, b: B } } }";
        let config = Config::from_yaml(text).unwrap();
        let (name, experiment) = config.ab_tests.first_key_value().unwrap();
        let key = |text: &str| Some(text.parse::<VariantKey>().unwrap());
        assert_eq!(must_be_a_variant(name, experiment, None), Ok(()));
        assert_eq!(must_be_a_variant(name, experiment, key("b").as_ref()), Ok(()));
        let unknown = must_be_a_variant(name, experiment, key("c").as_ref()).unwrap_err();
        assert_eq!(
            (unknown.field.as_deref(), unknown.hint.as_str()),
            (Some("winner"), "use a, b, or leave it out")
        );
        assert_eq!(words("reason", " too\nslow ").unwrap(), "too slow");
        assert_eq!(words("reason", " \n ").unwrap_err().field.as_deref(), Some("reason"));
    }
}
