//! The design of an experiment: everything about one of its phases that counting and judging need. It is fixed before the
//! phase begins.

use crate::{
    rules::experiment::{
        analysis::StoppingRules,
        document::Experiment,
        metric::{MAX_METRICS, Metric, MetricKind, Role},
    },
    vocabulary::{names::VariantKey, share::PartsPerMillion},
};
use serde::{Deserialize, Serialize};

/// Key of the variant that the others are compared with.
const CONTROL: &str = "control";

/// Error for a design that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDesign {
    /// There are more than [`MAX_METRICS`] metrics.
    #[error("an experiment has at most {MAX_METRICS} metrics, this one has {0}")]
    TooManyMetrics(usize),
    /// Values without a cap have no valid interval.
    #[error("the metric {0} needs a cap")]
    Uncapped(String),
    /// A ratio has no exact test.
    #[error("the metric {0} is a ratio, which can only be secondary")]
    UntestedRatio(String),
    /// The control is none of the variants.
    #[error("the experiment has no variant to compare the others with")]
    NoControl,
}

/// The design of one phase of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// Variants in the operator's order.
    pub variants: Vec<DesignVariant>,
    /// Position of the variant that the others are compared with.
    pub control: u8,
    /// Metrics in the operator's order.
    pub metrics: Vec<Metric>,
    /// Rules by which the experiment ends.
    #[serde(default)]
    pub rules: StoppingRules,
}

/// A variant of a design.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesignVariant {
    /// Key of the variant.
    pub key: VariantKey,
    /// Its share of the experiment's users.
    pub weight: PartsPerMillion,
}

/// A comparison of a variant with control in one metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared<'d> {
    /// Position of the variant.
    pub(crate) variant: u8,
    /// Position of the metric.
    pub(crate) position: u8,
    pub(crate) metric: &'d Metric,
}

impl Compared<'_> {
    /// Returns true if the metric has a role for which there is an exact test. There is none of ratios.
    pub(crate) fn is_tested_as(&self, role: Role) -> bool {
        self.metric.role == role && self.metric.kind != MetricKind::Ratio
    }
}

impl Design {
    /// Returns the design of an experiment: its variants, all its metrics, and the rules of its analysis. Control is the
    /// variant of that key, or the first one.
    pub fn of(experiment: &Experiment) -> Self {
        let control = experiment.variants.iter().position(|variant| variant.key.as_str() == CONTROL);
        let variants = experiment
            .variants
            .iter()
            .map(|variant| DesignVariant { key: variant.key.clone(), weight: variant.traffic_percentage });
        Self {
            variants: variants.collect(),
            // Positions on the wire are bytes; the variants beyond them are reported as unknown.
            control: control.and_then(|position| u8::try_from(position).ok()).unwrap_or_default(),
            metrics: experiment.all_metrics(),
            rules: experiment.analysis,
        }
    }

    /// Checks that the design can be judged.
    ///
    /// # Errors
    ///
    /// Returns the first fault that is found.
    pub fn check(&self) -> Result<(), InvalidDesign> {
        if self.metrics.len() > MAX_METRICS {
            return Err(InvalidDesign::TooManyMetrics(self.metrics.len()));
        }
        if usize::from(self.control) >= self.variants.len() {
            return Err(InvalidDesign::NoControl);
        }
        for metric in &self.metrics {
            if metric.kind != MetricKind::Conversion && metric.cap.is_none() {
                return Err(InvalidDesign::Uncapped(metric.name.clone()));
            }
            if metric.kind == MetricKind::Ratio && metric.role != Role::Secondary {
                return Err(InvalidDesign::UntestedRatio(metric.name.clone()));
            }
        }
        Ok(())
    }

    /// Returns the positions of the variants that are compared with control: those that users are assigned to.
    pub(crate) fn treatments(&self) -> impl Iterator<Item = u8> {
        let control = self.control;
        let weighted = move |(position, variant): (u8, &DesignVariant)| {
            (position != control && variant.weight > PartsPerMillion::ZERO).then_some(position)
        };
        (0..=u8::MAX).zip(&self.variants).filter_map(weighted)
    }

    /// Returns every comparison of a variant with control in a metric.
    pub(crate) fn comparisons(&self) -> Vec<Compared<'_>> {
        let mut comparisons = Vec::new();
        for (position, metric) in (0..=u8::MAX).zip(&self.metrics) {
            comparisons.extend(self.treatments().map(|variant| Compared { variant, position, metric }));
        }
        comparisons
    }

    /// Returns true if the metric at a position is a primary one.
    pub(crate) fn is_primary(&self, position: u8) -> bool {
        self.metrics.get(usize::from(position)).is_some_and(|metric| metric.role == Role::Primary)
    }

    /// Returns the share of a variant among its users and those of control; 0 if there are none.
    pub(crate) fn share(&self, variant: u8) -> f64 {
        let weight = |position: u8| {
            let variant = self.variants.get(usize::from(position));
            variant.map_or(0.0, |variant| f64::from(variant.weight.get()))
        };
        let (treatment, control) = (weight(variant), weight(self.control));
        if treatment > 0.0 { treatment / (treatment + control) } else { 0.0 }
    }
}
