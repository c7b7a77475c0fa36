//! Experiments that a guardrail stops: one change ends the experiment, and takes its users back to where its flag sends them.

use crate::{
    canary::decide::ACTOR,
    change::operation::Operation,
    clock,
    platform::Platform,
    store::{
        AuditRecord, Commit, CommitError, Lease, Notification, PHASES, Role, State, Write, backoff::backoff,
        error::StoreError,
    },
};
use cutover_core::{
    Timestamp,
    config::{Change, diff},
    experiment::Record,
    rules::experiment::{
        document::{Experiment, ExperimentOutcome, ExperimentState},
        succession::next,
    },
};
use serde_json::json;

/// Section of the configuration that holds the experiments.
const SECTION: &str = "ab_tests";

/// Number of attempts to stop an experiment while the configuration keeps changing.
const MAX_TRIES: u32 = 8;

/// Longest wait before the second attempt, in milliseconds.
const FIRST_WAIT_MS: u64 = 40;

/// Stops the experiment of a record whose guardrail has fired, if the phase of the record is still counted. Returns true if it
/// was stopped.
///
/// # Errors
///
/// Fails if the table cannot be read or written, or if the configuration keeps changing.
pub async fn stop_experiment(platform: &Platform, record: &Record, lease: Lease) -> Result<bool, StoreError> {
    for attempt in 0..MAX_TRIES {
        if attempt > 0 {
            tokio::time::sleep(backoff(FIRST_WAIT_MS, attempt)).await;
        }
        let state = platform.store.state().await?;
        let Some(commit) = stop(platform, &state, record, lease) else { return Ok(false) };
        match platform.store.commit(commit).await {
            Ok(revision) => {
                let experiment = &record.identity.experiment;
                tracing::error!(event = "experiment_stopped", %experiment, revision = revision.0, "a guardrail fired");
                return Ok(true);
            }
            Err(CommitError::Conflict | CommitError::Store(StoreError::Restless)) => {}
            Err(CommitError::Store(error)) => return Err(error),
        }
    }
    Err(StoreError::Restless)
}

/// Builds the change that stops an experiment; `None` if its guardrail has not fired, or its phase is over.
fn stop(platform: &Platform, state: &State, record: &Record, lease: Lease) -> Option<Commit> {
    let name = &record.identity.experiment;
    let harm = record.harm()?;
    let counted = state.phases.get(name)?;
    // Also a paused one: else somebody would start it again, and its users would meet the harm that is known.
    let goes_on = |state| matches!(state, ExperimentState::Running | ExperimentState::Paused);
    let running = state.config.ab_tests.get(name).filter(|experiment| goes_on(experiment.state))?;
    let is_of_record = counted.phase == record.identity.phase
        && counted.began == record.identity.began
        && counted.is_of(running);
    if !is_of_record {
        return None;
    }
    let at = clock::now();
    let reason = format!("stopped by itself: {harm}");
    let outcome = ExperimentOutcome { decision: reason.clone(), winner: None };
    let stopped = Experiment { state: ExperimentState::Stopped, outcome: Some(outcome), ..running.clone() };
    let mut config = state.config.clone();
    config.ab_tests.insert(name.clone(), next(name, Some(running), &stopped));
    let changes = diff(&state.config, &config);
    let mut writes = vec![
        state.write(SECTION, name.as_str(), config.object(SECTION, name.as_str())),
        state.write(PHASES, name.as_str(), None),
    ];
    if platform.settings.webhook.is_some() {
        // Without its notification the experiment is stopped as well.
        writes.extend(notification(record, running, &reason, at).item().ok().map(Write::New));
    }
    let objects = changes.iter().map(Change::object).collect();
    let action = Operation::ExperimentStop.as_str();
    let audit = AuditRecord::new(at, ACTOR, Role::Operator, action, Some(reason))
        .with_changes(objects, json!(changes));
    Some(state.automatic_change(writes, audit, lease))
}

