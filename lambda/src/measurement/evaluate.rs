//! The scheduled evaluation: folds the log of batches, judges the active canaries and the
//! experiments in memory, and decides them.
//!
//! The schedule starts an invocation every minute; each lives longer than that. One works, as the holder of the lease; the
//! others look every second if it has ended. An invocation that dies anywhere is replaced when its lease ends, and does no
//! harm: everything it writes depends on its term, and on the versions of what it has read.

use crate::{
    canary::{decide::decide_flag, guardrail::stop_experiment, run::circumstances},
    clock,
    measurement::{checkpoints::Checkpoints, fold::Folding},
    platform::Platform,
    publication::publish::PublishError,
    store::{Cursor, Lease, error::StoreError},
};
use cutover_core::{
    ExperimentName, FlagName, Revision, RunId, Timestamp,
    canary::{Action, Reason, Run, Verdict, decide},
    experiment::{Conclusion, Record},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Time between the beginnings of two passes.
const PASS: Duration = Duration::from_secs(2);

/// Time between two looks at a lease that somebody else holds.
const STAND_BY: Duration = Duration::from_secs(1);

/// Longest time for which a pass reads before it judges. The next pass continues.
const READING: Duration = Duration::from_secs(20);

/// Time for which every pass may read, also one shortly before the end.
const SHORTEST_READING: Duration = Duration::from_secs(8);

/// Time for which a checkpoint reads for flags that were parked.
const CATCHING_UP: Duration = Duration::from_secs(7);

/// Time for which the end of an invocation waits for what is being published.
const PUBLISHING: Duration = Duration::from_secs(6);

/// Time that an invocation keeps for its last checkpoint.
const ENDING: Duration = Duration::from_secs(10);

/// Summary of an invocation.
#[derive(Debug, Default, Serialize)]
pub struct Tick {
    /// False if somebody else held the lease all the time.
    pub worked: bool,
    /// Number of passes.
    pub passes: usize,
    /// Number of batches that were folded in.
    pub batches: usize,
    /// Number of ledgers that were written.
    pub ledgers: usize,
    /// Number of isolates that were found lost.
    pub isolates_lost: u64,
    /// Arrival time up to which all batches have been folded in, but for the flags that are behind.
    pub through: Option<Timestamp>,
    /// Flags whose ledger is behind, because it could not be read or written.
    pub behind: Vec<String>,
    /// Newest verdict of each running canary, by flag.
    pub verdicts: BTreeMap<String, Verdict>,
    /// Newest decision about each canary that was decided, by flag.
    pub canaries: BTreeMap<String, crate::canary::decide::Outcome>,
    /// Newest conclusion about each experiment that is counted, by name.
    pub experiments: BTreeMap<ExperimentName, Conclusion>,
}

/// Runs one invocation, for the time of the settings: one pass if that is 0.
///
/// # Errors
///
/// Fails if the configuration, the log or the cursor cannot be read or written.
pub async fn invocation(platform: &Platform) -> Result<Tick, StoreError> {
    let deadline = Instant::now() + platform.settings.evaluation;
    let mut tick = Tick::default();
    loop {
        if let Some(lease) = platform.store.take_lease(clock::now().millis(), 0).await? {
            work(platform, lease, deadline, &mut tick).await?;
        }
        if tick.worked || Instant::now() + STAND_BY > deadline {
            break;
        }
        tokio::time::sleep(STAND_BY).await;
    }
    platform.store.note_tick("evaluate", clock::now()).await?;
    Ok(tick)
}

/// Runs one pass if nobody has held the lease for a while.
///
/// # Errors
///
/// Fails as [`invocation`] does.
pub async fn stand_in(platform: &Platform, idle: Duration) -> Result<Option<Tick>, StoreError> {
    let idle = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
    let Some(lease) = platform.store.take_lease(clock::now().millis(), idle).await? else { return Ok(None) };
    let mut tick = Tick::default();
    work(platform, lease, Instant::now(), &mut tick).await?;
    Ok(Some(tick))
}

/// Works as the holder of a lease, and gives it up after a failure: another invocation need not wait until it lapses.
async fn work(
    platform: &Platform,
    lease: Lease,
    deadline: Instant,
    tick: &mut Tick,
) -> Result<(), StoreError> {
    tick.worked = true;
    let worked = work_until(platform, lease, deadline, tick).await;
    if worked.is_err()
        && let Err(error) = platform.store.renew_lease(lease, clock::now().millis(), true).await
    {
        tracing::warn!(%error, "the lease could not be given up, and lapses");
    }
    worked
}

/// Works until shortly before `deadline`, or until somebody else takes the lease.
async fn work_until(
    platform: &Platform,
    lease: Lease,
    deadline: Instant,
    tick: &mut Tick,
) -> Result<(), StoreError> {
    let mut evaluation = Evaluation {
        folding: Folding::begin(platform, lease).await?,
        held: BTreeMap::new(),
        undecided: BTreeSet::new(),
        is_published: true,
        publishing: None,
    };
    let mut checkpoints = Checkpoints::begin(Instant::now());
    loop {
        let began = Instant::now();
        let left = deadline.saturating_duration_since(began).saturating_sub(ENDING);
        tick.batches += evaluation.pass(tick, left.clamp(SHORTEST_READING, READING)).await?;
        tick.passes += 1;
        let is_last = began + PASS + ENDING > deadline;
        if is_last || checkpoints.is_due(&evaluation.folding.behind(), Instant::now()) {
            if !evaluation.checkpoint(tick).await? {
                tracing::warn!(event = "lease_lost", term = lease.term, "somebody else evaluates");
                break;
            }
            checkpoints.wrote(tick.behind.clone(), Instant::now());
        }
        if is_last {
            evaluation.end_publishing().await;
            evaluation.folding.end_lease().await?;
            break;
        }
        tokio::time::sleep(PASS.saturating_sub(began.elapsed())).await;
        if !evaluation.folding.renew_lease().await? {
            break;
        }
    }
    Ok(())
}

/// Evaluation by the holder of a lease.
struct Evaluation<'p> {
    folding: Folding<'p>,
    /// Reason for which each active run was last held, with its step.
    held: BTreeMap<RunId, (u32, Reason)>,
    /// Flags whose evidence cannot be read or written.
    undecided: BTreeSet<FlagName>,
    /// False while a committed decision is not being published.
    is_published: bool,
    publishing: Option<JoinHandle<Result<Revision, PublishError>>>,
}

