//! Decisions about canaries. Each reads what is written, and makes at most one step in one transaction with its record. It
//! changes a run on condition that nobody else has changed it, and that its maker still holds the lease of evaluation.

use crate::{
    canary::{
        notify,
        run::{circumstances, evidence_of, run_identity, run_write},
    },
    clock,
    platform::Platform,
    store::{
        AuditRecord, CommitError, Cursor, HoldState, Lease, RUNS, Role, State, Write, backoff::backoff,
        error::StoreError, record_items,
    },
};
use cutover_core::{
    FlagName, RunId, Timestamp,
    canary::{Action, Decision, Record, Run, TickContext},
};
use serde::Serialize;
use serde_json::json;

/// Name of the actor in the audit log for automatic decisions.
pub const ACTOR: &str = "promote";

/// Number of attempts to make a decision while its inputs keep changing.
const MAX_TRIES: u32 = 8;

/// Longest wait before the second attempt, in milliseconds.
const FIRST_WAIT_MS: u64 = 40;

/// Outcome of the decision about a canary.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Action that was taken.
    pub action: Action,
    /// Reason for the action.
    pub reason: cutover_core::canary::Reason,
    /// Id of the run after the decision.
    pub run: RunId,
    /// Step of that run.
    pub step: u32,
}

/// Decides the canary of a flag. Returns `None` if it is not active, or an item of this flag cannot be decoded: the run stays
/// as it is then, and the tick is complete without it.
///
/// # Errors
///
/// Fails if the table cannot be read or written, or if its inputs keep changing.
pub async fn decide_flag(
    platform: &Platform,
    cursor: &Cursor,
    flag: &FlagName,
    lease: Lease,
) -> Result<Option<Outcome>, StoreError> {
    for attempt in 0..MAX_TRIES {
        if attempt > 0 {
            tokio::time::sleep(backoff(FIRST_WAIT_MS, attempt)).await;
        }
        let state = platform.store.state().await?;
        let Some(run) = state.active_run(flag) else { return Ok(None) };
        match (DecisionContext { platform, cursor, state: &state, run, lease, at: clock::now() })
            .decide()
            .await
        {
            Ok(outcome) => return Ok(Some(outcome)),
            Err(CommitError::Conflict | CommitError::Store(StoreError::Restless)) => {}
            // A decision reads the evidence and the reason for waiting of its own flag, and nothing else.
            Err(CommitError::Store(error @ (StoreError::Item(_) | StoreError::Later(_)))) => {
                tracing::error!(event = "canary_undecided", %flag, %error, "a canary cannot be decided");
                return Ok(None);
            }
            Err(CommitError::Store(error)) => return Err(error),
        }
    }
    Err(StoreError::Restless)
}

struct DecisionContext<'t> {
    platform: &'t Platform,
    cursor: &'t Cursor,
    state: &'t State,
    run: &'t Run,
    lease: Lease,
    at: Timestamp,
}

