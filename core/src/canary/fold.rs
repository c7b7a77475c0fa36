//! Folds windows into evidence.

use crate::{
    canary::{
        evidence::{Evidence, StepEvidence},
        plan::SLOW_SHARE,
        run::{Run, RunState},
        verdict::Verdict,
        window::Window,
    },
    statistics::bake,
};

/// Folds windows into the evidence of a run. Evidence of another run is discarded; that of an
/// earlier step becomes [`Evidence::previous`].
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
