//! Figures of a phase: sums over its users. They are integers, so that no order of addition shows in them.

use crate::{
    experiment::guardrails::GuardrailFigures,
    rules::experiment::metric::Metric,
    statistics::{PairedSums, Sums},
};
use serde::{Deserialize, Serialize};

/// Thousandths in one unit of a value.
const THOUSANDTHS: f64 = 1_000.0;

/// An exact sum. In documents a pair of numbers: the multiples of 2^64, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
pub struct Total(u128);

impl From<[u64; 2]> for Total {
    fn from([high, low]: [u64; 2]) -> Self {
        Self((u128::from(high) << 64) | u128::from(low))
    }
}

impl From<Total> for [u64; 2] {
    fn from(Total(sum): Total) -> Self {
        // The two halves of the number.
        [(sum >> 64) as u64, sum as u64]
    }
}

impl From<u128> for Total {
    fn from(sum: u128) -> Self {
        Self(sum)
    }
}

impl Total {
    /// Returns the sum.
    pub fn get(self) -> u128 {
        self.0
    }

    fn float(self) -> f64 {
        self.0 as f64
    }
}

/// Direction in which a user changes sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The user is added.
    Add,
    /// The user is taken out, to be added again with more outcomes, or because of exposures to two variants.
    Remove,
}

impl Change {
    pub(crate) fn users(self, users: &mut u64, count: bool) {
        let count = u64::from(count);
        *users = match self {
            Self::Add => users.saturating_add(count),
            Self::Remove => users.saturating_sub(count),
        };
    }

    fn total(self, Total(sum): &mut Total, amount: u128) {
        *sum = match self {
            Self::Add => sum.saturating_add(amount),
            Self::Remove => sum.saturating_sub(amount),
        };
    }
}

/// Outcomes of one user for one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amounts {
    /// True if the user had an event.
    pub(crate) has_event: bool,
    /// Number of events in the user's window.
    pub(crate) count: u64,
    /// Sum of their values, in thousandths.
    pub(crate) value: u64,
}

/// Sums of one metric over the users of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricSums {
    /// Users with an event.
    pub with_event: u64,
    /// Sum of the users' numbers of events.
    pub counts: Total,
    /// Sum of the squares of these numbers.
    pub counts_squared: Total,
    /// Sum of the users' values, in thousandths.
    pub values: Total,
    /// Sum of the squares of these values, in millionths.
    pub values_squared: Total,
    /// Sum of the products of value and number of events, in thousandths.
    pub products: Total,
}

impl MetricSums {
    fn change(&mut self, amounts: Amounts, change: Change) {
        let (count, value) = (u128::from(amounts.count), u128::from(amounts.value));
        change.users(&mut self.with_event, amounts.has_event);
        change.total(&mut self.counts, count);
        change.total(&mut self.counts_squared, count.saturating_mul(count));
        change.total(&mut self.values, value);
        change.total(&mut self.values_squared, value.saturating_mul(value));
        change.total(&mut self.products, value.saturating_mul(count));
    }

    /// Returns the sums of values over so many users.
    pub(crate) fn of_values(&self, users: u64) -> Sums {
        Sums {
            users,
            sum: self.values.float() / THOUSANDTHS,
            squares: self.values_squared.float() / (THOUSANDTHS * THOUSANDTHS),
        }
    }

    /// Returns the sums of values and of numbers of events over so many users.
    pub(crate) fn of_ratio(&self, users: u64) -> PairedSums {
        let second = Sums { users, sum: self.counts.float(), squares: self.counts_squared.float() };
        PairedSums { first: self.of_values(users), second, products: self.products.float() / THOUSANDTHS }
    }
}

/// Sums over the users of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VariantSums {
    /// Users exposed to the variant.
    pub users: u64,
    /// Sums by the position of the metric.
    pub metrics: Vec<MetricSums>,
}

impl VariantSums {
    fn of_no_user(metrics: usize) -> Self {
        Self { users: 0, metrics: vec![MetricSums::default(); metrics] }
    }

    /// Returns the sums of a metric.
    pub(crate) fn metric(&self, metric: u8) -> MetricSums {
        self.metrics.get(usize::from(metric)).copied().unwrap_or_default()
    }

    pub(crate) fn change(&mut self, amounts: impl Iterator<Item = Amounts>, change: Change) {
        change.users(&mut self.users, true);
        for (sums, amounts) in self.metrics.iter_mut().zip(amounts) {
            sums.change(amounts, change);
        }
    }
}

/// Figures of a phase: all that a judgement needs of its users.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Exposed users and their outcomes so far, by the position of the variant.
    pub running: Vec<VariantSums>,
    /// Users whose window is over, and their outcomes in it.
    pub matured: Vec<VariantSums>,
    /// Users seen in two variants. They are in no sum.
    pub crossed: u64,
    /// Outcomes before the exposure of their user, or of users who were never exposed. They are in no sum.
    pub before_exposure: u64,
    /// Outcomes of users who were not known to be exposed, for which the evidence or an isolate had no room. They are in no
    /// sum.
    #[serde(default)]
    pub without_room: u64,
    /// Entries of variants and metrics that the design does not have, and of other phases than the one that is counted.
    pub unknown: u64,
    /// Users with events of guardrails that are harm, by period; `None` for a phase that an earlier version began,
    /// whose guardrails are judged by the whole phase alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<GuardrailFigures>,
}

impl Figures {
    pub(crate) fn of_nobody(variants: usize, metrics: &[Metric]) -> Self {
        let none = vec![VariantSums::of_no_user(metrics.len()); variants];
        Self { running: none.clone(), matured: none, ..Self::default() }
    }

    /// Returns the running sums of a variant.
    pub(crate) fn running_of(&self, variant: u8) -> VariantSums {
        self.running.get(usize::from(variant)).cloned().unwrap_or_default()
    }

    /// Returns the sums over the users of a variant whose window is over.
    pub(crate) fn matured_of(&self, variant: u8) -> VariantSums {
        self.matured.get(usize::from(variant)).cloned().unwrap_or_default()
    }
}
