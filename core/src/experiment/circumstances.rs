//! Circumstances of a judgement: what it depends on beside the figures and the time. They are in its record.

use crate::{
    experiment::test::{FiredGuardrail, PrimaryFinding},
    json::omit::is_false,
    vocabulary::timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Circumstances in which a phase is judged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Circumstances {
    /// End of the phase; `None` while it is counted, and of phases that an earlier version ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Period whose reports have expired unread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<ReportGap>,
    /// Conclusions that the phase has come to before.
    #[serde(skip_serializing_if = "Reached::is_nothing")]
    pub reached: Reached,
}

impl Circumstances {
    /// Returns true if there are none.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A period whose reports have expired before they were counted: what they held is unknown, of every variant alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportGap {
    /// Arrival time up to which all reports were counted.
    pub since: Timestamp,
    /// Arrival time from which on they were counted again.
    pub until: Timestamp,
}

impl ReportGap {
    /// Returns the gap from the earlier beginning to the later end of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { since: self.since.min(other.since), until: self.until.max(other.until) }
    }
}

impl fmt::Display for ReportGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reports from {} to {} have expired and are unknown", self.since, self.until)
    }
}

/// Conclusions that hold whatever comes later. The level of each test holds over all looks together, so one that has fired
/// stays so: later users can lower its evidence, and do not take back what it has found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reached {
    /// The first guardrail that fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harm: Option<FiredGuardrail>,
    /// Positions of the variants whose number of users did not fit that of control. Results stay hidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misfits: Vec<u8>,
    /// Differences of primary metrics that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<PrimaryFinding>,
    /// True if no variant was found to differ by more than makes a practical difference.
    #[serde(skip_serializing_if = "is_false")]
    pub is_alike: bool,
}

impl Reached {
    /// Returns true if nothing was concluded that holds.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Notes the variants whose number of users does not fit that of control.
    pub(crate) fn note_misfits(&mut self, misfits: impl IntoIterator<Item = u8>) {
        self.misfits.extend(misfits);
        self.misfits.sort_unstable();
        self.misfits.dedup();
    }

    /// Returns the differences that were found before, and those of now that are new.
    pub(crate) fn findings_with(&self, now: impl Iterator<Item = PrimaryFinding>) -> Vec<PrimaryFinding> {
        let is_new = |finding: &PrimaryFinding| {
            let is_it =
                |held: &PrimaryFinding| (held.variant, held.metric) == (finding.variant, finding.metric);
            !self.findings.iter().any(is_it)
        };
        self.findings.iter().copied().chain(now.filter(is_new)).collect()
    }

    /// Returns true if everything that `earlier` has is here too.
    pub(crate) fn has_all_of(&self, earlier: &Self) -> bool {
        (earlier.harm.is_none() || self.harm == earlier.harm)
            && earlier.misfits.iter().all(|variant| self.misfits.contains(variant))
            && earlier.findings.iter().all(|finding| self.findings.contains(finding))
            && (self.is_alike || !earlier.is_alike)
    }
}
