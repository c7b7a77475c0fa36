//! Counting and judging of experiments: from the reports of isolates to the evidence of a phase, from its figures to a
//! judgement. These are functions over plain data; storage and the clock are elsewhere.

mod arrivals;
mod circumstances;
mod conclusion;
mod design;
mod effect;
mod evidence;
mod figures;
mod guardrails;
mod judgement;
mod needed;
mod phase;
mod plan;
mod record;
mod test;
mod user;

pub use self::{
    arrivals::Arrivals,
    circumstances::{Circumstances, Reached, ReportGap},
    conclusion::{Conclusion, Waiting},
    design::{Design, DesignVariant, InvalidDesign},
    effect::{Effect, EffectRange, MIN_EVENTS},
    evidence::{DEFAULT_CAPACITY, Evidence},
    figures::{Figures, MetricSums, Total, VariantSums},
    guardrails::{GuardrailFigures, PeriodFigures},
    judgement::Judgement,
    needed::{NeededUsers, needed_users},
    phase::{LATE_MS, Phase},
    plan::{EvidenceSize, MAX_CAPACITY, Plan},
    record::{Disagreement, PhaseIdentity, Record, replay},
    test::{FiredGuardrail, PrimaryFinding, TestKind, TestResult},
    user::MAX_EVENT_IDS,
};
pub use crate::rules::experiment::{analysis::StoppingRules, metric::MAX_METRICS};
