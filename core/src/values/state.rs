//! The state that the schedule of a flag has brought about.

use crate::{
    values::document::{Served, ValueFlag},
    vocabulary::timestamp::Timestamp,
};

/// The fields of a flag that a schedule can change, as they are in force at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateInForce<'f> {
    /// True if the flag is enabled.
    pub enabled: bool,
    /// Variants of users whom no rule matches.
    pub default: &'f Served,
    /// Time of the last change that has taken effect; `None` before the first one.
    pub since: Option<Timestamp>,
    /// Time of the next change; `None` after the last one.
    pub until: Option<Timestamp>,
}

impl ValueFlag {
    /// Returns the state in force at `now`.
    pub fn in_force(&self, now: Timestamp) -> StateInForce<'_> {
        let first = StateInForce { enabled: self.enabled, default: &self.default, since: None, until: None };
        let past = self.schedule.iter().take_while(|change| change.at <= now);
        let state = past.fold(first, |state, change| StateInForce {
            enabled: change.set.enabled.unwrap_or(state.enabled),
            default: change.set.default.as_ref().unwrap_or(state.default),
            since: Some(change.at),
            until: None,
        });
        let next = self.schedule.iter().find(|change| change.at > now);
        StateInForce { until: next.map(|change| change.at), ..state }
    }

    /// Returns the flag enabled or disabled from `now` on, until a change of its schedule that is ahead says otherwise. Changes
    /// that are over lose their word about it: they would decide in the place of [`enabled`](Self::enabled).
    pub fn switched(&self, enabled: bool, now: Timestamp) -> Self {
        let mut switched = Self { enabled, ..self.clone() };
        for change in switched.schedule.iter_mut().filter(|change| change.at <= now) {
            change.set.enabled = None;
        }
        switched.schedule.retain(|change| change.set.enabled.is_some() || change.set.default.is_some());
        switched
    }
}
