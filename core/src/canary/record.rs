//! What is kept of every decision: all that went in and all that came out, so that anybody can make it again.

use super::{
    decide::{Circumstances, Decision, decide},
    evidence::{Evidence, Window, fold},
    run::Run,
    verdict::Verdict,
};
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was made.
    pub at: Timestamp,
    /// Who made it: `evaluate` or `promote`.
    pub actor: String,
    /// The version of the code.
    pub code: String,
    /// The hash of the plan.
    pub plan_hash: String,
    /// The run as it was found.
    pub run: Run,
    /// What was done.
    #[serde(flatten)]
    pub step: Step,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "records are read one by one")]
pub enum Step {
    /// Windows were folded.
    Evaluation {
        /// The evidence before.
        before: Option<Evidence>,
        /// The windows.
        windows: Vec<Window>,
        /// The evidence after.
        after: Evidence,
        /// What it says.
        verdict: Verdict,
    },
    /// A tick decided.
    Decision {
        /// The evidence.
        evidence: Evidence,
        /// What else there was to know.
        around: Circumstances,
        /// What was decided.
        decision: Decision,
    },
}

/// A hash that tells one plan from another.
fn plan_hash(run: &Run) -> String {
    // A plan is always JSON.
    let text = serde_json::to_string(&run.plan).unwrap_or_default();
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

impl Record {
    /// Folds windows, and records how.
    pub fn evaluation(
        at: Timestamp,
        code: &str,
        run: &Run,
        before: Option<&Evidence>,
        windows: Vec<Window>,
    ) -> (Self, Evidence) {
        let after = fold(run, before, &windows);
        let verdict = Verdict::of(run, &after);
        let step = Step::Evaluation { before: before.cloned(), windows, after: after.clone(), verdict };
        (Self::new(at, "evaluate", code, run, step), after)
    }

    /// Decides, and records how.
    pub fn decision(
        at: Timestamp,
        code: &str,
        run: &Run,
        evidence: &Evidence,
        around: Circumstances,
    ) -> (Self, Decision) {
        let decision = decide(run, evidence, &around, at);
        let step = Step::Decision { evidence: evidence.clone(), around, decision: decision.clone() };
        (Self::new(at, "promote", code, run, step), decision)
    }

    fn new(at: Timestamp, actor: &str, code: &str, run: &Run, step: Step) -> Self {
        Self {
            at,
            actor: actor.to_owned(),
            code: code.to_owned(),
            plan_hash: plan_hash(run),
            run: run.clone(),
            step,
        }
    }
}

/// Where a record says something else than what is computed from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The position of the record.
    pub position: usize,
    /// What differs.
    pub what: &'static str,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.position, self.what)
    }
}

/// Makes every decision of a run again. Values are compared as they are written, which for floating point means to
/// the last bit; and evidence must continue where the evaluation before it ended.
pub fn replay(records: &[Record]) -> Vec<Disagreement> {
    let mut found = Vec::new();
    let mut last: Option<&Evidence> = None;
    for (position, record) in records.iter().enumerate() {
        let mut differs = |same: bool, what| {
            if !same {
                found.push(Disagreement { position, what });
            }
        };
        differs(record.plan_hash == plan_hash(&record.run), "the plan is not the one it was hashed from");
        match &record.step {
            Step::Evaluation { before, windows, after, verdict } => {
                if let Some(last) = last {
                    differs(before.as_ref() == Some(last), "the evidence does not continue the one before");
                }
                differs(fold(&record.run, before.as_ref(), windows) == *after, "the evidence is another");
                differs(Verdict::of(&record.run, after) == *verdict, "the verdict is another");
                last = Some(after);
            }
            Step::Decision { evidence, around, decision } => {
                let again = decide(&record.run, evidence, around, record.at);
                differs(again == *decision, "the decision is another");
            }
        }
    }
    found
}
