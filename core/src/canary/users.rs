//! Evidence of users: who was seen, who had an event, whose responses differed. A user counts once
//! for each kind of event, when it is first learned and if the hash is below the map's `theta` then.
//! Sums are never taken back, so that each addition stays a fair coin.

use crate::{
    measurement::{batch::UserEvents, event_kinds::EventKinds},
    statistics::UserMap,
    vocabulary::arm::Arm,
};
use serde::{Deserialize, Serialize};

/// Length of a period, in milliseconds. In each period a user counts again, once, so that a fault
/// after many good minutes is found as soon as one at the start.
pub(crate) const PERIOD_MS: i64 = 10 * 60_000;

/// Number of failing users whose requests an alarm must do without.
const BUSIEST: usize = 3;

/// Users on the new arm, and on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserCount {
    /// Users on the new arm.
    pub new: u64,
    /// Users on both arms.
    pub all: u64,
}

impl UserCount {
    fn add(&mut self, arm: Arm) {
        self.new = self.new.saturating_add(u64::from(arm == Arm::New));
        self.all = self.all.saturating_add(1);
    }

    /// Returns the users on legacy.
    pub fn legacy(self) -> u64 {
        self.all.saturating_sub(self.new)
    }
}

/// Distinct users of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeenUsers {
    /// The users that are remembered; true for those on the new arm.
    pub users: UserMap<bool>,
    /// Users added since the step began.
    pub count: UserCount,
}

impl SeenUsers {
    pub(crate) fn add(&mut self, user: u64, arm: Arm) {
        if let Some((_, true)) = self.users.get_mut_or_insert(user, arm == Arm::New) {
            self.count.add(arm);
        }
    }

    /// Returns the number of users on the new arm: those counted, or if users were left out, about as many as the part of
    /// the hashes that is kept stands for.
    pub(crate) fn on_new(&self) -> u64 {
        let held = self.users.values().filter(|is_new| **is_new).count();
        let part = self.users.theta() as f64 / u64::MAX as f64;
        // A number of users, far below 2^53.
        self.count.new.max((held as f64 / part.max(f64::MIN_POSITIVE)) as u64)
    }

    /// Returns true if every user was counted, so that the counts may be shown as totals.
    pub(crate) fn is_complete(&self) -> bool {
        self.users.theta() == u64::MAX
    }
}

/// Users whose first compared request of a step is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComparedUsers {
    /// The users that are remembered.
    pub users: UserMap<()>,
    /// Users added since the step began.
    pub compared: u64,
    /// Of these, users whose responses differed.
    pub mismatched: u64,
}

impl ComparedUsers {
    pub(crate) fn add(&mut self, user: u64, mismatched: bool) {
        if let Some((_, true)) = self.users.get_mut_or_insert(user, ()) {
            self.compared = self.compared.saturating_add(1);
            self.mismatched = self.mismatched.saturating_add(u64::from(mismatched));
        }
    }
}

/// Errors of one user, and the user's requests since the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failures {
    /// Number of errors.
    pub errors: u64,
    /// Number of requests since the first error, itself included.
    pub requests: u64,
}

impl Failures {
    fn add(&mut self, other: Self) {
        self.errors = self.errors.saturating_add(other.errors);
        self.requests = self.requests.saturating_add(other.requests);
    }
}

/// A user with an event. In documents a list, because there may be thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "PackedUser", from = "PackedUser")]
pub struct EventUser {
    arm: Arm,
    minted: bool,
    /// Kinds counted in the step.
    kinds: EventKinds,
    /// Number of the period that `in_period` belongs to.
    period: u32,
    /// Kinds counted in that period, and in the one before.
    in_period: EventKinds,
    in_last_period: EventKinds,
    failures: Failures,
    /// Number of the suspect span that `in_span` belongs to.
    span: u32,
    in_span: Failures,
}

/// Arm and stratum (1 new, 2 minted), kinds, period, kinds in it and in the one before, errors and
/// requests, span, errors and requests in it.
type PackedUser = (u8, EventKinds, u32, EventKinds, EventKinds, u64, u64, u32, u64, u64);

impl From<EventUser> for PackedUser {
    fn from(user: EventUser) -> Self {
        let flags = u8::from(user.arm == Arm::New) | (u8::from(user.minted) << 1);
        let (failures, in_span) = (user.failures, user.in_span);
        (
            flags,
            user.kinds,
            user.period,
            user.in_period,
            user.in_last_period,
            failures.errors,
            failures.requests,
            user.span,
            in_span.errors,
            in_span.requests,
        )
    }
}

impl From<PackedUser> for EventUser {
    fn from(packed: PackedUser) -> Self {
        let (flags, kinds, period, in_period, in_last_period, errors, requests, span, late, since) = packed;
        Self {
            arm: if flags & 1 == 1 { Arm::New } else { Arm::Legacy },
            minted: flags & 2 == 2,
            kinds,
            period,
            in_period,
            in_last_period,
            failures: Failures { errors, requests },
            span,
            in_span: Failures { errors: late, requests: since },
        }
    }
}

