//! Records of decisions: every input and every figure behind them, so that each decision can be
//! recomputed later. The evidence itself is not repeated in each record, because it may hold
//! thousands of users; replaying the windows of all records yields it again.

use crate::{
    canary::{
        breach::Breach,
        decide::{Decision, TickContext, decide},
        evidence::{Evidence, RouteEvidence, StepEvidence},
        fold::fold,
        run::Run,
        users::{EventSums, Period, UserCount},
        verdict::Verdict,
        watch::Watches,
        window::{BothArms, Window},
    },
    vocabulary::{names::RouteId, timestamp::Timestamp},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

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
    /// The run before the step, without its key.
    pub run: Run,
    /// The recorded step, with its inputs and outputs.
    #[serde(flatten)]
    pub step: Step,
}

/// Inputs and outputs of a recorded step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Step {
    /// Windows folded into the evidence.
    Evaluation {
        /// Windows folded into the evidence of the record before.
        windows: Vec<Window>,
        /// Evidence after.
        after: Box<Summary>,
        /// Verdict on it.
        verdict: Box<Verdict>,
    },
    /// Decision of a tick.
    Decision {
        /// Evidence that the decision is based on.
        evidence: Box<Summary>,
        /// State outside the run.
        around: Box<TickContext>,
        /// The decision.
        decision: Box<Decision>,
    },
}

/// Figures of the evidence, and a hash of all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Hash of the evidence, 16 hexadecimal digits.
    pub digest: String,
    /// Step that the figures belong to.
    pub step: u32,
    /// Counts of the step.
    pub counts: BothArms,
    /// Routes with criteria of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteId, RouteEvidence>,
    /// Distinct users.
    pub seen: UserCount,
    /// Users with an event in the step, by kind and stratum.
    pub events: EventSums,
    /// Users with an event in the last periods.
    pub periods: Vec<Period>,
    /// Users whose responses were compared, and those whose responses differed.
    pub compared: [u64; 2],
    /// Bounds of the hashes of users that are remembered: distinct users, events, comparisons.
    pub thetas: [u64; 3],
    /// States of the detectors, with suspect spans and alarms.
    pub watches: Watches,
    /// Breach found so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<Breach>,
}

impl Summary {
    /// Summarises evidence.
    pub fn of(evidence: &Evidence) -> Self {
        let StepEvidence { step, counts, routes, seen, events, compared, watches, .. } = &evidence.current;
        Self {
            digest: digest(evidence),
            step: *step,
            counts: *counts,
            routes: routes.clone(),
            seen: seen.count,
            events: events.step,
            periods: events.periods.clone(),
            compared: [compared.compared, compared.mismatched],
            thetas: [seen.users.theta(), events.users.theta(), compared.users.theta()],
            watches: watches.clone(),
            breach: evidence.breach.clone(),
        }
    }
}

/// Returns a hash of a value that is serialised.
fn digest(value: &impl Serialize) -> String {
    // Plans and evidence can always be serialised.
    let text = serde_json::to_string(value).unwrap_or_default();
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
        let evidence = fold(run, before, &windows);
        let after = Box::new(Summary::of(&evidence));
        let verdict = Box::new(Verdict::of(run, &evidence));
        (Self::new(now, "evaluate", code, run, Step::Evaluation { windows, after, verdict }), evidence)
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
        let step = Step::Decision {
            evidence: Box::new(Summary::of(evidence)),
            around: Box::new(around),
            decision: Box::new(decision.clone()),
        };
        (Self::new(now, "promote", code, run, step), decision)
    }

    fn new(now: Timestamp, actor: &str, code: &str, run: &Run, step: Step) -> Self {
        Self {
            at: now,
            actor: actor.to_owned(),
            code: code.to_owned(),
            plan_hash: digest(&run.plan),
            run: run.redacted(),
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

/// Number of evaluations among which a decision looks for its evidence. The two functions run beside
/// each other, so a decision may be recorded before or after the evaluation that it is based on.
const NEIGHBOURS: usize = 4;

/// Recomputes every step of a run from its records, the first of which must be the run's first.
/// Floating-point values must agree to the last bit.
pub fn replay(records: &[Record]) -> Vec<Disagreement> {
    let mut replay = Replay::default();
    for (position, record) in records.iter().enumerate() {
        if record.plan_hash != digest(&record.run.plan) {
            replay.differ(position, "the plan does not match its hash");
        }
        match &record.step {
            Step::Evaluation { windows, after, verdict } => {
                let evidence = fold(&record.run, replay.known.back(), windows);
                if Summary::of(&evidence) != **after {
                    replay.differ(position, "recomputing gives different evidence");
                }
                if Verdict::of(&record.run, &evidence) != **verdict {
                    replay.differ(position, "recomputing gives a different verdict");
                }
                replay.learn(evidence, records);
            }
            Step::Decision { .. } => replay.try_decision(position, record, 0),
        }
    }
    let Replay { open, mut found, .. } = replay;
    found.extend(open.into_iter().map(|(position, _)| Disagreement {
        position,
        what: "the evidence of the decision is not in the records before or after it",
    }));
    found.sort_by_key(|disagreement| disagreement.position);
    found
}

/// State of a replay.
#[derive(Default)]
struct Replay {
    /// Evidence of the last evaluations.
    known: VecDeque<Evidence>,
    /// Decisions whose evidence was not found yet, with the number of evaluations since.
    open: Vec<(usize, usize)>,
    found: Vec<Disagreement>,
}

impl Replay {
    fn differ(&mut self, position: usize, what: &'static str) {
        self.found.push(Disagreement { position, what });
    }

    /// Notes the evidence of an evaluation, and looks at the decisions that may be based on it.
    fn learn(&mut self, evidence: Evidence, records: &[Record]) {
        self.known.push_back(evidence);
        if self.known.len() > NEIGHBOURS {
            self.known.pop_front();
        }
        for (position, age) in std::mem::take(&mut self.open) {
            match records.get(position) {
                Some(record) if age < NEIGHBOURS => self.try_decision(position, record, age + 1),
                _ => self.open.push((position, age)),
            }
        }
    }

    /// Recomputes a decision if its evidence is known; otherwise it stays open for a few evaluations.
    fn try_decision(&mut self, position: usize, record: &Record, age: usize) {
        let Step::Decision { evidence, around, decision } = &record.step else { return };
        // A decision sees the evidence as that of its run's step.
        let candidates = self.known.iter().rev().map(Some).chain([None]);
        let found = candidates
            .map(|known| fold(&record.run, known, &[]))
            .find(|candidate| digest(candidate) == evidence.digest);
        let Some(same) = found else {
            self.open.push((position, age));
            return;
        };
        if Summary::of(&same) != **evidence {
            self.differ(position, "the figures do not match the evidence");
        }
        if decide(&record.run, &same, around, record.at) != **decision {
            self.differ(position, "recomputing gives a different decision");
        }
    }
}
