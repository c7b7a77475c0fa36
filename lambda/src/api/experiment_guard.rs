//! Guards for flags that experiments own: a flag has one owner at most, a canary run or a running experiment.

use crate::{api::canary_guard::no_emergency, problem::Problem, store::State as Truth};
use axum::http::StatusCode;
use cutover_core::{
    ExperimentName, FlagName, PartsPerMillion,
    config::Config,
    experiment::Phase,
    rules::experiment::document::{Experiment, ExperimentState, MAX_RUNNING},
};

/// Rejects a canary's move up on a flag that a running experiment owns: its users would be on the arms of their variants, and
/// evidence of nobody.
pub(super) fn must_not_own(truth: &Truth, flag: &FlagName) -> Result<(), Problem> {
    match truth.owner(flag) {
        None => Ok(()),
        Some(owner) => Err(owned_by_experiment(flag, owner)),
    }
}

/// Rejects a share that differs from that of a flag which a running experiment owns: users of the experiment would stay where
/// they are, and those who leave it would go to a share that nobody sees.
pub(super) fn may_have(truth: &Truth, flag: &FlagName, share: PartsPerMillion) -> Result<(), Problem> {
    let held = truth.config.feature_flags.get(flag).map(|flag| flag.rollout_percentage);
    if held == Some(share) { Ok(()) } else { must_not_own(truth, flag) }
}

/// Rejects a configuration in which an experiment begins to own a flag that has another owner, or that an emergency holds.
pub(super) fn may_own(truth: &Truth, config: &Config) -> Result<(), Problem> {
    for (name, flag) in owners(config) {
        if let Some((other, _)) = owners(config).find(|(other, owned)| *other != name && *owned == flag) {
            // The one that does not own it yet is at fault.
            let earlier = truth.owner(flag).filter(|owner| [name, other].contains(owner)).unwrap_or(other);
            return Err(owned_by_experiment(flag, earlier));
        }
        if truth.owner(flag) == Some(name) {
            // Whoever clears an emergency has seen the share before, and conditions admit users whom nobody counts.
            let conditions = |config: &Config| config.ab_tests.get(name).map(|held| held.conditions.clone());
            let is_wider = config.share_on_new(flag) > truth.config.share_on_new(flag);
            if is_wider || conditions(config) != conditions(&truth.config) {
                no_emergency(truth, flag)?;
            }
            continue;
        }
        if let Some(run) = truth.active_run(flag) {
            let detail = format!("the run {} of the canary of {flag} owns the flag", run.id);
            let hint = "roll the canary back, or wait until it is complete, before the experiment starts";
            return Err(flag_owned(detail, hint));
        }
        no_emergency(truth, flag)?;
    }
    Ok(())
}

/// Rejects a configuration in which a stopped experiment runs or is paused again: its phase and its outcome are over, and a file
/// of the time before knows nothing of them.
pub(super) fn must_stay_stopped(truth: &Truth, config: &Config) -> Result<(), Problem> {
    let goes_on = |name: &ExperimentName, held: &Experiment| {
        let state = config.ab_tests.get(name).map(|experiment| experiment.state);
        let is_active = matches!(state, Some(ExperimentState::Running | ExperimentState::Paused));
        held.state == ExperimentState::Stopped && is_active
    };
    match truth.config.ab_tests.iter().find(|(name, held)| goes_on(name, held)) {
        None => Ok(()),
        Some((name, _)) => {
            let detail = format!("the experiment {name} is stopped, and this would start its phase again");
            let hint = "leave its state out, or make it a draft (state: draft) first, whose start begins the next phase";
            Err(Problem::new(StatusCode::CONFLICT, "experiment_state", detail, hint))
        }
    }
}