impl EventUser {
    fn of(events: &UserEvents) -> Self {
        Self {
            arm: events.arm,
            minted: events.minted,
            kinds: EventKinds::NONE,
            period: 0,
            in_period: EventKinds::NONE,
            in_last_period: EventKinds::NONE,
            failures: Failures::default(),
            span: 0,
            in_span: Failures::default(),
        }
    }

    /// Adds kinds to those counted in a period, and returns the ones that were not. A user is
    /// remembered for two periods.
    fn count_in_period(&mut self, period: u32, kinds: EventKinds) -> EventKinds {
        if period > self.period {
            let is_next = period - self.period == 1;
            self.in_last_period = if is_next { self.in_period } else { EventKinds::NONE };
            (self.period, self.in_period) = (period, EventKinds::NONE);
        }
        let counted = match self.period - period {
            0 => &mut self.in_period,
            1 => &mut self.in_last_period,
            _ => return EventKinds::NONE,
        };
        let fresh = kinds.without(*counted);
        *counted |= kinds;
        fresh
    }
}

/// Users with an event by kind, each as two counts: ids that the client brought, and ids minted for
/// the very request. In one count a client without cookies, which is a user per request, would hide
/// a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventSums([[UserCount; 2]; EventKinds::ALL.len()]);

impl EventSums {
    fn add(&mut self, kinds: EventKinds, user: &EventUser) {
        for (strata, kind) in self.0.iter_mut().zip(EventKinds::ALL) {
            if kinds.contains(kind)
                && let Some(count) = strata.get_mut(usize::from(user.minted))
            {
                count.add(user.arm);
            }
        }
    }

    /// Returns the two counts of a kind: brought ids, and minted ones.
    pub fn of(&self, kind: EventKinds) -> [UserCount; 2] {
        let mut kinds = self.0.iter().zip(EventKinds::ALL);
        kinds.find_map(|(strata, held)| (held == kind).then_some(*strata)).unwrap_or_default()
    }

    /// Returns the users of a kind, of brought and minted ids together.
    pub fn total(&self, kind: EventKinds) -> UserCount {
        let [brought, minted] = self.of(kind);
        UserCount { new: brought.new.saturating_add(minted.new), all: brought.all.saturating_add(minted.all) }
    }
}

/// Users with an event in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Number of the period, from 0, counted from the step's start.
    pub number: u32,
    /// Its users.
    pub sums: EventSums,
}

/// Users with an event in a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventEvidence {
    /// The users that are remembered.
    pub users: UserMap<EventUser>,
    /// Users of the whole step.
    pub step: EventSums,
    /// Users of each period that ended less than ten minutes ago, or has not ended.
    pub periods: Vec<Period>,
}

impl EventEvidence {
    /// Forgets the periods that ended ten minutes ago; their events count in the step only. `age` is
    /// the time since the step began, in milliseconds.
    pub(crate) fn forget_periods(&mut self, age: i64) {
        self.periods.retain(|period| is_live(period.number, age));
    }

    /// Forgets the errors of all users, but not that they had some.
    pub(crate) fn forget_failures(&mut self) {
        self.users.values_mut().for_each(|user| user.failures = Failures::default());
    }

    /// Adds the events of a user in a period. `span` is the number of the open suspect span.
    pub(crate) fn add(&mut self, events: &UserEvents, period: u32, age: i64, span: u32) {
        let Some((user, _)) = self.users.get_mut_or_insert(events.user, EventUser::of(events)) else {
            return;
        };
        let fresh = events.kinds.without(user.kinds);
        user.kinds |= events.kinds;
        self.step.add(fresh, user);
        if is_live(period, age) {
            let fresh = user.count_in_period(period, events.kinds);
            let index = match self.periods.binary_search_by_key(&period, |held| held.number) {
                Ok(index) => index,
                Err(index) => {
                    self.periods.insert(index, Period { number: period, sums: EventSums::default() });
                    index
                }
            };
            if let Some(held) = self.periods.get_mut(index) {
                held.sums.add(fresh, user);
            }
        }
        let failures = Failures { errors: u64::from(events.errors), requests: u64::from(events.requests) };
        user.failures.add(failures);
        if user.span != span {
            (user.span, user.in_span) = (span, Failures::default());
        }
        user.in_span.add(failures);
    }

    /// Returns the busiest failing users on the new arm, at most three: of the whole step, or of a
    /// suspect span.
    pub(crate) fn busiest(&self, span: Option<u32>) -> Vec<Failures> {
        let on_new = self.users.values().filter(|user| user.arm == Arm::New);
        let mut failures: Vec<Failures> = on_new
            .filter_map(|user| match span {
                None => Some(user.failures),
                Some(span) => (user.span == span).then_some(user.in_span),
            })
            .filter(|failures| failures.errors > 0)
            .collect();
        failures.sort_unstable_by_key(|failures| std::cmp::Reverse((failures.errors, failures.requests)));
        failures.truncate(BUSIEST);
        failures
    }

    /// Returns true if every user was counted, so that the sums may be shown as totals.
    pub(crate) fn is_complete(&self) -> bool {
        self.users.theta() == u64::MAX
    }
}

/// Returns true if a period has not ended, or ended less than ten minutes ago.
fn is_live(period: u32, age: i64) -> bool {
    i64::from(period).saturating_add(2).saturating_mul(PERIOD_MS) > age
}
