//! The phases of experiments in a change: the secret key of a phase is drawn by the change that begins it, and removed by the
//! one that ends it.

use crate::{
    access::digest,
    problem::Problem,
    store::{CountedPhase, PHASES, State, Write},
};
use cutover_core::{
    ExperimentName, Timestamp,
    config::{Change, Config},
    rules::experiment::document::{Experiment, ExperimentState},
};
use serde_json::json;

/// Effect of a change of an experiment on its phase that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The phase goes on, or there is none.
    Keep,
    /// This phase begins.
    Begin(u32),
    /// The phase is over.
    End,
}

/// Returns the effect of a change after which the experiment is `after`; `None` if it is removed.
fn effect(held: Option<&CountedPhase>, after: Option<&Experiment>) -> Effect {
    let goes_on = |experiment: &Experiment| held.is_some_and(|held| held.is_of(experiment));
    match after {
        Some(experiment) if experiment.is_running() => {
            if goes_on(experiment) {
                Effect::Keep
            } else {
                Effect::Begin(experiment.phase)
            }
        }
        Some(experiment) if experiment.state == ExperimentState::Paused && goes_on(experiment) => {
            Effect::Keep
        }
        _ if held.is_some() => Effect::End,
        _ => Effect::Keep,
    }
}

/// Returns the write of the counted phase that goes with the change of an object; `None` if there is none.
///
/// # Errors
///
/// Returns the problem `no_randomness` if the operating system provides no random bytes.
pub(super) fn phase_write(
    before: &State,
    after: &Config,
    change: &Change,
    at: Timestamp,
) -> Result<Option<Write>, Problem> {
    if change.section != "ab_tests" {
        return Ok(None);
    }
    let Ok(name) = change.name.parse::<ExperimentName>() else { return Ok(None) };
    let value = match effect(before.phases.get(&name), after.ab_tests.get(&name)) {
        Effect::Keep => return Ok(None),
        Effect::End => None,
        Effect::Begin(phase) => Some(json!(CountedPhase { phase, began: at, key: digest::random::<16>()? })),
    };
    Ok(Some(before.write(PHASES, name.as_str(), value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::diff;

    fn config(state: &str, phase: u32) -> Config {
        let text = format!("experiments: {{ e: {{ name: E, state: {state}, variants: {{ a: A, b: B }} }} }}");
        let mut config = Config::from_yaml(&text).unwrap();
        config.ab_tests.values_mut().for_each(|experiment| experiment.phase = phase);
        config
    }

    fn held(phase: u32) -> CountedPhase {
        CountedPhase { phase, began: Timestamp::from_millis(0), key: "0".repeat(32) }
    }

    #[test]
    fn a_phase_has_a_key_from_its_start_to_its_end() {
        for (before, state, phase, expected) in [
            (None, "draft", 1, Effect::Keep),
            (None, "running", 1, Effect::Begin(1)),
            (Some(1), "running", 1, Effect::Keep),
            (Some(1), "paused", 1, Effect::Keep),
            (Some(1), "running", 2, Effect::Begin(2)),
            (Some(1), "paused", 2, Effect::End),
            (Some(1), "stopped", 1, Effect::End),
            (Some(1), "draft", 2, Effect::End),
            (None, "stopped", 1, Effect::Keep),
            // Started by a version that counted nobody.
            (None, "paused", 1, Effect::Keep),
        ] {
            let config = config(state, phase);
            let found = effect(before.map(held).as_ref(), config.ab_tests.values().next());
            assert_eq!(found, expected, "{before:?} {state} {phase}");
        }
        assert_eq!(effect(Some(&held(1)), None), Effect::End);
        assert_eq!(effect(None, None), Effect::Keep);
    }

    #[test]
    fn the_key_of_each_phase_is_drawn_anew() {
        let (before, at) = (State::default(), Timestamp::from_millis(7));
        let after = config("running", 1);
        let changes = diff(&before.config, &after);
        let drawn = || match phase_write(&before, &after, &changes[0], at).unwrap() {
            Some(Write::Object { section, name, value: Some(value), expected: None }) => {
                assert_eq!((section.as_str(), name.as_str()), (PHASES, "e"));
                serde_json::from_value::<CountedPhase>(value).unwrap()
            }
            other => panic!("{other:?}"),
        };
        let [first, second] = [drawn(), drawn()];
        assert_eq!((first.phase, first.began, first.key.len()), (1, at, 32));
        assert_ne!(first.key, second.key);
    }
}
