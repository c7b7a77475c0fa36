//! Tests of comparisons between the responses of the two backends, on the first compared request of
//! each user. Both backends answered, so a shared incident cannot explain a mismatch.

use crate::{
    canary::{
        breach::{Breach, Figures},
        evidence::StepEvidence,
        levels::Levels,
        plan::CanaryPlan,
        test::Test,
        users::UserCount,
    },
    statistics::{Threshold, firing},
};

/// Returns the evidence that more users get different responses than the rollback limit allows, and
/// the evidence at which that is a breach; `None` if the plan has no limit.
pub(crate) fn above(plan: &CanaryPlan, step: &StepEvidence) -> Option<(f64, f64)> {
    let limit = plan.rollback_criteria.max_mismatch_rate?;
    let level = Levels::of(plan).mismatch();
    let evidence = Threshold::above(limit, level).evidence(step.compared.mismatched, step.compared.compared);
    Some((evidence, firing(level)))
}

/// Returns the evidence that fewer users get different responses than the success limit allows, and
/// the evidence at which that is proven; `None` if the plan has no limit.
pub(crate) fn below(plan: &CanaryPlan, step: &StepEvidence) -> Option<(f64, f64)> {
    let limit = plan.success_criteria.max_mismatch_rate?;
    let alpha = plan.options.alpha_promote;
    let test = Threshold::below(limit, alpha);
    Some((test.evidence_below(step.compared.mismatched, step.compared.compared), firing(alpha)))
}

/// Judges the mismatches of a step.
pub(crate) fn judge(plan: &CanaryPlan, step: &StepEvidence) -> Option<Breach> {
    let limit = plan.rollback_criteria.max_mismatch_rate?;
    let (evidence, fires_at) = above(plan, step)?;
    let figures = Figures {
        share: step.share,
        since: None,
        new: step.counts.new,
        legacy: step.counts.legacy,
        users: UserCount { new: step.compared.mismatched, all: step.compared.compared },
        seen: None,
        limit,
        evidence,
        fires_at,
        busiest: None,
    };
    (evidence >= fires_at).then_some(Breach {
        test: Test::MismatchAbove,
        step: step.step,
        route: None,
        figures: Some(figures),
    })
}