impl DecisionContext<'_> {
    async fn decide(&self) -> Result<Outcome, CommitError> {
        let evidence = evidence_of(self.platform, self.run).await?;
        let around = circumstances(self.cursor, self.state, self.run);
        let (record, decision) =
            Record::decision(self.at, crate::VERSION, self.run, &evidence, around.clone());
        let after = self.after(&decision, &around)?;
        match &after {
            None => self.hold(&record, &decision).await?,
            Some(after) => self.step(&record, &decision, after).await?,
        }
        let run = after.as_ref().unwrap_or(self.run);
        Ok(Outcome { action: decision.action, reason: decision.reason, run: run.id.clone(), step: run.step })
    }

    /// Returns the run after a decision; `None` if it does not change.
    fn after(&self, decision: &Decision, around: &TickContext) -> Result<Option<Run>, StoreError> {
        let says = decision.reason.says();
        Ok(match decision.action {
            Action::Hold => None,
            Action::Advance | Action::Complete => Some(self.run.advanced(self.at, says)),
            Action::RollBack => {
                let breach = decision.verdict.breach.clone();
                // One sentence with the counts, also for those who look when the evidence is gone.
                let reason = breach.as_ref().map_or_else(|| says.to_owned(), |breach| breach.sentence());
                Some(self.run.rolled_back(breach, &reason))
            }
            Action::Pause => Some(self.run.paused(says)),
            Action::Restart => match &around.plan {
                None => None,
                Some(plan) => {
                    let identity =
                        run_identity(self.state).map_err(|problem| StoreError::Call(problem.to_string()))?;
                    self.run.under(plan, identity, self.at)
                }
            },
        })
    }

    /// Records that the run is held. Writes nothing if it was held for the same reason before.
    async fn hold(&self, record: &Record, decision: &Decision) -> Result<(), CommitError> {
        let waiting = HoldState {
            run: self.run.id.clone(),
            step: self.run.step,
            reason: decision.reason,
            since: self.at,
        };
        let held = self.platform.store.waiting(&self.run.flag).await?;
        let version = held.as_ref().map_or(0, |(_, version)| *version);
        if held.is_some_and(|(held, _)| HoldState { since: waiting.since, ..held } == waiting) {
            return Ok(());
        }
        let mut others = record_items(record, &format!("hold#{version:012}"))?;
        if let Some(notification) = notify::of(self.platform, self.run, decision, self.at) {
            others.push(notification.item()?);
        }
        tracing::info!(event = "hold", flag = %self.run.flag, run = %self.run.id, reason = ?decision.reason, "holding");
        self.platform.store.note_waiting(&self.run.flag, &waiting, version, others).await
    }

    async fn step(&self, record: &Record, decision: &Decision, after: &Run) -> Result<(), CommitError> {
        let (state, flag_name) = (self.state, &self.run.flag);
        let mut writes = vec![run_write(state, after)];
        if let Some(flag) = state.config.feature_flags.get(flag_name)
            && flag.rollout_percentage != after.share()
        {
            let flag = cutover_core::Flag { rollout_percentage: after.share(), ..flag.clone() };
            writes.push(state.write("feature_flags", flag_name.as_str(), Some(json!(flag))));
        }
        let items = record_items(record, &format!("decision#{:012}", state.head.revision.0))?;
        writes.extend(items.into_iter().map(Write::New));
        if let Some(notification) = notify::of(self.platform, after, decision, self.at) {
            writes.push(Write::New(notification.item()?));
        }
        let (action, counter) = match decision.action {
            Action::Advance => ("canary.advance", "advances"),
            Action::Complete => ("canary.complete", "completions"),
            Action::RollBack => ("canary.rollback", "rollbacks"),
            Action::Pause => ("canary.pause", "pauses"),
            Action::Restart => ("canary.restart", "restarts"),
            Action::Hold => ("canary.hold", "holds"),
        };
        writes.push(Write::Count { flag: flag_name.to_string(), name: counter });
        let changes = json!([{
            "section": RUNS,
            "name": flag_name,
            "run": after.id,
            "state": [self.run.state, after.state],
            "step": [self.run.step, after.step],
            "rollout_percentage": [self.run.share(), after.share()],
        }]);
        let objects = vec![format!("{RUNS}/{flag_name}"), format!("feature_flags/{flag_name}")];
        let audit = AuditRecord::new(self.at, ACTOR, Role::Operator, action, Some(after.reason.clone()))
            .with_changes(objects, changes);
        let commit = state.automatic_change(writes, audit, self.lease);
        let revision = self.platform.store.commit(commit).await?;
        let (event, run, reason) = (notify::event(decision).unwrap_or("decided"), &after.id, decision.reason);
        tracing::info!(event, flag = %flag_name, %run, action, ?reason, revision = revision.0, "decided");
        Ok(())
    }
}
