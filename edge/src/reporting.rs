//! Words of an isolate to the control plane, and the application of its answers. One batch is under way at a time; it is sent
//! again, byte for byte, until it is known to be stored, refused, or a day old. Plain state without I/O.

use crate::counting::{BatchState, Counting};
use cutover_core::measurement::{answer::Answer, batch::Batch, question::Question};

/// Milliseconds for which the answer to a question is waited for.
const PATIENCE_MS: i64 = 1_000;

/// Milliseconds after which nobody waits for the answer to a batch any more: the request whose work it was has ended.
const BATCH_PATIENCE_MS: i64 = 10_000;

/// Milliseconds without a question after which the isolate was asleep: while requests come, it asks every 5 s if nobody answers.
const ASLEEP_MS: i64 = 15_000;

/// Milliseconds after which a batch cannot be stored any more: the control plane may have forgotten that it was.
const OLDEST_BATCH_MS: i64 = 24 * 60 * 60 * 1_000;

/// Reports and questions of an isolate, and the answers to them.
#[derive(Debug, Default)]
pub struct Reporting {
    /// Name of the isolate, once it has one.
    isolate: Option<String>,
    sequence: u64,
    pending: Option<Pending>,
    heard_at: Option<i64>,
    /// Time of the first question since the last word of the control plane, or, until it is lost, since the isolate was last
    /// asleep.
    silent_since: Option<i64>,
    asked_at: Option<i64>,
    /// Time of the question before that.
    asked_before: Option<i64>,
    asking: bool,
    /// Number of batches that were stored.
    pub sent: u64,
    /// Number of exchanges that were refused or brought no usable response.
    pub failures: u64,
}

#[derive(Debug)]
struct Pending {
    batch: Batch,
    body: String,
    made_at: i64,
    /// Time at which it was sent, while its answer may come.
    sent_at: Option<i64>,
}

/// Result of sending a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchResult {
    /// The batch is stored.
    Stored(Box<Answer>),
    /// The batch was understood and refused, so it can never be stored.
    Refused,
    /// Another batch has the isolate's name and this number. The isolate takes the new name that is given here.
    Renamed(String),
    /// The batch may or may not have been stored.
    Failed,
}

impl Reporting {
    /// Names the isolate, unless it has a name already.
    pub fn name(&mut self, isolate: String) {
        self.isolate.get_or_insert(isolate);
    }

    /// Returns the name of the isolate.
    pub fn isolate(&self) -> Option<&str> {
        self.isolate.as_deref()
    }

    /// Returns the next batch to send: the one that was made before, or the outcomes counted since. Returns `None` if there
    /// is nothing to send, or while the answer to a batch may come.
    pub fn next(&mut self, counting: &mut Counting, state: &BatchState) -> Option<String> {
        let now = state.now;
        if let Some(old) = self.pending.take_if(|pending| now - pending.made_at > OLDEST_BATCH_MS) {
            counting.lose_batch(&old.batch);
        }
        if self.pending.is_none() {
            let isolate = self.isolate.as_deref()?;
            if !counting.has_batch(now, state.at_rest) {
                return None;
            }
            let batch = counting.take(isolate, self.sequence + 1, state);
            self.sequence = batch.sequence;
            self.pending = Some(Pending { body: batch.encode(), batch, made_at: now, sent_at: None });
        }
        let pending = self.pending.as_mut()?;
        if pending.sent_at.is_some_and(|sent| now - sent < BATCH_PATIENCE_MS) {
            return None;
        }
        pending.sent_at = Some(now);
        Some(pending.body.clone())
    }