/// Rejects a configuration in which an experiment begins to own a disabled flag: all of its users would be on legacy, and the
/// command that enables the flag would move them.
pub(super) fn must_have_enabled_flags(truth: &Truth, config: &Config) -> Result<(), Problem> {
    let is_enabled = |flag: &FlagName| config.feature_flags.get(flag).is_some_and(|flag| flag.enabled);
    let mut begun = owners(config).filter(|(name, flag)| truth.owner(flag) != Some(*name));
    match begun.find(|(_, flag)| !is_enabled(flag)) {
        None => Ok(()),
        Some((name, flag)) => {
            let detail = format!(
                "the flag {flag} is disabled, so all users of the experiment {name} would be on legacy"
            );
            let hint = format!(
                "enable the flag first (cutover enable {flag}), or leave the experiment a draft (state: draft)"
            );
            Err(Problem::new(StatusCode::CONFLICT, "flag_disabled", detail, hint))
        }
    }
}

/// Rejects a configuration in which more experiments run than isolates count, unless as many run already.
pub(super) fn must_be_counted(truth: &Truth, config: &Config) -> Result<(), Problem> {
    let running = |config: &Config| config.ab_tests.values().filter(|held| held.is_running()).count();
    let held = running(&truth.config);
    if running(config) <= MAX_RUNNING.max(held) {
        return Ok(());
    }
    let detail = format!("{held} experiments are running, and at most {MAX_RUNNING} are counted");
    let hint = "pause or stop one of them first";
    Err(Problem::new(StatusCode::CONFLICT, "too_many_experiments", detail, hint))
}

/// Rejects a start of an experiment in the phase whose guardrail has fired, given its newest phase that was folded: its
/// users would meet the harm that is known.
pub(super) fn must_be_harmless(
    truth: &Truth,
    config: &Config,
    name: &ExperimentName,
    folded: Option<&Phase>,
) -> Result<(), Problem> {
    let counted = truth.counted_phase(name).map(|(identity, _)| identity);
    let number = config.ab_tests.get(name).map(|experiment| experiment.phase);
    let goes_on =
        |phase: &&Phase| counted.as_ref() == Some(&phase.identity) && number == Some(phase.identity.phase);
    let harm = folded.filter(goes_on).and_then(|phase| phase.harm.as_deref()?.harm());
    match harm {
        None => Ok(()),
        Some(harm) => {
            let detail = format!("this phase of the experiment {name} has done harm: {harm}");
            let hint = format!(
                "mend the cause first, then begin a new phase: cutover experiment stop {name} --reason WHY, then apply a file \
                 with its state: draft (cutover apply -f FILE), then cutover experiment start {name}"
            );
            Err(Problem::new(StatusCode::CONFLICT, "guardrail_fired", detail, hint))
        }
    }
}

/// Iterates over the running experiments that own a flag, with that flag.
fn owners(config: &Config) -> impl Iterator<Item = (&ExperimentName, &FlagName)> {
    config.ab_tests.iter().filter_map(|(name, experiment)| Some((name, experiment.owned_flag()?)))
}

fn owned_by_experiment(flag: &FlagName, owner: &ExperimentName) -> Problem {
    let detail = format!("the running experiment {owner} owns the flag {flag}");
    let hint = "pause or stop the experiment first; to send all users to legacy at once, disable the flag";
    flag_owned(detail, hint)
}

fn flag_owned(detail: String, hint: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "flag_owned", detail, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CountedPhase;
    use cutover_core::{
        Timestamp,
        canary::{Run, RunIdentity},
        experiment::{Arrivals, DEFAULT_CAPACITY},
        measurement::{
            batch::Batch,
            experiments::{ExperimentPart, Exposure, UserOutcome},
        },
    };

    const CONFIG: &str = "
feature_flags: { f: { enabled: true, rollout_percentage: 5 }, dim: { enabled: false } }
canary_deployments:
  f:
    initial_percentage: 5
    promotion_steps: [5, 100]
    step_duration_minutes: 60
    success_criteria: { max_error_rate: 0.05, max_response_time_p95: 500 }
    rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 1000 }
