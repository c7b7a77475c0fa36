//! Counts, reports and questions of an isolate, and the answers of the control plane: emergencies, brakes and snapshots are
//! applied without waiting for KV.

use crate::{
    counting::BatchState,
    isolate::{Isolate, reading::CONFIRMED_MS},
    reporting::BatchResult,
    wire::PackedOutcome,
};
use cutover_core::measurement::{answer::Answer, question::Question};

impl Isolate {
    /// Counts outcomes, packed by `js/report.js` one after the other, see [`PackedOutcome`].
    pub fn record(&mut self, outcomes: &[u32]) {
        let ended = || outcomes.chunks_exact(PackedOutcome::LENGTH).filter_map(PackedOutcome::read);
        ended().for_each(|ended| self.counts.add(ended));
        if self.settings.reports {
            self.counting.add(ended());
        }
    }

    /// Forgets the origins that are well again.
    pub fn forget_well_origins(&mut self, now: i64) {
        if !self.breakers.is_empty() {
            self.breakers.forget(now);
        }
    }

    /// Returns the next batch to send, see [`Reporting::next`](crate::reporting::Reporting::next).
    /// `open` is the number of requests under way; `at_rest` is true if that is none, and this may be the last report.
    pub fn next_batch(&mut self, at_rest: bool, open: u32, now: i64) -> Option<String> {
        let promised = self.schedule.interval_ms() * 5 / 4 + 30_000;
        let due_ms = if open == 0 { 0 } else { u64::try_from(promised).unwrap_or_default() };
        let confirmed = self.held.as_ref().map(|held| held.confirmed_at);
        let (stamp, age_ms) = (self.stamp(), since(confirmed.or(self.begun_at), now));
        let state = BatchState { stamp, age_ms, now, at_rest, open, due_ms };
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
        let exchanged = match (status, self.decode(body)) {
            (200..=299, Some(answer)) => BatchResult::Stored(Box::new(answer)),
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
        let held = self.stamp();
        let deployment = self.deployment.clone();
        let health = self.breakers.open_origins(now);
        let question =
            Question { epoch: held.epoch, deployment, behind_ms, health, ..Question::since(held.revision) };
        let body = self.reporting.question(question, self.settings.control_loss_ms, now)?;
        self.schedule.asked(now);
        Some(body)
    }

    /// Applies the response to a question.
    pub fn answered(&mut self, status: u16, body: &str, now: i64) {
        let answer = self.decode(body).filter(|_| (200..=299).contains(&status));
        self.reporting.answered(answer.is_some(), now);
        if let Some(answer) = answer {
            self.hear(&answer, now);
        }
    }

    /// Reads an answer. That of another deployment is none: the isolate's own is lost then.
    fn decode(&mut self, body: &str) -> Option<Answer> {
        let answer = Answer::decode(body)?;
        if let Err(refusal) = self.must_be_own(answer.deployment.as_ref()) {
            self.last_refusal = Some(refusal.to_string());
            return None;
        }
        Some(answer)
    }

    /// Applies an answer without waiting for KV.
    fn hear(&mut self, answer: &Answer, now: i64) {
        self.schedule.heard(now);
        self.schedule.set_interval(answer.interval_ms, now);
        if !answer.health.is_empty()
            && let Some(rules) = self.rules()
        {
            let dice = self.draw();
            self.breakers.hear(&rules, &answer.health, now, dice);
        }
        if self.deployment.is_none() {
            self.deployment.clone_from(&answer.deployment);
        }
        if let Err(refusal) = Self::must_be_reached(answer.epoch, now) {
            self.last_refusal = Some(refusal.to_string());
            self.obeyed.add(answer);
        } else if answer.epoch < self.stamp().epoch.max(self.newest.epoch) {
            self.obeyed.add(answer);
        } else {
            self.follow(answer, now);
        }
        self.apply_word();
    }

    /// Applies an answer of the highest epoch.
    fn follow(&mut self, answer: &Answer, now: i64) {
        let stamp = answer.stamp();
        let is_news = stamp > self.newest;
        self.newest = self.newest.max(stamp);
        if let Some(text) = &answer.snapshot
            && stamp > self.stamp()
            && let Err(refusal) = self.accept(text, now)
        {
            self.last_refusal = Some(refusal.to_string());
        }
        self.word.add(answer, self.stamp());
        self.obeyed.overtake(stamp);
        self.obeyed.release(self.stamp());
        if self.is_behind() {
            self.behind_since.get_or_insert(now);
            if is_news {
                // KV may have it by now.
                self.refresh_at = now;
            }
        } else if let Some(held) = &mut self.held
            && held.stamp == stamp
        {
            held.confirmed_at = now;
            self.refresh_at = now + self.settings.soft_ttl_ms.max(CONFIRMED_MS);
        }
    }
}

/// Returns the milliseconds since a time; 0 if there is none.
fn since(time: Option<i64>, now: i64) -> u64 {
    time.and_then(|time| u64::try_from(now - time).ok()).unwrap_or_default()
}