impl Evaluation<'_> {
    /// Reads the log, judges all active runs in memory, and decides those that are to be moved or held for another reason.
    /// Returns the number of batches.
    async fn pass(&mut self, tick: &mut Tick, patience: Duration) -> Result<usize, StoreError> {
        let batches = self.folding.read(patience).await?;
        self.folding.renew_state().await?;
        for run in self.folding.running() {
            self.folding.keep_lease().await?;
            // The trouble of one flag is never another's.
            if let Err(error) = self.judge(&run, tick).await {
                tracing::error!(flag = %run.flag, %error, "the decision about a canary failed");
            }
        }
        for experiment in self.folding.experiments() {
            self.folding.keep_lease().await?;
            self.judge_experiment(&experiment, tick).await;
        }
        self.publish().await;
        tick.through = Some(Timestamp::from_millis(self.folding.through));
        Ok(batches)
    }

    /// The cursor as a checkpoint would write it now.
    fn cursor(&self) -> Cursor {
        Cursor { through: self.folding.through, ..self.folding.cursor.clone() }
    }

    async fn judge(&mut self, run: &Run, tick: &mut Tick) -> Result<(), StoreError> {
        let Some(evidence) = self.folding.evidence(run).await else {
            if self.undecided.insert(run.flag.clone()) {
                tracing::error!(event = "canary_undecided", flag = %run.flag, "a canary cannot be decided");
            }
            return Ok(());
        };
        self.undecided.remove(&run.flag);
        let cursor = self.cursor();
        let around = circumstances(&cursor, &self.folding.state, run);
        let decision = decide(run, &evidence, &around, clock::now());
        let flag = run.flag.to_string();
        tick.verdicts.insert(flag.clone(), decision.verdict.clone());
        let held = (run.step, decision.reason);
        if decision.action == Action::Hold && self.held.get(&run.id) == Some(&held) {
            return Ok(());
        }
        // The decision is made once more on what is written, so that its record can be replayed.
        if !self.folding.checkpoint(&flag).await {
            return Ok(());
        }
        let platform = self.folding.platform;
        let Some(outcome) = decide_flag(platform, &cursor, &run.flag, self.folding.lease).await? else {
            return Ok(());
        };
        if outcome.action == Action::Hold {
            self.held.insert(outcome.run.clone(), (outcome.step, outcome.reason));
        } else {
            self.is_published = false;
        }
        tick.canaries.insert(flag, outcome);
        self.folding.renew_state().await
    }

    /// Judges an experiment, and stops it if a guardrail has fired.
    async fn judge_experiment(&mut self, name: &ExperimentName, tick: &mut Tick) {
        if let Some(record) = self.folding.judge(name).await {
            tick.experiments.insert(name.clone(), record.judgement.conclusion);
        }
        self.stop_if_harmful(name).await;
    }

    /// Stops an experiment whose guardrail has fired. If that fails it is tried again in the next pass.
    async fn stop_if_harmful(&mut self, name: &ExperimentName) {
        let Some(harm) = self.folding.harm(name) else { return };
        if let Err(error) = self.stop(name, &harm).await {
            tracing::error!(experiment = %name, %error, "an experiment could not be stopped");
        }
    }

    async fn stop(&mut self, name: &ExperimentName, harm: &Record) -> Result<(), StoreError> {
        if stop_experiment(self.folding.platform, harm, self.folding.lease).await? {
            self.is_published = false;
        }
        self.folding.has_stopped(name);
        self.folding.renew_state().await
    }

    /// Has committed decisions published beside everything else: no decision waits for it, and isolates hear of them by
    /// brakes. What fails is tried again in the next pass.
    async fn publish(&mut self) {
        if let Some(publishing) = self.publishing.take_if(|publishing| publishing.is_finished()) {
            match publishing.await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    self.is_published = false;
                    tracing::warn!(%error, "committed, but not published yet");
                }
                Err(error) => tracing::error!(%error, "publishing ended"),
            }
        }
        if !self.is_published && self.publishing.is_none() {
            let publisher = Arc::clone(&self.folding.platform.publisher);
            self.publishing = Some(tokio::spawn(async move { publisher.publish().await }));
            self.is_published = true;
        }
    }

    /// Waits for what is being published, for a bounded time.
    async fn end_publishing(&mut self) {
        self.publish().await;
        if let Some(publishing) = self.publishing.take()
            && let Ok(Ok(Err(error))) = tokio::time::timeout(PUBLISHING, publishing).await
        {
            tracing::warn!(%error, "committed, but not published yet");
        }
    }

    /// Writes the ledgers, the cursor and the interval of reports. Returns false if somebody else holds the lease.
    async fn checkpoint(&mut self, tick: &mut Tick) -> Result<bool, StoreError> {
        let written = self.folding.checkpoint_all(CATCHING_UP).await;
        (tick.ledgers, tick.isolates_lost) = (self.folding.ledgers, self.folding.lost);
        tick.behind = self.folding.behind();
        if !matches!(written, Ok(false)) {
            // Those that are parked are read, and judged, by the checkpoint, whatever of it could not be written.
            for experiment in self.folding.experiments() {
                self.stop_if_harmful(&experiment).await;
            }
        }
        if written.is_err() {
            // The invocation ends with it.
            self.end_publishing().await;
        }
        let is_mine = written?;
        if is_mine {
            self.set_pace().await?;
        }
        Ok(is_mine)
    }

    async fn set_pace(&mut self) -> Result<(), StoreError> {
        let held = self.folding.pace;
        let (isolates, now) = (self.folding.cursor.totals.isolates, clock::now().millis());
        let is_fleet = self.folding.knows_fleet(now);
        let next = if is_fleet { held.next(isolates, now) } else { held.next_for_part(isolates, now) };
        if next != held {
            self.folding.platform.store.write_pace(next).await?;
        }
        self.folding.pace = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_leaves_time_for_its_last_checkpoint() {
        assert!(PASS + CATCHING_UP < ENDING);
    }
}