/// Builds the notification of an experiment that is stopped.
fn notification(record: &Record, running: &Experiment, reason: &str, at: Timestamp) -> Notification {
    let name = &record.identity.experiment;
    let phase = record.identity.phase;
    Notification {
        id: format!("experiment-{name}-{phase}-stop-{}", at.millis()),
        at,
        next_at: at,
        attempts: 0,
        body: json!({
            "event": "experiment_stopped",
            "experiment": name,
            "phase": phase,
            "flag": running.flag,
            "state": ExperimentState::Stopped,
            "conclusion": record.judgement.conclusion,
            "message": reason,
            "at": at,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Brakes, CountedPhase, Head};
    use cutover_core::{
        Revision,
        config::Config,
        experiment::{Arrivals, DEFAULT_CAPACITY, Phase},
        measurement::{
            batch::Batch,
            experiments::{ExperimentPart, Exposure, UserOutcome},
        },
    };

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    /// A state at revision 7 in which an experiment owns the flag `f`, whose users are on legacy without it.
    fn state() -> State {
        let text = "feature_flags: { f: { enabled: true, rollout_percentage: 0 } }
experiments:
  e: { name: E, flag: f, success_metrics: [error_rate], variants: { control: { name: C, arm: legacy }, treatment: { name: T, arm: new } } }";
        let mut state = State::default();
        state.config = Config::from_yaml(text).unwrap();
        let brakes = Brakes::none_before(Revision(7));
        state.head = Head { revision: Revision(7), brakes, ..Head::default() };
        let counted = CountedPhase { phase: 1, began: Timestamp::from_millis(5), key: KEY.to_owned() };
        state.phases.insert("e".parse().unwrap(), counted);
        state
    }

    /// Returns the judgement of the phase with this many users of treatment who had errors.
    fn record(state: &State, failed: u64) -> Record {
        let name = "e".parse().unwrap();
        let (identity, design) = state.counted_phase(&name).unwrap();
        let mut phase = Phase::begin(identity, design, DEFAULT_CAPACITY);
        let mut part = ExperimentPart::empty(name.clone(), 1, 10);
        for user in 1..=failed {
            part.exposures.push(Exposure { user, variant: 1, after_s: 0 });
            part.outcomes.push(UserOutcome { user, metric: 0, after_s: 1, value: None, id: None });
        }
        let mut arrivals = Arrivals::new(name, 1);
        arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) });
        phase.fold(&arrivals, Timestamp::from_millis(60_000));
        phase.judged(Timestamp::from_millis(60_000), "test")
    }

    #[tokio::test]
    async fn the_stop_is_one_change_with_its_brake_and_without_the_key() {
        let (platform, state, lease) = (Platform::detached(false), state(), Lease { term: 3 });
        let commit = stop(&platform, &state, &record(&state, 40), lease).unwrap();
        let objects: Vec<(&str, bool)> = commit
            .writes
            .iter()
            .map(|write| match write {
                Write::Object { section, value, .. } => (section.as_str(), value.is_some()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(objects, [(SECTION, true), (PHASES, false)]);
        assert_eq!((commit.from, commit.lease), (Revision(7), Some(lease)));
        let brakes = commit.brakes.since(Revision(7));
        assert_eq!(brakes.iter().map(|brake| brake.flag.as_str()).collect::<Vec<_>>(), ["f"]);
        assert_eq!((commit.audit.action.as_str(), commit.audit.actor.as_str()), ("experiment.stop", ACTOR));
        assert!(commit.audit.reason.as_ref().unwrap().contains("error_rate"), "{:?}", commit.audit.reason);
        assert_eq!(commit.audit.objects, ["ab_tests/e"]);
        assert!(!commit.audit.changes.to_string().contains(KEY), "the audit log has the key");
    }

    #[tokio::test]
    async fn nothing_is_stopped_without_harm_or_in_another_phase() {
        let (platform, lease) = (Platform::detached(false), Lease { term: 3 });
        let counted = state();
        let is_stopped = |state: &State, record: &Record| stop(&platform, state, record, lease).is_some();
        let harm = record(&counted, 40);
        assert!(is_stopped(&counted, &harm));
        assert!(!is_stopped(&counted, &record(&counted, 1)), "no harm");
        let mut again = state();
        again.phases.values_mut().for_each(|phase| phase.began = Timestamp::from_millis(6));
        assert!(!is_stopped(&again, &harm), "another start of the phase");
        let mut paused = state();
        paused.config.ab_tests.values_mut().for_each(|experiment| experiment.state = ExperimentState::Paused);
        assert!(is_stopped(&paused, &harm), "somebody could start it again");
        let mut over = state();
        over.phases.clear();
        assert!(!is_stopped(&over, &harm), "it was stopped meanwhile");
    }
}
