//! A phase of an experiment as it is kept: its identity, its design and its evidence, from its first user until it is over.

use crate::{
    experiment::{
        arrivals::Arrivals,
        conclusion::Conclusion,
        design::Design,
        evidence::Evidence,
        record::{PhaseIdentity, Record},
    },
    vocabulary::timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// A phase with everything that is needed to judge it. It is a document of its own, so that a phase that is over can be judged
/// without the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Identity of the phase.
    pub identity: PhaseIdentity,
    /// Design with which the phase began.
    pub design: Design,
    /// Evidence of its users.
    pub evidence: Evidence,
    /// Conclusion of its newest record; `None` before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concluded: Option<Conclusion>,
    /// Record of the first guardrail that fired: whatever is found later, the experiment is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<Box<Record>>,
    /// Time at which the phase was found to be over; `None` while it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

impl Phase {
    /// Begins to count a phase that remembers at most `capacity` users.
    pub fn begin(identity: PhaseIdentity, design: Design, capacity: u32) -> Self {
        let began = identity.began.millis().div_euclid(1_000);
        let evidence = Evidence::none(&design, capacity).guarded_since(began);
        Self { identity, design, evidence, concluded: None, harm: None, ended: None }
    }

    /// Adds everything that arrived until `now`.
    pub fn fold(&mut self, arrivals: &Arrivals, now: Timestamp) {
        self.evidence.fold(&self.design, arrivals, now.millis().div_euclid(1_000));
    }

    /// Judges the phase at `now`, or at its end if it is over.
    pub fn judged(&self, now: Timestamp, code: &str) -> Record {
        let at = self.ended.unwrap_or(now);
        Record::judged(at, code, self.identity.clone(), &self.design, &self.evidence)
    }

    /// Notes the newest record. Returns false if its conclusion is that of the one before.
    pub fn conclude(&mut self, record: &Record) -> bool {
        let conclusion = &record.judgement.conclusion;
        if self.concluded.as_ref() == Some(conclusion) {
            return false;
        }
        self.concluded = Some(conclusion.clone());
        if self.harm.is_none() && matches!(conclusion, Conclusion::Off { .. }) {
            self.harm = Some(Box::new(record.clone()));
        }
        true
    }

    /// Ends the phase at `now`, and returns its last record; `None` if it is over already.
    pub fn end(&mut self, now: Timestamp, code: &str) -> Option<Record> {
        if self.ended.is_some() {
            return None;
        }
        self.ended = Some(now);
        let record = self.judged(now, code);
        self.concluded = Some(record.judgement.conclusion.clone());
        Some(record)
    }

    /// Leaves half of the remembered users out from now on, so that the document gets smaller; the figures keep them. Returns
    /// false if there are none.
    pub fn halve_users(&mut self) -> bool {
        self.evidence.halve()
    }
}
