//! Events of guardrails by periods of an hour: a phase that has run for weeks notices a fault that begins today, and a
//! crowd of users leaves out others of its own hour at most.
//!
//! Isolates report them with the variant of their user, so nothing of the user has to be remembered from before. In a
//! period a user counts once for each metric, when the event is first learned. Which users are counted depends on their
//! hashes and their number, and never on their variants: if no variant changes who has an event, nor when, each is in a
//! variant with the probability of its share. Sums are never taken back, so each period is a test as that of a canary's
//! period is.
//!
//! Only events that are harm are judged so. Of those that should be many, a variant that is faster has fewer in a later
//! period: a user who has bought does not buy again.

use crate::{
    experiment::{arrivals::Arrivals, design::Design},
    json::omit::is_false,
    rules::experiment::metric::{Direction, Metric},
    statistics::UserMap,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Length of a period, in seconds.
const PERIOD_S: i64 = 60 * 60;

/// Most periods that are held at a time: the present one and the one before, whose reports may be late.
pub(crate) const LIVE_PERIODS: u8 = 2;

/// Users with events of guardrails, by period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GuardrailFigures {
    /// Start of the phase, from which periods count, in seconds since 1970.
    pub since: i64,
    /// True if periods are judged for metrics of harm alone. False in phases that an earlier version began, and in
    /// their records: those have periods for every guardrail.
    #[serde(default, skip_serializing_if = "is_false")]
    pub harm_only: bool,
    /// Number of the first period that was never forgotten. Those before it were tested with all their level, and do
    /// not begin again when the time of the newest arrival goes back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first: u32,
    /// Periods that have not ended, or ended less than an hour ago.
    pub periods: Vec<PeriodFigures>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Users with events of guardrails in one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodFigures {
    /// Number of the period, from 0.
    pub number: u32,
    /// Users by the position of the variant, and by that of the metric.
    pub with_event: Vec<Vec<u64>>,
}

impl PeriodFigures {
    fn of_nobody(number: u32, design: &Design) -> Self {
        Self { number, with_event: vec![vec![0; design.metrics.len()]; design.variants.len()] }
    }

    /// Returns the users of a variant with an event of a metric.
    pub(crate) fn users(&self, variant: u8, metric: u8) -> u64 {
        let of_variant = self.with_event.get(usize::from(variant));
        of_variant.and_then(|metrics| metrics.get(usize::from(metric))).copied().unwrap_or_default()
    }

    /// Returns the level of the period's test, if those of all periods together have this one: a union bound, `1/(e (e
    /// + 1))` of it for period e = 1, 2, ...
    pub(crate) fn level(&self, of_all: f64) -> f64 {
        let period = f64::from(self.number) + 1.0;
        of_all / (period * (period + 1.0))
    }
}

impl GuardrailFigures {
    /// Creates the figures of a phase that begins at `since`, in seconds since 1970.
    pub(crate) fn since(since: i64) -> Self {
        Self { since, harm_only: true, first: 0, periods: Vec::new() }
    }

    /// Returns true if a guardrail is judged by periods too.
    pub(crate) fn judges(&self, metric: &Metric) -> bool {
        !self.harm_only || metric.direction == Direction::Decrease
    }

    /// Returns the metrics that are judged by periods, as bits by their positions.
    fn judged(&self, design: &Design) -> u16 {
        let judged = (0_u32..).zip(&design.metrics).filter(|(_, metric)| self.judges(metric));
        judged.fold(0, |bits, (position, _)| bits | 1_u16.checked_shl(position).unwrap_or_default())
    }

    /// Returns the number of the period at a time, if it is held at `now`.
    fn period_at(&self, at: i64, now: i64) -> Option<u32> {
        let number = u32::try_from(at.saturating_sub(self.since).div_euclid(PERIOD_S)).ok()?;
        self.is_live(number, now).then_some(number)
    }

    fn is_live(&self, number: u32, now: i64) -> bool {
        if number < self.first {
            return false;
        }
        let end_of_next = i64::from(number).saturating_add(i64::from(LIVE_PERIODS)).saturating_mul(PERIOD_S);
        end_of_next > now.saturating_sub(self.since)
    }

    /// Forgets the periods that ended an hour ago.
    fn forget(&mut self, now: i64) {
        let (live, over): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.periods).into_iter().partition(|held| self.is_live(held.number, now));
        self.periods = live;
        let after = over.last().map_or(0, |newest| newest.number.saturating_add(1));
        self.first = self.first.max(after);
    }

    fn count(&mut self, number: u32, design: &Design, (variant, metrics): (u8, u16)) {
        let index = match self.periods.binary_search_by_key(&number, |held| held.number) {
            Ok(index) => index,
            Err(index) => {
                self.periods.insert(index, PeriodFigures::of_nobody(number, design));
                index
            }
        };
        let period = self.periods.get_mut(index);
        let Some(sums) = period.and_then(|held| held.with_event.get_mut(usize::from(variant))) else {
            return;
        };
        for (position, users) in (0_u32..).zip(sums) {
            let bit = metrics.checked_shr(position).unwrap_or_default() & 1;
            *users = users.saturating_add(u64::from(bit));
        }
    }
}

/// The users who are remembered, by period: a user's variant, and the metrics that have counted the user, as bits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct GuardrailUsers(BTreeMap<u32, UserMap<(u8, u16)>>);

impl GuardrailUsers {
    /// Returns true if nobody is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.values().all(UserMap::is_empty)
    }

    /// Returns true if there is nothing to keep, not even a bound.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves half of the users out of each period from now on.
    pub(crate) fn halve(&mut self) {
        self.0.values_mut().for_each(|users| users.lower(users.theta() / 2));
    }

    /// Adds everything that arrived in a tick, then leaves users out until at most `capacity` of a period are left.
    /// `now` is the time of the tick, in seconds since 1970. Returns the number of entries that the design does not
    /// know.
    pub(crate) fn fold(
        &mut self,
        figures: &mut GuardrailFigures,
        design: &Design,
        (arrivals, now): (&Arrivals, i64),
        capacity: usize,
    ) -> u64 {
        let (mut unknown, judged) = (0, figures.judged(design));
        // In one order, because the first variant of a user in a period counts.
        let mut learned: BTreeMap<(u32, u64, u8), u16> = BTreeMap::new();
        for part in arrivals.parts() {
            for event in &part.guardrails {
                if usize::from(event.variant) >= design.variants.len() {
                    unknown += 1;
                    continue;
                }
                // Nothing happens after its report arrived.
                let at = part.since.saturating_add(i64::from(event.after_s)).min(now);
                let metrics = event.metrics & judged;
                if let Some(number) = figures.period_at(at, now).filter(|_| metrics != 0) {
                    *learned.entry((number, event.user, event.variant)).or_default() |= metrics;
                }
            }
        }
        for ((number, user, variant), metrics) in learned {
            let users = self.0.entry(number).or_default();
            let Some((held, _)) = users.get_mut_or_insert(user, (variant, 0)) else { continue };
            let (counted_for, counted) = held;
            if *counted_for == variant {
                let fresh = metrics & !*counted;
                *counted |= metrics;
                figures.count(number, design, (variant, fresh));
            }
        }
        self.0.retain(|number, _| figures.is_live(*number, now));
        figures.forget(now);
        for users in self.0.values_mut() {
            while users.len() > capacity {
                users.lower(users.theta() / 2);
            }
        }
        unknown
    }
}
