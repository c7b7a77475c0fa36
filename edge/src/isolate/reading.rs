//! Reading the snapshot: when it is due, and which document is put in force.

use crate::isolate::{CurrentSnapshot, Isolate, Refusal};
use cutover_core::{
    Ruleset, Snapshot,
    snapshot::digest,
    vocabulary::{
        names::DeploymentId,
        revision::{Epoch, Stamp},
    },
};
use std::rc::Rc;

/// Milliseconds after which a read of the snapshot counts as lost, and another may begin.
pub(super) const READ_PATIENCE_MS: i64 = 10_000;

/// Milliseconds after which Workers KV is read again while it does not bring the revision that the control plane named.
const READ_AGAIN_MS: i64 = 2_000;

/// Milliseconds for which an answer of the control plane confirms the snapshot: longer than the time from one answer to the
/// next, so that KV is read while questions fail, and not otherwise.
pub(super) const CONFIRMED_MS: i64 = 7_000;

impl Isolate {
    pub(super) fn refresh_is_due(&self, now: i64) -> bool {
        now >= self.refresh_at && !self.is_reading(now)
    }

    fn is_reading(&self, now: i64) -> bool {
        self.reading_since.is_some_and(|since| now - since < READ_PATIENCE_MS)
    }

    /// Returns true while no snapshot is held and one is being read.
    pub fn is_worth_waiting(&self, now: i64) -> bool {
        self.held.is_none() && self.is_reading(now)
    }

    /// Claims the next read of the snapshot. Returns false if it is not due or another request is
    /// reading it.
    pub fn begin_read(&mut self, now: i64) -> bool {
        if !self.refresh_is_due(now) {
            return false;
        }
        self.reading_since = Some(now);
        self.reads += 1;
        true
    }

    /// Puts in force the document of a finished read. A refused document changes nothing but
    /// [`Isolate::last_refusal`].
    ///
    /// # Errors
    ///
    /// Returns the [`Refusal`] if the read failed, or the document is missing, damaged, older than
    /// the held one, of another deployment or of the far future, or does not compile.
    pub fn finish_read(&mut self, now: i64, read: Result<Option<String>, String>) -> Result<(), Refusal> {
        self.reading_since = None;
        let outcome = match read {
            Err(error) => Err(Refusal::Unreadable(error)),
            Ok(None) => Err(Refusal::Missing),
            Ok(Some(text)) => self.accept(&text, now),
        };
        self.last_refusal = outcome.as_ref().err().map(ToString::to_string);
        let soft_ttl = self.settings.soft_ttl_ms;
        self.refresh_at = now + if self.is_behind() { soft_ttl.min(READ_AGAIN_MS) } else { soft_ttl };
        outcome
    }

    /// Returns true if the control plane has told of a revision that is newer than the held one; without a snapshot any is.
    pub(super) fn is_behind(&self) -> bool {
        self.stamp() < self.newest
    }

    /// Returns the revision of the held snapshot with its epoch; zero without one.
    pub(super) fn stamp(&self) -> Stamp {
        self.held.as_ref().map(|held| held.stamp).unwrap_or_default()
    }

    /// Refuses the word of another deployment. Who names none is believed: the answer to a question that named it.
    pub(super) fn must_be_own(&self, deployment: Option<&DeploymentId>) -> Result<(), Refusal> {
        match (&self.deployment, deployment) {
            (Some(own), Some(other)) if own != other => Err(Refusal::Foreign(other.clone())),
            _ => Ok(()),
        }
    }

    /// Refuses an epoch that no later restore could follow.
    pub(super) fn must_be_reached(epoch: Epoch, now: i64) -> Result<(), Refusal> {
        if epoch.is_too_far_ahead(now) { Err(Refusal::Future(epoch)) } else { Ok(()) }
    }

    /// Applies the emergency of the held snapshot, and all emergencies and brakes that are known beside it.
    pub(super) fn apply_word(&self) {
        let Some(held) = &self.held else { return };
        let told = self.word.emergency().into_iter().chain(&self.obeyed.emergency);
        held.rules.declare(held.emergency.iter().chain(told));
        held.rules.brake(self.word.brakes(&held.rules, held.stamp).iter().chain(&self.obeyed.brakes));
    }

    pub(super) fn accept(&mut self, text: &str, now: i64) -> Result<(), Refusal> {
        let digest = digest(text);
        if let Some(held) = &mut self.held
            && held.digest == digest
        {
            // The same document as before, as nearly always: nothing to parse.
            held.confirmed_at = now;
            return Ok(());
        }
        let snapshot = Snapshot::decode(text).map_err(Refusal::Snapshot)?;
        self.must_be_own(snapshot.deployment.as_ref())?;
        let (held, stamp) = (self.stamp(), snapshot.stamp());
        if stamp < held {
            return Err(Refusal::Older { held, offered: stamp });
        }
        Self::must_be_reached(stamp.epoch, now)?;
        let rules = Rc::new(Ruleset::compile(&snapshot).map_err(Refusal::Compile)?);
        let Snapshot { emergency, deployment, .. } = snapshot;
        self.deployment = self.deployment.take().or(deployment);
        self.word.release(stamp);
        self.obeyed.release(stamp);
        self.held = Some(CurrentSnapshot { rules, stamp, emergency, digest, confirmed_at: now });
        if !self.is_behind() {
            self.behind_since = None;
        }
        self.apply_word();
        self.begin_generation(now);
        Ok(())
    }
}
