//! Arrival windows: everything of a run that arrived within ten seconds, as the evaluation folds it.

use crate::{
    json::omit::{is_false, is_zero},
    measurement::{
        batch::{StepLoss, UserWindow, WINDOW_MS, window_of},
        counts::Counts,
    },
    vocabulary::names::RouteId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts of one arm that decisions are based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ArmCounts {
    /// All requests.
    pub requests: u64,
    /// Server errors, timeouts and unreachable origins.
    pub errors: u64,
    /// Requests slower than the success limit.
    pub slow_success: u64,
    /// Requests slower than the rollback limit.
    pub slow_rollback: u64,
    /// Responses with status 401 or 403.
    #[serde(skip_serializing_if = "is_zero")]
    pub unauthorized: u64,
    /// Responses with status 404, 405 or 410.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_found: u64,
    /// Responses with any other status from 400 to 498, except 429.
    #[serde(skip_serializing_if = "is_zero")]
    pub client_errors: u64,
    /// Requests whose client left before the response.
    #[serde(skip_serializing_if = "is_zero")]
    pub gave_up: u64,
    /// Requests of the arm's users that a breaker sent elsewhere. They are in no other count.
    #[serde(skip_serializing_if = "is_zero")]
    pub diverted: u64,
}

impl ArmCounts {
    /// Adds the counts of `other` to these.
    pub fn add(&mut self, other: Self) {
        self.combine(other, u64::saturating_add);
    }

    /// Subtracts the counts of `other`, which are a part of these.
    pub(crate) fn subtract(&mut self, other: Self) {
        self.combine(other, u64::saturating_sub);
    }

    fn combine(&mut self, other: Self, combined: fn(u64, u64) -> u64) {
        for (sum, count) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.slow_success, other.slow_success),
            (&mut self.slow_rollback, other.slow_rollback),
            (&mut self.unauthorized, other.unauthorized),
            (&mut self.not_found, other.not_found),
            (&mut self.client_errors, other.client_errors),
            (&mut self.gave_up, other.gave_up),
            (&mut self.diverted, other.diverted),
        ] {
            *sum = combined(*sum, count);
        }
    }
}

impl From<&Counts> for ArmCounts {
    fn from(counts: &Counts) -> Self {
        Self {
            requests: counts.requests,
            errors: counts.errors(),
            slow_success: counts.slow_success,
            slow_rollback: counts.slow_rollback,
            unauthorized: counts.unauthorized,
            not_found: counts.not_found,
            client_errors: counts.client_errors,
            gave_up: counts.gave_up,
            diverted: 0,
        }
    }
}

/// Counts of both arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct BothArms {
    /// Counts of the new arm.
    pub new: ArmCounts,
    /// Counts of the legacy arm.
    pub legacy: ArmCounts,
}

impl BothArms {
    pub(crate) fn add(&mut self, other: Self) {
        self.new.add(other.new);
        self.legacy.add(other.legacy);
    }

    /// Returns these counts without those of the given parts.
    pub(crate) fn without<'c>(mut self, parts: impl Iterator<Item = &'c Self>) -> Self {
        for part in parts {
            self.new.subtract(part.new);
            self.legacy.subtract(part.legacy);
        }
        self
    }
}

/// Counts of one step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct StepCounts {
    /// Step at which the requests were decided.
    pub step: u32,
    /// Counts of the new arm, of all routes.
    pub new: ArmCounts,
    /// Counts of the legacy arm, of all routes.
    pub legacy: ArmCounts,
    /// Part of these counts that belongs to routes with criteria of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteId, BothArms>,
}

/// Everything of a run that arrived in one arrival window, or in a part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Window {
    /// Start of the arrival window, in milliseconds since 1970, a multiple of [`WINDOW_MS`].
    pub start: i64,
    /// Arrival time up to which the window was read, at most its end. The detectors move when a
    /// window is closed.
    pub end: i64,
    /// Counts, by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepCounts>,
    /// Users, by event window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserWindow>,
    /// Bounds of the hashes in the three lists of users (seen, with events, compared), if users were left out because
    /// there were too many. Those with this hash and more were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[u64; 3]>,
    /// True if the bounds hold for users of earlier windows too, who are not ripe yet: all of them together would be too
    /// large to store.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_cut: bool,
    /// Evidence that isolates could not report, by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<StepLoss>,
    /// Longest time that a report took when the window was folded, in milliseconds: isolates have an interval that grows with
    /// their number. What is less than the shortest one takes, such as 0 in older records, stands for that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub report_ms: u64,
}

/// Leaves out the users with the larger half of the hashes, of those that the windows still have and of everything that is
/// known of their run, because the evidence would be too large to store. Returns false if nobody is left.
pub fn halve_users(windows: &mut [Window]) -> bool {
    let bounds = windows.iter().filter_map(|window| window.bounds).flatten();
    let half = bounds.min().unwrap_or(u64::MAX) / 2;
    if half == 0 {
        return false;
    }
    for window in windows {
        window.bounds = Some([half; 3]);
        window.is_cut = true;
        window.users.iter_mut().for_each(|users| users.keep_below([half; 3]));
    }
    true
}

impl Window {
    /// Creates an empty window, which tells the evidence that nothing arrived until `end`.
    pub fn nothing(end: i64) -> Self {
        // A window that ends now is closed; the one that would begin now is empty.
        let start = window_of(end.saturating_sub(1));
        Self { start, end, ..Self::default() }
    }

    /// Returns true if everything that arrived in the window was read.
    pub fn is_closed(&self) -> bool {
        self.end.saturating_sub(self.start) >= WINDOW_MS
    }

    pub(super) fn step(&mut self, step: u32) -> Option<&mut StepCounts> {
        let index = match self.steps.binary_search_by_key(&step, |counts| counts.step) {
            Ok(index) => index,
            Err(index) => {
                self.steps.insert(index, StepCounts { step, ..StepCounts::default() });
                index
            }
        };
        self.steps.get_mut(index)
    }
}
