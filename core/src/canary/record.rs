//! Records of decisions: every input and every output, so that each decision can be recomputed
//! later.

use crate::{
    canary::{
        decide::{Decision, TickContext, decide},
        evidence::Evidence,
        fold::fold,
        run::Run,
        verdict::Verdict,
        window::Window,
    },
    vocabulary::timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Record of one fold or one decision of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Time at which it was made.
    pub at: Timestamp,
    /// Function that made it: `evaluate` or `promote`.
    pub actor: String,
    /// Version of the code.
    pub code: String,
    /// Hash of the plan.
    pub plan_hash: String,
    /// The run before the step.
    pub run: Run,
    /// The recorded step, with its inputs and outputs.
    #[serde(flatten)]
    pub step: Step,
}

/// Inputs and outputs of a recorded step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "records are read one by one")]
pub enum Step {
    /// Windows folded into the evidence.
    Evaluation {
        /// Evidence before; `None` at the start of a run.
        before: Option<Evidence>,
        /// Windows folded into it.
        windows: Vec<Window>,
        /// Evidence after.
        after: Evidence,
        /// Verdict on the evidence after.
        verdict: Verdict,
    },
    /// Decision of a tick.
    Decision {
        /// Evidence that the decision is based on.
        evidence: Evidence,
        /// State outside the run.
        around: TickContext,
        /// The decision.
        decision: Decision,
    },
}

/// Returns a hash that identifies the plan of a run.
fn plan_hash(run: &Run) -> String {
    // A plan can always be serialised.
    let text = serde_json::to_string(&run.plan).unwrap_or_default();
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

impl Record {
    /// Folds windows into the evidence. Returns the record and the new evidence.
    pub fn evaluation(
        now: Timestamp,
        code: &str,
        run: &Run,
        before: Option<&Evidence>,
        windows: Vec<Window>,
    ) -> (Self, Evidence) {
        let after = fold(run, before, &windows);
        let verdict = Verdict::of(run, &after);
        let step = Step::Evaluation { before: before.cloned(), windows, after: after.clone(), verdict };
        (Self::new(now, "evaluate", code, run, step), after)
    }

    /// Decides one tick. Returns the record and the decision.
    pub fn decision(
        now: Timestamp,
        code: &str,
        run: &Run,
        evidence: &Evidence,
        around: TickContext,
    ) -> (Self, Decision) {
        let decision = decide(run, evidence, &around, now);
        let step = Step::Decision { evidence: evidence.clone(), around, decision: decision.clone() };
        (Self::new(now, "promote", code, run, step), decision)
    }

    fn new(now: Timestamp, actor: &str, code: &str, run: &Run, step: Step) -> Self {
        Self {
            at: now,
            actor: actor.to_owned(),
            code: code.to_owned(),
            plan_hash: plan_hash(run),
            run: run.clone(),
            step,
        }
    }
}

/// A difference between a record and its recomputation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Position of the record, from 0.
    pub position: usize,
    /// Message that names the differing part.
    pub what: &'static str,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.position, self.what)
    }
}

/// Recomputes every step of a run from its records. Floating-point values must agree to the last
/// bit, and the evidence of each evaluation must continue that of the one before.
pub fn replay(records: &[Record]) -> Vec<Disagreement> {
    let mut found = Vec::new();
    let mut last: Option<&Evidence> = None;
    for (position, record) in records.iter().enumerate() {
        let mut differs = |same: bool, what| {
            if !same {
                found.push(Disagreement { position, what });
            }
        };
        differs(record.plan_hash == plan_hash(&record.run), "the plan does not match its hash");
        match &record.step {
            Step::Evaluation { before, windows, after, verdict } => {
                if let Some(last) = last {
                    differs(
                        before.as_ref() == Some(last),
                        "the evidence does not continue the record before",
                    );
                }
                differs(
                    fold(&record.run, before.as_ref(), windows) == *after,
                    "recomputing gives different evidence",
                );
                differs(Verdict::of(&record.run, after) == *verdict, "recomputing gives a different verdict");
                last = Some(after);
            }
            Step::Decision { evidence, around, decision } => {
                let again = decide(&record.run, evidence, around, record.at);
                differs(again == *decision, "recomputing gives a different decision");
            }
        }
    }
    found
}
