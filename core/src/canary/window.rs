//! Windows of counts, as a canary's evaluation sees them.

use crate::{
    json::omit::is_zero,
    measurement::batch::Batch,
    vocabulary::{arm::Arm, names::RunId, reason::Reason},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most assignment units kept per step and arm. More would add little, and a record contains the
/// evidence of two steps twice, in an item of at most 400 KB.
pub(crate) const MAX_UNITS: usize = 1_000;

/// Counts of one arm that decisions are based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArmCounts {
    /// All requests.
    pub requests: u64,
    /// Server errors, timeouts and unreachable origins.
    pub errors: u64,
    /// Requests slower than the success limit.
    pub slow_success: u64,
    /// Requests slower than the rollback limit.
    pub slow_rollback: u64,
}

impl ArmCounts {
    /// Adds the counts of `other` to these.
    pub fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.slow_success = self.slow_success.saturating_add(other.slow_success);
        self.slow_rollback = self.slow_rollback.saturating_add(other.slow_rollback);
    }
}

/// Counts of one step in one window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    /// Start of the window, in milliseconds since 1970.
    pub start: i64,
    /// Step at which the requests were decided.
    pub step: u32,
    /// Counts of the new arm.
    pub new: ArmCounts,
    /// Counts of the legacy arm.
    pub legacy: ArmCounts,
    /// Requests that both backends served and whose responses were compared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compared: u64,
    /// Of these, requests whose responses differ.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mismatched: u64,
    /// Assignment units on the new arm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units_new: Vec<u32>,
    /// Assignment units on the legacy arm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units_legacy: Vec<u32>,
}

/// Collects the windows of a run from the batches of isolates. Only requests decided by the bucket
/// count, because lists and conditions select users who are not representative.
pub fn windows<'b>(run: &RunId, batches: impl Iterator<Item = &'b Batch>) -> Vec<Window> {
    let mut windows: BTreeMap<(i64, u32), Window> = BTreeMap::new();
    for batch in batches {
        let mut newest = None;
        for cell in &batch.cells {
            let Some((_, step)) = cell.canary.as_ref().filter(|(held, _)| held == run) else { continue };
            if cell.reason != Reason::Rollout {
                continue;
            }
            newest = newest.max(Some(cell.window));
            let window = windows.entry((cell.window, *step)).or_default();
            (window.start, window.step) = (cell.window, *step);
            let arm = if cell.arm == Arm::New { &mut window.new } else { &mut window.legacy };
            arm.add(ArmCounts {
                requests: cell.counts.requests,
                errors: cell.counts.errors(),
                slow_success: cell.counts.slow_success,
                slow_rollback: cell.counts.slow_rollback,
            });
        }
        for compared in &batch.comparisons {
            let Some((_, step)) = compared.canary.as_ref().filter(|(held, _)| held == run) else { continue };
            let window = windows.entry((compared.window, *step)).or_default();
            (window.start, window.step) = (compared.window, *step);
            window.compared = window.compared.saturating_add(compared.tally.compared);
            window.mismatched = window.mismatched.saturating_add(compared.tally.mismatched);
        }
        for units in batch.units.iter().filter(|units| units.run == *run) {
            // Units join the newest window of counts in the same batch, or a window of their own.
            let start = newest.unwrap_or_default();
            let window = windows.entry((start, units.step)).or_default();
            (window.start, window.step) = (start, units.step);
            window.units_new.extend(&units.new);
            window.units_legacy.extend(&units.legacy);
        }
    }
    let mut windows: Vec<Window> = windows.into_values().collect();
    let mut room = [MAX_UNITS; 2];
    for window in &mut windows {
        for (units, room) in [&mut window.units_new, &mut window.units_legacy].into_iter().zip(&mut room) {
            units.sort_unstable();
            units.dedup();
            units.truncate(*room);
            *room -= units.len();
        }
    }
    windows
}
