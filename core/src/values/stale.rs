//! Flags that have done their work and can be removed from the code.

use crate::{
    rules::flag::Flag,
    values::document::{Served, ValueFlag},
    vocabulary::{arm::Arm, names::VariantKey, share::PartsPerMillion, timestamp::Timestamp},
};
use serde::Serialize;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Stale {
    /// All users have had the same variant for this many days.
    Settled {
        /// The variant; an arm for a flag that decides routes.
        variant: Box<str>,
        /// Days since the last change.
        days: u32,
    },
    /// A temporary flag has been there for this many days without a change.
    Old {
        /// Days since the last change.
        days: u32,
    },
}

/// Returns the reason for which a flag is stale at `now`; `None` for one that is permanent, has changed a short time
/// ago, or has a scheduled change ahead. A scheduled change that has taken effect counts as a change. A disabled flag
/// may have its work ahead, as one that was never enabled has, so it is old at most.
pub fn stale(flag: &ValueFlag, now: Timestamp, last_changed: Timestamp, after: StaleAfter) -> Option<Stale> {
    let is_awaited = flag.schedule.iter().any(|change| change.at > now);
    if flag.permanent || is_awaited {
        return None;
    }
    let scheduled = flag.schedule.iter().map(|change| change.at);
    let changed = scheduled.fold(last_changed, Timestamp::max);
    after.reason(only_variant(flag).map(VariantKey::as_str), days_between(changed, now))
}

/// Returns the reason for which a flag that decides routes is stale at `now`. One that sends all users to the new arm is
/// settled; one that sends all of them to legacy has its work ahead, so it is old at most. The caller leaves out flags that a
/// run, an experiment or an emergency decides.
pub fn stale_switch(
    flag: &Flag,
    now: Timestamp,
    last_changed: Timestamp,
    after: StaleAfter,
) -> Option<Stale> {
    let is_everybody = flag.enabled_share() == PartsPerMillion::ALL;
    let has_new_only = is_everybody && flag.conditions.is_empty() && flag.user_blacklist.is_empty();
    after.reason(has_new_only.then(|| Arm::New.as_str()), days_between(last_changed, now))
}

impl StaleAfter {
    /// Returns the reason for a flag that has not changed for some days, and gives `only` to all users if it is given.
    fn reason(self, only: Option<&str>, days: u32) -> Option<Stale> {
        if let Some(variant) = only.filter(|_| days >= self.settled_days) {
            return Some(Stale::Settled { variant: variant.into(), days });
        }
        (days >= self.days).then_some(Stale::Old { days })
    }
}

/// Returns the whole days between two times; none if the first one is of a clock that is ahead.
fn days_between(changed: Timestamp, now: Timestamp) -> u32 {
    let days = now.millis().saturating_sub(changed.millis()).div_euclid(DAY_MS);
    u32::try_from(days).unwrap_or_default()
}

/// Returns the variant that an enabled flag gives to all users after the whole schedule; `None` if it depends on
/// anything, or if the flag is disabled.
fn only_variant(flag: &ValueFlag) -> Option<&VariantKey> {
    let enabled = flag.schedule.iter().rev().find_map(|change| change.set.enabled);
    if !enabled.unwrap_or(flag.enabled) {
        return None;
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
