//! Reports of an isolate to the control plane: when one is due, and how its response is applied.
//! One batch is under way at a time; it is sent again, byte for byte, until it is known to be
//! stored. Plain state without I/O.

use crate::counting::{BatchState, Counting};
use cutover_core::{
    measurement::batch::{Batch, Receipt},
    vocabulary::revision::Revision,
};

/// Milliseconds for which the response to a question is waited for.
const PATIENCE_MS: i64 = 1_000;

/// Reports and questions of an isolate, and the responses to them.
#[derive(Debug, Default)]
pub struct Reporting {
    /// Name of the isolate, once it has one.
    isolate: Option<String>,
    sequence: u64,
    pending: Option<Pending>,
    /// True while the control plane expects another report.
    awaited: bool,
    heard_at: Option<i64>,
    /// Time of the first question since the last word of the control plane.
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
}

/// Result of sending a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchResult {
    /// The batch is stored.
    Stored(Receipt),
    /// The batch was understood and refused, so it can never be stored.
    Refused,
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

    /// Returns the next batch to send: the one that is under way, or the outcomes counted since. If
    /// the isolate is at rest and nothing was counted, returns once a batch that announces that no
    /// more will follow.
    pub fn next(&mut self, counting: &mut Counting, state: &BatchState) -> Option<String> {
        if let Some(pending) = &self.pending {
            return Some(pending.body.clone());
        }
        let isolate = self.isolate.as_deref()?;
        let says_so = state.at_rest && self.awaited;
        if !(says_so || counting.has_batch(state.now, state.at_rest)) {
            return None;
        }
        let batch = counting.take(isolate, self.sequence + 1, state);
        let body = batch.encode();
        self.sequence = batch.sequence;
        self.pending = Some(Pending { batch, body: body.clone() });
        Some(body)
    }

    /// Returns the sequence number of the newest batch.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Applies the result of sending the batch with this sequence number.
    pub fn finish(&mut self, counting: &mut Counting, sequence: u64, exchanged: &BatchResult, now: i64) {
        // Two requests may have sent the same batch; the second response must not settle the next
        // one.
        let mut taken = || self.pending.take_if(|pending| pending.batch.sequence == sequence);
        match exchanged {
            BatchResult::Stored(_) => {
                if let Some(stored) = taken() {
                    self.awaited = !stored.batch.idle;
                    self.sent += 1;
                }
                self.hear(now);
            }
            BatchResult::Refused => {
                if let Some(refused) = taken() {
                    counting.lose_batch(&refused.batch);
                }
                self.failures += 1;
            }
            BatchResult::Failed => self.failures += 1,
        }
    }

    /// Returns an empty batch, which requests the state of the control plane and announces that
    /// reports will follow. Returns `None` while another question waits for its response, and as
    /// long as the isolate has no name.
    pub fn question(&mut self, revision: Revision, age_ms: u64, now: i64) -> Option<String> {
        let isolate = self.isolate.clone().filter(|_| !self.is_asking(now))?;
        self.asked_before = self.asked_at;
        (self.asked_at, self.asking, self.awaited) = (Some(now), true, true);
        self.silent_since.get_or_insert(now);
        Some(Batch { revision, age_ms, ..Batch::empty(isolate, 0) }.encode())
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

    /// Returns true if the control plane was asked, and has not answered for more than `limit_ms` milliseconds. The time
    /// for which the isolate itself was asleep does not count.
    pub fn is_lost(&self, now: i64, limit_ms: i64) -> bool {
        self.silent_since.is_some_and(|since| now - since > limit_ms)
    }

    /// Returns true if requests wait for the question that another one has sent. Nobody waits for a control plane that
    /// did not answer the question before.
    pub fn is_awaited(&self, now: i64) -> bool {
        self.is_asking(now) && self.heard_at >= self.asked_before
    }

    /// Returns true if nothing was heard from the control plane for more than `limit_ms`
    /// milliseconds, and no question was sent in that time either.
    pub fn must_ask(&self, now: i64, limit_ms: i64) -> bool {
        let long_ago = |time: Option<i64>| time.is_none_or(|time| now - time > limit_ms);
        long_ago(self.heard_at) && long_ago(self.asked_at)
    }

    /// Returns true if the control plane does not expect another report, or has been silent for
    /// more than `limit_ms` milliseconds.
    pub fn must_announce(&self, now: i64, limit_ms: i64) -> bool {
        !self.awaited || self.must_ask(now, limit_ms)
    }

    /// Returns true while a question waits for its response.
    pub fn is_asking(&self, now: i64) -> bool {
        self.asking && self.asked_at.is_some_and(|asked| now - asked < PATIENCE_MS)
    }

    /// Returns the milliseconds since the control plane was last heard from.
    pub fn silence_ms(&self, now: i64) -> Option<i64> {
        self.heard_at.map(|heard| (now - heard).max(0))
    }

    /// Returns true while a batch is under way.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}
