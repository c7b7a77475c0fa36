//! Evidence of a run: the counts of its step, folded window by window. The result does not depend
//! on the order of the windows of a step.

use crate::{
    canary::{
        run::Run,
        test::Breach,
        window::{ArmCounts, MAX_UNITS, Window},
    },
    json::omit::is_zero,
    statistics::{BAKE_GRID, Relative},
    vocabulary::names::RunId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Evidence of one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepEvidence {
    /// The step, from 0.
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
    /// Relative-risk test of errors.
    pub errors: Relative,
    /// Relative-risk test of slow responses.
    pub slow: Relative,
    /// Assignment units on the new arm.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub units_new: BTreeSet<u32>,
    /// Assignment units on the legacy arm.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub units_legacy: BTreeSet<u32>,
}

/// Evidence of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The run that the evidence belongs to.
    pub run: RunId,
    /// Evidence of its current step.
    pub current: StepEvidence,
    /// Evidence of the step before. Windows of it that arrive late can still be a breach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<StepEvidence>,
    /// Breach found so far. It is kept even if later windows look better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<Breach>,
    /// States of the two detectors after the last step: errors, and slow responses.
    pub bake: [[f64; BAKE_GRID.len()]; 2],
    /// Start of the last window with requests on the new arm, in milliseconds since 1970.
    #[serde(default)]
    pub last_new: Option<i64>,
    /// Start of the last window with requests on the legacy arm, in milliseconds since 1970.
    #[serde(default)]
    pub last_legacy: Option<i64>,
    /// Requests on the new arm that belong to steps before the previous one and were discarded.
    #[serde(default)]
    pub too_late: u64,
}

impl Evidence {
    /// Creates empty evidence for the current step of a run.
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
    pub(crate) fn take_in(&mut self, window: &Window, tolerated: f64) {
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
