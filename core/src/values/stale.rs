//! Flags that have done their work and can be removed from the code.

use crate::{
    values::document::{Served, ValueFlag},
    vocabulary::{names::VariantKey, share::PartsPerMillion, timestamp::Timestamp},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Ages from which on a temporary flag is stale, in days since its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaleAfter {
    /// Age of any flag.
    pub days: u32,
    /// Age of a flag that gives out the same variant to all users.
    pub settled_days: u32,
}

impl Default for StaleAfter {
    fn default() -> Self {
        Self { days: 90, settled_days: 7 }
    }
}

/// Reason for which a flag is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// All users have had the same variant for this many days.
    Settled {
        /// The variant.
        variant: VariantKey,
        /// Days since the last change.
        days: u32,
    },
    /// A temporary flag has been there for this many days without a change.
    Old {
        /// Days since the last change.
        days: u32,
    },
}

/// Returns the reason for which a flag is stale at `now`; `None` for one that is permanent, has changed a short time ago, or
/// has a scheduled change ahead. A scheduled change that has taken effect counts as a change.
pub fn stale(flag: &ValueFlag, now: Timestamp, last_changed: Timestamp, after: StaleAfter) -> Option<Stale> {
    let is_awaited = flag.schedule.iter().any(|change| change.at > now);
    if flag.permanent || is_awaited {
        return None;
    }
    let scheduled = flag.schedule.iter().map(|change| change.at);
    let changed = scheduled.fold(last_changed, Timestamp::max);
    let days = now.millis().saturating_sub(changed.millis()).div_euclid(DAY_MS);
    // A change after `now` is of a clock that is ahead.
    let days = u32::try_from(days).unwrap_or_default();
    if let Some(variant) = only_variant(flag).filter(|_| days >= after.settled_days) {
        return Some(Stale::Settled { variant: variant.clone(), days });
    }
    (days >= after.days).then_some(Stale::Old { days })
}

/// Returns the variant that all users have after the whole schedule; `None` if it depends on anything.
fn only_variant(flag: &ValueFlag) -> Option<&VariantKey> {
    let enabled = flag.schedule.iter().rev().find_map(|change| change.set.enabled);
    if !enabled.unwrap_or(flag.enabled) {
        return Some(&flag.off);
    }
    let scheduled = flag.schedule.iter().rev().find_map(|change| change.set.default.as_ref());
    let variant = single(scheduled.unwrap_or(&flag.default))?;
    let is_same = |served: &Served| single(served) == Some(variant);
    let is_only = flag.rules.iter().all(|rule| is_same(&rule.served));
    // Users who lack a prerequisite have the variant that is off.
    let is_free = flag.prerequisites.is_empty() || flag.off == *variant;
    (is_only && is_free).then_some(variant)
}

/// Returns the variant that everybody has: a single one, or one with all of the weight.
fn single(served: &Served) -> Option<&VariantKey> {
    match served {
        Served::Single { variant } => Some(variant),
        Served::Split(split) => {
            split.weights.iter().find(|(_, weight)| **weight == PartsPerMillion::ALL).map(|(key, _)| key)
        }
    }
}
