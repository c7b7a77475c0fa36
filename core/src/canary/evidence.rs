//! What is known of a run: the counts of its step, folded window by window. Folding does not depend on the order of
//! the windows of a step.

use super::{
    run::{Breach, Run, RunState},
    verdict::Verdict,
};
use crate::plan::SLOW_SHARE;
use crate::{
    batch::{Batch, is_zero},
    decide::{Arm, Reason},
    names::RunId,
    statistics::{BAKE_GRID, Relative, bake},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Assignment units that are kept per step and arm. More would tell little that is new, and a record holds the
/// evidence of two steps twice, in an item of at most 400 KB.
const MAX_UNITS: usize = 1_000;

/// The counts of one arm that decisions rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArmCounts {
    /// Requests.
    pub requests: u64,
    /// Errors of every class.
    pub errors: u64,
    /// Slower than the success limit.
    pub slow_success: u64,
    /// Slower than the rollback limit.
    pub slow_rollback: u64,
}

impl ArmCounts {
    /// Adds other counts.
    pub fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.slow_success = self.slow_success.saturating_add(other.slow_success);
        self.slow_rollback = self.slow_rollback.saturating_add(other.slow_rollback);
    }
}

/// What one window saw of one step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    /// When it began, in milliseconds since 1970.
    pub start: i64,
    /// The step that the requests were decided at.
    pub step: u32,
    /// The new arm.
    pub new: ArmCounts,
    /// Legacy.
    pub legacy: ArmCounts,
    /// Requests that both backends answered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compared: u64,
    /// Of these, answered differently.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mismatched: u64,
    /// Assignment units on the new arm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units_new: Vec<u32>,
    /// Assignment units on legacy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units_legacy: Vec<u32>,
}

/// What is known of one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepEvidence {
    /// The step.
    pub step: u32,
    /// The new arm.
    pub new: ArmCounts,
    /// Legacy.
    pub legacy: ArmCounts,
    /// Requests that both backends answered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compared: u64,
    /// Of these, answered differently.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mismatched: u64,
    /// The comparison of errors.
    pub errors: Relative,
    /// The comparison of slow answers.
    pub slow: Relative,
    /// Assignment units on the new arm.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub units_new: BTreeSet<u32>,
    /// Assignment units on legacy.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub units_legacy: BTreeSet<u32>,
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The run.
    pub run: RunId,
    /// The step it is at.
    pub current: StepEvidence,
    /// The step before: what comes late of it can still be a breach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<StepEvidence>,
    /// What was found to take the run back. It stays found, also where later windows look better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<Breach>,
    /// The detectors of errors and of slow answers after the last step.
    pub bake: [[f64; BAKE_GRID.len()]; 2],
    /// When the last window with requests on the new arm began, in milliseconds since 1970.
    #[serde(default)]
    pub last_new: Option<i64>,
    /// When the last window with requests on legacy began, in milliseconds since 1970.
    #[serde(default)]
    pub last_legacy: Option<i64>,
    /// Requests on the new arm that belong to steps further back, and were not taken in.
    #[serde(default)]
    pub too_late: u64,
}

impl Evidence {
    /// Nothing is known yet.
    pub fn none(run: &Run) -> Self {
        Self {
            run: run.id.clone(),
            current: StepEvidence { step: run.step, ..StepEvidence::default() },
            previous: None,
            breach: None,
            bake: [[0.0; BAKE_GRID.len()]; 2],
            last_new: None,
            last_legacy: None,
            too_late: 0,
        }
    }
}

impl StepEvidence {
    fn take_in(&mut self, window: &Window, tolerated: f64) {
        self.new.add(window.new);
        self.legacy.add(window.legacy);
        self.compared = self.compared.saturating_add(window.compared);
        self.mismatched = self.mismatched.saturating_add(window.mismatched);
        let all = window.new.requests.saturating_add(window.legacy.requests);
        if all > 0 {
            let share = window.new.requests as f64 / all as f64;
            let errors = window.new.errors.saturating_add(window.legacy.errors);
            self.errors.add(share, window.new.errors, errors, tolerated);
            let slow = window.new.slow_rollback.saturating_add(window.legacy.slow_rollback);
            self.slow.add(share, window.new.slow_rollback, slow, tolerated);
        }
        for (held, units) in
            [(&mut self.units_new, &window.units_new), (&mut self.units_legacy, &window.units_legacy)]
        {
            for unit in units {
                if held.len() < MAX_UNITS {
                    held.insert(*unit);
                }
            }
        }
    }
}

/// The windows of a run, out of what isolates reported. Only what the bucket decided counts: lists and conditions
/// choose users who are not like the others.
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
            // A window of counts that the same batch brought, or one of its own.
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

/// Takes windows in. Evidence of another run is forgotten; that of an earlier step moves aside.
pub fn fold(run: &Run, evidence: Option<&Evidence>, windows: &[Window]) -> Evidence {
    let mut evidence =
        evidence.filter(|held| held.run == run.id).cloned().unwrap_or_else(|| Evidence::none(run));
    if evidence.current.step != run.step {
        let fresh = StepEvidence { step: run.step, ..StepEvidence::default() };
        evidence.previous = Some(std::mem::replace(&mut evidence.current, fresh));
    }
    let tolerated = run.plan.options.max_relative_risk;
    let mut ordered: Vec<&Window> = windows.iter().collect();
    ordered.sort_by_key(|window| (window.start, window.step));
    for window in ordered {
        if window.new.requests > 0 {
            evidence.last_new = evidence.last_new.max(Some(window.start));
        }
        if window.legacy.requests > 0 {
            evidence.last_legacy = evidence.last_legacy.max(Some(window.start));
        }
        if window.step == evidence.current.step {
            evidence.current.take_in(window, tolerated);
            if run.is_past_last_step() && run.state != RunState::RolledBack {
                let limits = [
                    (window.new.errors, run.plan.rollback_criteria.max_error_rate),
                    (window.new.slow_rollback, SLOW_SHARE),
                ];
                for (states, (events, limit)) in evidence.bake.iter_mut().zip(limits) {
                    bake(states, events, window.new.requests, limit);
                }
            }
        } else if let Some(previous) = evidence.previous.as_mut().filter(|held| held.step == window.step) {
            previous.take_in(window, tolerated);
        } else {
            evidence.too_late = evidence.too_late.saturating_add(window.new.requests);
        }
    }
    evidence.breach = Verdict::of(run, &evidence).breach;
    evidence
}