    /// Returns the sequence number of the newest batch.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Applies the result of sending the batch with this sequence number.
    pub fn finish(&mut self, counting: &mut Counting, sequence: u64, exchanged: &BatchResult, now: i64) {
        // The answer may come after another request has sent the batch again, and must not settle the next one.
        let is_meant = |pending: &mut Pending| pending.batch.sequence == sequence;
        match exchanged {
            BatchResult::Stored(_) => {
                if self.pending.take_if(is_meant).is_some() {
                    self.sent += 1;
                }
                self.hear(now);
            }
            BatchResult::Refused => {
                if let Some(refused) = self.pending.take_if(is_meant) {
                    counting.lose_batch(&refused.batch);
                }
                self.failures += 1;
            }
            BatchResult::Renamed(name) => {
                if let Some(pending) =
                    self.pending.as_mut().filter(|pending| pending.batch.sequence == sequence)
                {
                    self.isolate = Some(name.clone());
                    self.sequence = 1;
                    (pending.batch.isolate, pending.batch.sequence) = (name.clone(), 1);
                    (pending.body, pending.sent_at) = (pending.batch.encode(), None);
                }
                self.failures += 1;
            }
            BatchResult::Failed => {
                if let Some(pending) =
                    self.pending.as_mut().filter(|pending| pending.batch.sequence == sequence)
                {
                    pending.sent_at = None;
                }
                self.failures += 1;
            }
        }
    }

    /// Returns a question in the isolate's name. Returns `None` while another question waits for its answer, and as long as
    /// the isolate has no name. `limit_ms` is that of [`Reporting::is_lost`].
    pub fn question(&mut self, question: Question, limit_ms: i64, now: i64) -> Option<String> {
        let isolate = self.isolate.clone().filter(|_| !self.is_asking(now))?;
        if self.asked_at.is_some_and(|asked| now - asked > ASLEEP_MS && !self.is_lost(asked, limit_ms)) {
            // Nobody was silent to an isolate that did not ask. A loss ends with an answer, and not with a rest.
            self.silent_since = None;
        }
        self.asked_before = self.asked_at;
        (self.asked_at, self.asking) = (Some(now), true);
        self.silent_since.get_or_insert(now);
        Some(Question { isolate: Some(isolate), ..question }.encode())
    }

    /// Records that a question was answered, or that it was not.
    pub fn answered(&mut self, heard: bool, now: i64) {
        self.asking = false;
        if heard {
            self.hear(now);
        } else {
            self.failures += 1;
        }
    }

    fn hear(&mut self, now: i64) {
        self.heard_at = Some(now);
        self.silent_since = None;
    }

    /// Returns true if the control plane was asked, and has not answered for more than `limit_ms` milliseconds. If the isolate
    /// was asleep before that limit, the time begins anew.
    pub fn is_lost(&self, now: i64, limit_ms: i64) -> bool {
        self.silent_since.is_some_and(|since| now - since > limit_ms)
    }

    /// Returns true if requests wait for the question that another one has sent. Nobody waits for a control plane that
    /// did not answer the question before.
    pub fn is_awaited(&self, now: i64) -> bool {
        self.is_asking(now) && self.heard_at >= self.asked_before
    }

    /// Returns true if nothing was heard from the control plane for more than `limit_ms` milliseconds.
    pub fn is_unheard(&self, now: i64, limit_ms: i64) -> bool {
        self.heard_at.is_none_or(|heard| now - heard > limit_ms)
    }

    /// Returns true if nothing was heard from the control plane for more than `limit_ms`
    /// milliseconds, and no question was sent in that time either.
    pub fn must_ask(&self, now: i64, limit_ms: i64) -> bool {
        self.is_unheard(now, limit_ms) && self.asked_at.is_none_or(|asked| now - asked > limit_ms)
    }

    /// Returns true while a question waits for its answer.
    pub fn is_asking(&self, now: i64) -> bool {
        self.asking && self.asked_at.is_some_and(|asked| now - asked < PATIENCE_MS)
    }

    /// Returns the milliseconds since the control plane was last heard from.
    pub fn silence_ms(&self, now: i64) -> Option<i64> {
        self.heard_at.map(|heard| (now - heard).max(0))
    }

    /// Returns true while a batch is not known to be stored.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}