origins: { rest: { url: \"https://legacy.example.com\" }, graphql: { url: \"https://new.example.com\" } }
routes: [{ id: f, match: { path: /f }, flag: f, legacy: rest, new: graphql }]
experiments:
  one: { name: One, flag: f, state: draft, variants: [{ key: a, name: A, arm: legacy, traffic_percentage: 50 },
         { key: b, name: B, arm: new, traffic_percentage: 50 }] }
  two: { name: Two, flag: f, state: draft, variants: [{ key: a, name: A, arm: legacy, traffic_percentage: 50 },
         { key: b, name: B, arm: new, traffic_percentage: 50 }] }
  dark: { name: Dark, flag: dim, state: draft, variants: [{ key: a, name: A, arm: legacy, traffic_percentage: 50 },
          { key: b, name: B, arm: new, traffic_percentage: 50 }] }
";

    fn truth() -> Truth {
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(CONFIG).unwrap();
        truth
    }

    fn with_running(config: &Config, names: &[&str]) -> Config {
        let mut config = config.clone();
        for name in names {
            let name: ExperimentName = name.parse().unwrap();
            config.ab_tests.get_mut(&name).unwrap().state = ExperimentState::Running;
        }
        config
    }

    #[test]
    fn a_stopped_experiment_does_not_go_on() {
        let name: ExperimentName = "one".parse().unwrap();
        let with_state = |config: &Config, state: ExperimentState| {
            let mut config = config.clone();
            config.ab_tests.get_mut(&name).unwrap().state = state;
            config
        };
        let mut truth = truth();
        truth.config = with_state(&truth.config, ExperimentState::Stopped);
        for (state, expected) in [
            (ExperimentState::Running, Some("experiment_state")),
            (ExperimentState::Paused, Some("experiment_state")),
            (ExperimentState::Draft, None),
            (ExperimentState::Stopped, None),
        ] {
            let refused = must_stay_stopped(&truth, &with_state(&truth.config, state)).err();
            assert_eq!(refused.map(|problem| problem.code), expected, "{state:?}");
        }
    }

    /// The edge would count none of the users of another one.
    #[test]
    fn no_more_experiments_run_than_isolates_count() {
        let running = |count: usize| {
            let mut config = Config::default();
            let (_, one) = truth().config.ab_tests.pop_first().unwrap();
            for number in 0..count {
                let running = Experiment { state: ExperimentState::Running, ..one.clone() };
                config.ab_tests.insert(format!("t{number}").parse().unwrap(), running);
            }
            config
        };
        let mut truth = truth();
        assert_eq!(must_be_counted(&truth, &running(MAX_RUNNING)), Ok(()));
        truth.config = running(MAX_RUNNING);
        let refused = must_be_counted(&truth, &running(MAX_RUNNING + 1)).unwrap_err();
        assert_eq!((refused.status, refused.code), (StatusCode::CONFLICT, "too_many_experiments"));
        // Earlier versions let more of them run, and those do not stand in the way of other changes.
        truth.config = running(MAX_RUNNING + 2);
        assert_eq!(must_be_counted(&truth, &running(MAX_RUNNING + 2)), Ok(()));
    }

    #[test]
    fn a_flag_has_one_owner() {
        let flag: FlagName = "f".parse().unwrap();
        let mut truth = truth();
        assert_eq!(must_not_own(&truth, &flag), Ok(()));
        assert_eq!(may_own(&truth, &with_running(&truth.config, &["one"])), Ok(()));
        let both = may_own(&truth, &with_running(&truth.config, &["one", "two"])).unwrap_err();
        assert_eq!((both.status, both.code), (StatusCode::CONFLICT, "flag_owned"));

        truth.config = with_running(&truth.config, &["two"]);
        for refused in [
            must_not_own(&truth, &flag),
            may_have(&truth, &flag, PartsPerMillion::ZERO),
            may_own(&truth, &with_running(&truth.config, &["one"])),
        ] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code, "flag_owned");
            assert_eq!(refused.detail, "the running experiment two owns the flag f");
        }
        assert_eq!(may_have(&truth, &flag, PartsPerMillion::of_percent(5)), Ok(()));
        assert_eq!(may_own(&truth, &truth.config), Ok(()), "it owns the flag already");
    }

    #[test]
    fn an_experiment_waits_for_the_end_of_a_run_and_an_enabled_flag() {
        let mut truth = truth();
        let (flag, plan) = truth.config.canary_deployments.clone().pop_first().unwrap();
        let identity = RunIdentity { id: "r7".parse().unwrap(), key: None };
        let run = Run::start(identity, flag.clone(), plan, Timestamp::from_millis(0), "ann");
        truth.runs.insert(flag.clone(), run.clone());
        let running = with_running(&truth.config, &["one"]);
        let refused = may_own(&truth, &running).unwrap_err();
        assert_eq!((refused.code, refused.detail.contains("run r7")), ("flag_owned", true), "{refused}");
        truth.runs.insert(flag, run.rolled_back(None, ""));
        assert_eq!(may_own(&truth, &running), Ok(()));
    }

    /// A file enables a flag and starts its experiment in one change, or neither.
    #[test]
    fn an_experiment_begins_to_own_an_enabled_flag_only() {
        let mut truth = truth();
        let dark = with_running(&truth.config, &["one", "dark"]);
        let refused = must_have_enabled_flags(&truth, &dark).unwrap_err();
        assert_eq!((refused.status, refused.code), (StatusCode::CONFLICT, "flag_disabled"));
        assert!(refused.detail.starts_with("the flag dim is disabled"), "{}", refused.detail);
        assert!(refused.hint.contains("cutover enable dim"), "{}", refused.hint);
        let mut lit = dark.clone();
        lit.feature_flags.values_mut().for_each(|flag| flag.enabled = true);
        assert_eq!(must_have_enabled_flags(&truth, &lit), Ok(()));
        // A flag that is disabled while the experiment owns it stays its flag.
        truth.config = lit;
        assert_eq!(must_have_enabled_flags(&truth, &dark), Ok(()));
    }

    /// A phase in which this many users of the variant b failed, and all that is counted of it.
    fn failed(truth: &Truth, name: &ExperimentName, users: u64) -> Phase {
        let (identity, design) = truth.counted_phase(name).unwrap();
        let mut phase = Phase::begin(identity, design, DEFAULT_CAPACITY);
        let mut part = ExperimentPart::empty(name.clone(), phase.identity.phase, 10);
        for user in 1..=users {
            part.exposures.push(Exposure { user, variant: 1, after_s: 0 });
            part.outcomes.push(UserOutcome { user, metric: 0, after_s: 1, value: None, id: None });
        }
        let mut arrivals = Arrivals::new(name.clone(), phase.identity.phase);
        arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) });
        phase.fold(&arrivals, Timestamp::from_millis(60_000));
        let record = phase.judged(Timestamp::from_millis(60_000), "test");
        phase.conclude(&record);
        phase
    }

    #[test]
    fn a_phase_whose_guardrail_has_fired_is_not_started_again() {
        let name: ExperimentName = "one".parse().unwrap();
        let mut truth = truth();
        let one = truth.config.ab_tests.get_mut(&name).unwrap();
        (one.state, one.success_metrics) = (ExperimentState::Paused, vec!["error_rate".to_owned()]);
        let counted =
            CountedPhase { phase: one.phase, began: Timestamp::from_millis(5), key: "0".repeat(32) };
        truth.phases.insert(name.clone(), counted);
        let running = with_running(&truth.config, &["one"]);
        let harmful = failed(&truth, &name, 40);
        let check = |truth: &Truth, config: &Config, folded: Option<&Phase>| {
            must_be_harmless(truth, config, &name, folded).err().map(|problem| problem.code)
        };
        let refused = must_be_harmless(&truth, &running, &name, Some(&harmful)).unwrap_err();
        assert_eq!((refused.status, refused.code), (StatusCode::CONFLICT, "guardrail_fired"));
        assert!(refused.detail.contains("the guardrail error_rate fired"), "{}", refused.detail);
        for step in ["cutover experiment stop one --reason ", "state: draft", "cutover experiment start one"]
        {
            assert!(refused.hint.contains(step), "{step}: {}", refused.hint);
        }
        assert_eq!(check(&truth, &running, Some(&failed(&truth, &name, 1))), None, "no harm");
        assert_eq!(check(&truth, &running, None), None, "nothing was counted");
        let mut changed = running.clone();
        changed.ab_tests.get_mut(&name).unwrap().phase += 1;
        assert_eq!(check(&truth, &changed, Some(&harmful)), None, "another phase begins");
        truth.phases.clear();
        assert_eq!(check(&truth, &running, Some(&harmful)), None, "the phase was over");
    }
}
