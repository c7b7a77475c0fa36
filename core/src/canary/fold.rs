//! Folds arrival windows into evidence, and judges it after each of them.

use crate::canary::{
    alarm,
    breach::Breach,
    comparison,
    comparison::Compared,
    evidence::{Evidence, StepEvidence},
    mismatch,
    run::Run,
    window::Window,
};

/// Folds arrival windows into the evidence of a run, and notes a breach as soon as there is one.
/// Evidence of another run is discarded; that of an earlier step becomes [`Evidence::previous`].
pub fn fold(run: &Run, evidence: Option<&Evidence>, windows: &[Window]) -> Evidence {
    let mut evidence =
        evidence.filter(|held| held.run == run.id).cloned().unwrap_or_else(|| Evidence::none(run));
    evidence.enter(run);
    let mut ordered: Vec<&Window> = windows.iter().collect();
    ordered.sort_unstable();
    for window in ordered {
        evidence.take_in(window, &run.plan);
        let mut found = judge(run, &mut evidence.current, window.end);
        if let Some(previous) = &mut evidence.previous {
            // Late windows of the step before are judged by the same rules.
            found = found.or(judge(run, previous, window.end));
        }
        evidence.breach = evidence.breach.take().or(found);
    }
    evidence
}

/// Judges a step at `now`: comparisons, then absolute alarms, then mismatches.
fn judge(run: &Run, step: &mut StepEvidence, now: i64) -> Option<Breach> {
    // The watch after the last step looks at limits only.
    if step.step < run.step_count() {
        match comparison::judge(&run.plan, step) {
            Compared::Breach(breach) => return Some(breach),
            Compared::Worse(breach) => step.worse = Some(breach),
            Compared::Nothing => {}
        }
    }
    let mut found = None;
    for measure in run.plan.measures() {
        // Every alarm is noted, also beside a breach.
        let breach = alarm::judge(run, step, measure, now);
        found = found.or(breach);
    }
    found.or_else(|| mismatch::judge(&run.plan, step))
}
