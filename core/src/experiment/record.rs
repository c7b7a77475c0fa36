//! Records of judgements: every input beside the result, so that each judgement can be made again later. Users are not in
//! them: the figures over all of them are.

use crate::{
    experiment::{
        circumstances::Circumstances,
        conclusion::Conclusion,
        design::Design,
        evidence::Evidence,
        figures::Figures,
        judgement::Judgement,
        test::{TestKind, TestResult},
    },
    vocabulary::{names::ExperimentName, timestamp::Timestamp},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The phase that a record belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseIdentity {
    /// Name under which the experiment is configured.
    pub experiment: ExperimentName,
    /// Number of the phase.
    pub phase: u32,
    /// Time at which the phase began.
    pub began: Timestamp,
}

/// A phase that is judged.
pub(crate) struct JudgedPhase<'p> {
    pub(crate) identity: &'p PhaseIdentity,
    pub(crate) design: &'p Design,
    pub(crate) evidence: &'p Evidence,
    pub(crate) circumstances: &'p Circumstances,
}

/// Record of one judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Time at which it was made.
    pub at: Timestamp,
    /// Version of the code.
    pub code: String,
    /// The phase that was judged.
    #[serde(flatten)]
    pub identity: PhaseIdentity,
    /// Its design.
    pub design: Design,
    /// Its figures.
    pub figures: Figures,
    /// Bound of the hashes of users who are remembered.
    pub theta: u64,
    /// Circumstances of the judgement; none in records of earlier versions.
    #[serde(default, skip_serializing_if = "Circumstances::is_nothing")]
    pub circumstances: Circumstances,
    /// The judgement.
    pub judgement: Judgement,
}

impl Record {
    /// Judges the evidence of a phase in no circumstances, and records the judgement.
    pub fn judged(
        now: Timestamp,
        code: &str,
        identity: PhaseIdentity,
        design: &Design,
        evidence: &Evidence,
    ) -> Self {
        let circumstances = &Circumstances::default();
        Self::of(now, code, JudgedPhase { identity: &identity, design, evidence, circumstances })
    }

    /// Judges a phase, and records the judgement.
    pub(crate) fn of(now: Timestamp, code: &str, phase: JudgedPhase<'_>) -> Self {
        let JudgedPhase { identity, design, evidence, circumstances } = phase;
        let figures = evidence.figures().clone();
        let age_s = age_s(identity, circumstances.ended.unwrap_or(now));
        let judgement = Judgement::after(&circumstances.reached, design, &figures, age_s);
        Self {
            at: now,
            code: code.to_owned(),
            identity: identity.clone(),
            design: design.clone(),
            figures,
            theta: evidence.theta(),
            circumstances: circumstances.clone(),
            judgement,
        }
    }

    /// Makes the judgement again from everything that the record holds.
    fn judged_again(&self) -> Judgement {
        let Self { at, identity, design, figures, circumstances, .. } = self;
        let age_s = age_s(identity, circumstances.ended.unwrap_or(*at));
        Judgement::after(&circumstances.reached, design, figures, age_s)
    }

    /// Returns the harm that a guardrail has found, or else the conclusion, in one line, with the reports that are unknown.
    pub fn says(&self) -> String {
        let conclusion = self.harm().unwrap_or_else(|| self.judgement.conclusion.to_string());
        match self.circumstances.gap {
            Some(gap) => format!("{conclusion}; {gap}"),
            None => conclusion,
        }
    }

    /// Returns the harm that a guardrail has found, in one sentence; `None` if none has fired.
    pub fn harm(&self) -> Option<String> {
        let Conclusion::Off { variant, metric } = self.judgement.conclusion else { return None };
        let is_it = |test: &&TestResult| {
            test.kind == TestKind::Guardrail && test.variant == variant && test.metric == Some(metric)
        };
        let test = self.judgement.tests.iter().find(is_it)?;
        let name = &self.design.metrics.get(usize::from(metric))?.name;
        let key = &self.design.variants.get(usize::from(variant))?.key;
        let percent = libm::round(self.design.share(variant) * 1_000.0) / 10.0;
        let TestResult { users, all, .. } = test;
        let within = if test.period.is_some() { " within an hour" } else { "" };
        // A record that comes after the one of the harm has other figures.
        let fired = if test.fires { "fired: of" } else { "fired before; by now, of" };
        Some(format!(
            "the guardrail {name} {fired} {all} users with an event{within}, {users} are in {key}, which has {percent} \
             percent of the users"
        ))
    }
}

fn age_s(identity: &PhaseIdentity, now: Timestamp) -> i64 {
    now.millis().saturating_sub(identity.began.millis()) / 1_000
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

/// Judges again what each record of a phase holds, and checks that all belong to one phase of one design, and that none has lost
/// a conclusion that an earlier one had reached. Floating-point values must agree to the last bit.
pub fn replay(records: &[Record]) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for (position, record) in records.iter().enumerate() {
        let mut differ = |what| found.push(Disagreement { position, what });
        if records.first().is_some_and(|first| first.identity != record.identity) {
            differ("the record belongs to another phase");
        }
        if records.first().is_some_and(|first| first.design != record.design) {
            differ("the design changed within the phase");
        }
        if record.judged_again() != record.judgement {
            differ("judging again gives a different judgement");
        }
        let earlier = records.get(..position).and_then(<[Record]>::last);
        let reached = &record.circumstances.reached;
        if earlier.is_some_and(|earlier| !reached.has_all_of(&earlier.circumstances.reached)) {
            differ("a conclusion that was reached before is lost");
        }
    }
    found
}
