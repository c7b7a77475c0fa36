//! When an isolate tells the control plane what it counted, and what it does with the answer. One batch is under way
//! at a time; it is sent again, byte for byte, until it is known to be stored. Plain state without I/O.

use crate::counting::Counting;
use cutover_core::{
    batch::{Batch, Receipt, SCHEMA},
    snapshot::Revision,
};

/// An answer that has not come after this time is not waited for.
const PATIENCE_MS: i64 = 1_000;

/// What an isolate has told, and heard.
#[derive(Debug, Default)]
pub struct Reporting {
    /// The name of the isolate, once it has one.
    isolate: Option<String>,
    sequence: u64,
    pending: Option<Pending>,
    /// Whether the control plane expects to hear more.
    awaited: bool,
    heard_at: Option<i64>,
    asked_at: Option<i64>,
    asking: bool,
    /// Batches that were stored.
    pub sent: u64,
    /// Exchanges that brought no answer.
    pub failures: u64,
}

#[derive(Debug)]
struct Pending {
    sequence: u64,
    body: String,
    outcomes: u64,
    ends: bool,
}

/// What became of an exchange.
#[derive(Debug, Clone, PartialEq)]
pub enum Exchanged {
    /// The batch is stored.
    Stored(Receipt),
    /// The batch can never be stored: it was understood and refused.
    Refused,
    /// Nobody knows.
    Failed,
}

impl Reporting {
    /// Names the isolate.
    pub fn name(&mut self, isolate: String) {
        self.isolate.get_or_insert(isolate);
    }

    /// The name.
    pub fn isolate(&self) -> Option<&str> {
        self.isolate.as_deref()
    }

    /// The next batch to send: the one that is under way, or what was counted since. With `at_rest` also the word
    /// that nothing more is to come, once.
    pub fn next(
        &mut self,
        counting: &mut Counting,
        revision: Revision,
        age_ms: u64,
        at_rest: bool,
    ) -> Option<String> {
        if let Some(pending) = &self.pending {
            return Some(pending.body.clone());
        }
        let isolate = self.isolate.as_deref()?;
        if counting.is_empty() && !(at_rest && self.awaited) {
            return None;
        }
        let mut batch = counting.take(isolate, self.sequence + 1, revision);
        batch.idle = at_rest && batch.cells.is_empty() && batch.comparisons.is_empty();
        batch.age_ms = age_ms;
        let outcomes = batch.cells.iter().map(|cell| cell.counts.requests).sum::<u64>() + batch.lost;
        // A batch is always JSON.
        let body = serde_json::to_string(&batch).ok()?;
        self.sequence += 1;
        let (sequence, ends) = (self.sequence, batch.idle);
        self.pending = Some(Pending { sequence, body: body.clone(), outcomes, ends });
        Some(body)
    }

    /// The number of the newest batch.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Takes in what became of the batch of this number.
    pub fn finish(&mut self, counting: &mut Counting, sequence: u64, exchanged: &Exchanged, now: i64) {
        // The same batch may have been sent from two sides; the second answer says nothing about the next batch.
        let mut taken = || self.pending.take_if(|pending| pending.sequence == sequence);
        match exchanged {
            Exchanged::Stored(_) => {
                if let Some(stored) = taken() {
                    self.awaited = !stored.ends;
                    self.sent += 1;
                }
                self.heard_at = Some(now);
            }
            Exchanged::Refused => {
                if let Some(refused) = taken() {
                    counting.lose(refused.outcomes);
                }
                self.failures += 1;
            }
            Exchanged::Failed => self.failures += 1,
        }
    }

    /// A batch with nothing in it: it asks how things stand, and says that there will be something to tell. `None`
    /// while an answer is still being waited for.
    pub fn question(&mut self, revision: Revision, age_ms: u64, now: i64) -> Option<String> {
        let isolate = self.isolate.clone().filter(|_| !self.is_asking(now))?;
        (self.asked_at, self.asking, self.awaited) = (Some(now), true, true);
        let batch = Batch {
            schema: SCHEMA,
            isolate,
            sequence: 0,
            revision,
            idle: false,
            age_ms,
            lost: 0,
            cells: Vec::new(),
            units: Vec::new(),
            comparisons: Vec::new(),
        };
        serde_json::to_string(&batch).ok()
    }

    /// The answer to a question came, or did not.
    pub fn answered(&mut self, heard: bool, now: i64) {
        self.asking = false;
        if heard {
            self.heard_at = Some(now);
        } else {
            self.failures += 1;
        }
    }

    /// Whether nothing was heard for longer than this, and nobody has asked either.
    pub fn must_ask(&self, now: i64, limit_ms: i64) -> bool {
        let long_ago = |at: Option<i64>| at.is_none_or(|at| now - at > limit_ms);
        long_ago(self.heard_at) && long_ago(self.asked_at)
    }

    /// Whether the control plane does not expect to hear more, or was not heard for longer than this.
    pub fn must_announce(&self, now: i64, limit_ms: i64) -> bool {
        !self.awaited || self.must_ask(now, limit_ms)
    }

    /// Whether an answer is being waited for.
    pub fn is_asking(&self, now: i64) -> bool {
        self.asking && self.asked_at.is_some_and(|at| now - at < PATIENCE_MS)
    }

    /// Milliseconds since something was heard.
    pub fn silence_ms(&self, now: i64) -> Option<i64> {
        self.heard_at.map(|at| (now - at).max(0))
    }

    /// Whether a batch is under way.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}
