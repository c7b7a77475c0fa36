//! Effects: the difference of a variant from control in one metric, with its interval, over users whose outcomes are final.
//! To show, and to find that there is no practical difference; tests find that there is one.

use crate::{
    experiment::{
        design::{Compared, Design},
        figures::{Figures, VariantSums},
    },
    rules::experiment::metric::{Metric, MetricKind},
    statistics::{Estimate, Interval, IntervalSettings, Scale},
};
use serde::{Deserialize, Serialize};

/// Fewest users with an event, in each of the two variants, for an interval.
pub const MIN_EVENTS: u64 = 10;

/// A difference with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EffectRange {
    /// Lower end.
    pub low: f64,
    /// The difference as observed.
    pub difference: f64,
    /// Upper end.
    pub high: f64,
}

impl From<Interval> for EffectRange {
    fn from(Interval { low, difference, high }: Interval) -> Self {
        Self { low, difference, high }
    }
}

impl EffectRange {
    /// Returns true if the whole interval is at most `bound` away from 0.
    pub fn is_within(&self, bound: f64) -> bool {
        self.low >= -bound && self.high <= bound
    }
}

/// The effect of a variant on a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Position of the variant.
    pub variant: u8,
    /// Position of the metric.
    pub metric: u8,
    /// Users of the variant whose window is over.
    pub users: u64,
    /// Users of control whose window is over.
    pub control_users: u64,
    /// Variant less control. `None` if there are too few users or events, or if nothing varies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<EffectRange>,
    /// Variant less control, divided by control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<EffectRange>,
}

impl Effect {
    /// Estimates the effect of a variant on a metric. `level` is that of its intervals.
    pub(crate) fn of(design: &Design, figures: &Figures, compared: Compared<'_>, level: f64) -> Self {
        let Compared { variant, position, metric } = compared;
        let (control, treatment) = (figures.matured_of(design.control), figures.matured_of(variant));
        let estimates = estimate(metric, position, &control).zip(estimate(metric, position, &treatment));
        let range = |scale| {
            let (control, treatment) = estimates?;
            let settings = IntervalSettings { level, tuned_for: design.rules.tuned_for, scale };
            Interval::between(&control, &treatment, settings).map(EffectRange::from)
        };
        Self {
            variant,
            metric: position,
            users: treatment.users,
            control_users: control.users,
            absolute: range(Scale::Absolute),
            relative: range(Scale::Relative),
        }
    }

    /// Returns true if there is no interval yet.
    pub fn is_too_few(&self) -> bool {
        self.absolute.is_none()
    }
}

fn estimate(metric: &Metric, position: u8, sums: &VariantSums) -> Option<Estimate> {
    let of_metric = sums.metric(position);
    if of_metric.with_event < MIN_EVENTS {
        return None;
    }
    match metric.kind {
        MetricKind::Conversion => Estimate::of_share(of_metric.with_event, sums.users),
        MetricKind::Value => Estimate::of_mean(&of_metric.of_values(sums.users)),
        MetricKind::Ratio => Estimate::of_ratio(&of_metric.of_ratio(sums.users)),
    }
}
