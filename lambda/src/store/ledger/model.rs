//! The ledger of a flag, and the series in it.

use cutover_core::{
    Arm, Reason, RouteId, RunId,
    compare::Tally,
    measurement::{counts::Counts, histogram::Histogram, log::Positions},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts since the beginning for one combination of route, arm and reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Route of the requests; `None` for the routes that are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// Arm that served the requests.
    pub arm: Arm,
    /// Reason for choosing that arm.
    pub reason: Reason,
    /// Aggregated counts.
    pub counts: Counts,
}

/// Counts of one arm in one arrival window, for rates over the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowCounts {
    /// Start of the arrival window, in milliseconds since 1970.
    pub window: i64,
    /// Arm that served the requests.
    pub arm: Arm,
    /// Number of requests.
    pub requests: u64,
    /// Number of errors, of every class.
    pub errors: u64,
    /// Sum of the times to the response headers, in milliseconds.
    pub duration_ms: u64,
}

/// Response times of one step of a run, for display only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTimes {
    /// Run that the times belong to.
    pub run: RunId,
    /// Step that the times belong to.
    pub step: u32,
    /// Response times of the new arm.
    pub new: Histogram,
    /// Response times of the legacy arm.
    pub legacy: Histogram,
}

/// Comparison results of a route since a run of its flag's canary began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteComparison {
    /// Route that was compared.
    pub route: RouteId,
    /// Run of the canary; `None` before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Start of the first window, in milliseconds since 1970.
    pub since: i64,
    /// Start of the last window, in milliseconds since 1970.
    pub until: i64,
    /// Counted differences.
    pub tally: Tally,
}

/// Aggregated measurements of a flag.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Arrival time up to which the ledger is complete, in milliseconds since 1970.
    pub through: i64,
    /// Time at which the ledger was written, in milliseconds since 1970; 0 in one that an earlier version wrote. While a backlog
    /// is read, it is far later than `through`.
    #[serde(default)]
    pub written_at: i64,
    /// Positions in the log up to which the ledger holds all batches, see [`cutover_core::measurement::log`].
    #[serde(default)]
    pub positions: Positions,
    /// Stream that the positions belong to.
    #[serde(default)]
    pub stream: String,
    /// Counts since the beginning, by route, arm and reason.
    pub series: Vec<Series>,
    /// Counts of the last minutes, by window and arm.
    pub recent: Vec<WindowCounts>,
    /// Version of the ledger with which its evidence was last written, see
    /// [`ledger_with_evidence`](crate::store::Store::ledger_with_evidence); 0 if never.
    #[serde(default)]
    pub evidence_version: u64,
    /// Response times of that run's current step.
    #[serde(default)]
    pub times: Option<StepTimes>,
    /// Comparison results, by route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<RouteComparison>,
    /// Digests of the parts in which series and comparisons are stored, by the name of the part; empty for a ledger that an
    /// earlier version wrote, in one item.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, String>,
    /// Number of times the ledger has been written, for optimistic locking; 0 if never.
    #[serde(skip)]
    pub version: u64,
}

impl Ledger {
    /// Adds counts to the series of their route, arm and reason.
    pub fn add(&mut self, more: Series) {
        let same = |held: &&mut Series| {
            held.route == more.route && held.arm == more.arm && held.reason == more.reason
        };
        match self.series.iter_mut().find(same) {
            Some(series) => series.counts.merge(&more.counts),
            None => self.series.push(more),
        }
    }

    /// Counts the route with the fewest requests of one arm and reason together with the other routes. Returns false if no
    /// series has a route.
    pub fn merge_rarest(&mut self) -> bool {
        let named = self.series.iter().enumerate().filter(|(_, series)| series.route.is_some());
        let Some((index, _)) = named.min_by_key(|(_, series)| series.counts.requests) else { return false };
        let rare = self.series.swap_remove(index);
        self.add(Series { route: None, ..rare });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger of an earlier version had its evidence inside, of another kind.
    #[test]
    fn evidence_of_an_earlier_version_is_ignored() {
        let old = serde_json::json!({
            "through": 5, "series": [], "recent": [], "evidence": { "run": "r1", "bake": [[0.0], [0.0]] },
        });
        let read: Ledger = serde_json::from_value(old).unwrap();
        assert_eq!((read.through, read.evidence_version), (5, 0));
    }
}
