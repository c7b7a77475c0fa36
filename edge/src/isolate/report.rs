//! Counts and reports of an isolate, and the responses of the control plane: emergencies and newer
//! snapshots are applied without waiting for KV.

use crate::{counting::BatchState, isolate::Isolate, reporting::BatchResult, wire::PackedOutcome};
use cutover_core::{measurement::batch::Receipt, vocabulary::revision::Revision};

impl Isolate {
    /// Counts outcomes, packed by `js/report.js` one after the other, see [`PackedOutcome`].
    pub fn record(&mut self, outcomes: &[u32]) {
        let ended = || outcomes.chunks_exact(PackedOutcome::LENGTH).filter_map(PackedOutcome::read);
        ended().for_each(|ended| self.counts.add(ended));
        if self.settings.reports {
            self.counting.add(ended());
        }
    }

    /// Returns the next batch to send, see [`Reporting::next`](crate::reporting::Reporting::next).
    /// `open` is the number of requests under way; `at_rest` is true if that is none, and no request
    /// has ended since the last call.
    pub fn next_batch(&mut self, at_rest: bool, open: u32, now: i64) -> Option<String> {
        let state = BatchState { revision: self.revision(), age_ms: self.age_now(now), now, at_rest, open };
        self.reporting.next(&mut self.counting, &state)
    }

    /// Applies the response to the batch with this sequence number: its status, 0 if none came, and
    /// its body. Returns true if the batch is stored.
    pub fn finish_batch(&mut self, sequence: u64, status: u16, body: &str, now: i64) -> bool {
        let exchanged = match (status, Receipt::decode(body)) {
            (200..=299, Some(receipt)) => BatchResult::Stored(receipt),
            // Understood and refused: the same batch would be refused again.
            (400 | 413 | 422, _) => BatchResult::Refused,
            _ => BatchResult::Failed,
        };
        self.reporting.finish(&mut self.counting, sequence, &exchanged, now);
        match exchanged {
            BatchResult::Stored(receipt) => {
                self.hear(&receipt, now);
                true
            }
            BatchResult::Refused | BatchResult::Failed => false,
        }
    }

    /// Returns a question to the control plane, or `None` while another one waits for its response.
    pub fn question(&mut self, now: i64) -> Option<String> {
        let (revision, age) = (self.revision(), self.age_now(now));
        self.reporting.question(revision, age, now)
    }

    /// Applies the response to a question.
    pub fn answered(&mut self, status: u16, body: &str, now: i64) {
        let receipt = Receipt::decode(body).filter(|_| (200..=299).contains(&status));
        self.reporting.answered(receipt.is_some(), now);
        if let Some(receipt) = receipt {
            self.hear(&receipt, now);
        }
    }

    fn age_now(&self, now: i64) -> u64 {
        self.age_ms(now).and_then(|age| u64::try_from(age).ok()).unwrap_or_default()
    }

    fn revision(&self) -> Revision {
        self.held.as_ref().map(|held| held.rules.revision()).unwrap_or_default()
    }

    /// Applies a receipt without waiting for KV.
    fn hear(&mut self, receipt: &Receipt, now: i64) {
        if receipt.revision >= self.declared.0 {
            self.declared = (receipt.revision, receipt.emergency.clone());
        }
        if let Some(text) = &receipt.snapshot
            && receipt.revision > self.revision()
            && let Err(refusal) = self.accept(text, now)
        {
            self.last_refusal = Some(refusal.to_string());
        }
        if let Some(held) = &mut self.held {
            if held.rules.revision() == receipt.revision {
                held.confirmed_at = now;
            } else if held.rules.revision() < self.declared.0 {
                held.rules.declare(self.declared.1.as_ref());
            }
        }
    }
}
