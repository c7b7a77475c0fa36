//! Reading the snapshot: when it is due, and which document is put in force.

use crate::isolate::{CurrentSnapshot, Isolate, Refusal};
use cutover_core::{Ruleset, Snapshot, snapshot::digest};
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
    /// the held one, or does not compile.
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

    /// Returns true if the control plane has told of a revision that is newer than the held one.
    pub(super) fn is_behind(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.rules.revision() < self.declared.0)
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
        if let Some(held) = &self.held {
            let revision = held.rules.revision();
            if snapshot.revision < revision {
                return Err(Refusal::Older { held: revision, offered: snapshot.revision });
            }
        }
        let rules = Ruleset::compile(&snapshot).map_err(Refusal::Compile)?;
        if rules.revision() < self.declared.0 {
            rules.declare(self.declared.1.as_ref());
        } else {
            self.behind_since = None;
        }
        self.brakes.retain(|brake| brake.revision > rules.revision());
        rules.brake(&self.brakes);
        self.held = Some(CurrentSnapshot { rules: Rc::new(rules), digest, confirmed_at: now });
        self.begin_generation(now);
        Ok(())
    }
}
