//! Counts, reports and questions of an isolate, and the answers of the control plane: emergencies, brakes and snapshots are
//! applied without waiting for KV.

use crate::{
    counting::BatchState,
    isolate::{Isolate, reading::CONFIRMED_MS},
    reporting::BatchResult,
    wire::PackedOutcome,
};
use cutover_core::{
    measurement::{
        answer::{Answer, Brake},
        question::Question,
    },
    vocabulary::revision::Revision,
};

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
    /// `open` is the number of requests under way; `at_rest` is true if that is none, and this may be the last report.
    pub fn next_batch(&mut self, at_rest: bool, open: u32, now: i64) -> Option<String> {
        let promised = self.schedule.interval_ms() * 5 / 4 + 30_000;
        let due_ms = if open == 0 { 0 } else { u64::try_from(promised).unwrap_or_default() };
        let (revision, age_ms) =
            (self.revision(), since(self.held.as_ref().map(|held| held.confirmed_at), now));
        let state = BatchState { revision, age_ms, now, at_rest, open, due_ms };
        self.reporting.next(&mut self.counting, &state)
    }

    /// Applies the response to the batch with this sequence number: its status, 0 if none came, and its body. `mint` creates
    /// a new name for the isolate. Returns true if the next batch may be sent at once: this one is stored, or has another
    /// name now.
    pub fn finish_batch(
        &mut self,
        sequence: u64,
        status: u16,
        body: &str,
        now: i64,
        mint: impl FnOnce() -> Option<String>,
    ) -> bool {
        let exchanged = match (status, Answer::decode(body)) {
            (200..=299, Some(answer)) => BatchResult::Stored(answer),
            // Understood and refused: the same batch would be refused again.
            (400 | 413 | 422, _) => BatchResult::Refused,
            (409, _) => mint().map_or(BatchResult::Failed, BatchResult::Renamed),
            _ => BatchResult::Failed,
        };
        self.reporting.finish(&mut self.counting, sequence, &exchanged, now);
        match exchanged {
            BatchResult::Stored(answer) => {
                self.schedule.reported();
                self.hear(&answer, now);
                true
            }
            BatchResult::Renamed(_) => true,
            BatchResult::Refused => false,
            BatchResult::Failed => {
                self.schedule.report_failed(now);
                false
            }
        }
    }

    /// Returns a question to the control plane, or `None` while another one waits for its answer.
    pub fn question(&mut self, now: i64) -> Option<String> {
        let behind_ms = since(self.behind_since, now);
        let question = Question { behind_ms, ..Question::since(self.revision()) };
        let body = self.reporting.question(question, now)?;
        self.schedule.asked(now);
        Some(body)
    }

    /// Applies the response to a question.
    pub fn answered(&mut self, status: u16, body: &str, now: i64) {
        let answer = Answer::decode(body).filter(|_| (200..=299).contains(&status));
        self.reporting.answered(answer.is_some(), now);
        if let Some(answer) = answer {
            self.hear(&answer, now);
        }
    }

    fn revision(&self) -> Revision {
        self.held.as_ref().map(|held| held.rules.revision()).unwrap_or_default()
    }

    /// Applies an answer without waiting for KV.
    fn hear(&mut self, answer: &Answer, now: i64) {
        self.schedule.heard(now);
        self.schedule.set_interval(answer.interval_ms, now);
        let is_news = answer.revision > self.declared.0;
        if answer.revision >= self.declared.0 {
            self.declared = (answer.revision, answer.emergency.clone());
        }
        if let Some(text) = &answer.snapshot
            && answer.revision > self.revision()
            && let Err(refusal) = self.accept(text, now)
        {
            self.last_refusal = Some(refusal.to_string());
        }
        self.add_brakes(&answer.brakes);
        let is_behind = self.is_behind();
        let Some(held) = &mut self.held else { return };
        if is_behind {
            held.rules.declare(self.declared.1.as_ref());
            self.behind_since.get_or_insert(now);
            if is_news {
                // KV may have it by now.
                self.refresh_at = now;
            }
        } else if held.rules.revision() == answer.revision {
            held.confirmed_at = now;
            self.refresh_at = now + self.settings.soft_ttl_ms.max(CONFIRMED_MS);
        }
    }

    /// Applies brakes of changes that the held snapshot does not have. Of several brakes of a flag the least holds until the
    /// newest of these changes has come.
    fn add_brakes(&mut self, brakes: &[Brake]) {
        let revision = self.revision();
        let before = self.brakes.clone();
        for brake in brakes.iter().filter(|brake| brake.revision > revision) {
            match self.brakes.iter_mut().find(|held| held.flag == brake.flag) {
                Some(held) => {
                    held.revision = held.revision.max(brake.revision);
                    held.enabled &= brake.enabled;
                    held.rollout = held.rollout.min(brake.rollout);
                }
                None => self.brakes.push(brake.clone()),
            }
        }
        if let Some(held) = self.held.as_ref().filter(|_| self.brakes != before) {
            held.rules.brake(&self.brakes);
        }
    }
}

/// Returns the milliseconds since a time; 0 if there is none.
fn since(time: Option<i64>, now: i64) -> u64 {
    time.and_then(|time| u64::try_from(now - time).ok()).unwrap_or_default()
}
