//! Scenarios: the users of a step, their traffic, and the faults of the two backends.

use crate::vocabulary::{arm::Arm, share::PartsPerMillion};

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// The users of a step, their traffic, and the faults of the two backends.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Number of users. The n-th of them sends requests in proportion to 1/n.
    pub users: u32,
    /// Requests in a second, of all users together.
    pub requests_per_second: u32,
    /// Duration of the step, in minutes.
    pub minutes: u32,
    /// Number of arrival windows that are folded before each decision.
    pub windows_per_tick: u32,
    /// Faults of the backends. The first that hits a request decides its outcome. At most 32.
    pub faults: Vec<Fault>,
    /// Milliseconds after its time at which a fault of a later minute begins; drawn from one arrival
    /// window if it is `None`.
    pub phase_ms: Option<i64>,
    /// Ratio of the new arm's response times to legacy's, of whose responses 5 % are slower than both
    /// limits. No response is slow if it is `None`, except timeouts.
    pub slow_factor: Option<f64>,
    /// A client that brings no id, so that one is minted for each of its requests.
    pub bot: Option<Bot>,
    /// Time limits of the backends.
    pub time_limits: TimeLimits,
    /// Snapshots from before the step that still decide requests in its first seconds.
    pub old_snapshots: Option<OldSnapshots>,
    /// Isolates that report in turns. If it is `None`, there is one that never rests, and reports what it knows at once.
    pub isolates: Option<Isolates>,
}

impl Scenario {
    /// Returns the longer time limit, in milliseconds.
    pub(super) fn settle_ms(&self) -> i64 {
        self.time_limits.new_ms.max(self.time_limits.legacy_ms)
    }
}

impl Default for Scenario {
    /// Healthy backends for 2 000 users who send 50 requests a second for an hour.
    fn default() -> Self {
        Self {
            users: 2_000,
            requests_per_second: 50,
            minutes: 60,
            windows_per_tick: 6,
            faults: Vec::new(),
            phase_ms: None,
            slow_factor: None,
            bot: None,
            time_limits: TimeLimits { new_ms: 1_000, legacy_ms: 1_000 },
            old_snapshots: None,
            isolates: None,
        }
    }
}

/// A client without an id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bot {
    /// Requests in a second, in addition to those of the users.
    pub requests_per_second: u32,
    /// Share of them that fail on either backend, 0 to 1.
    pub failing: f64,
}

/// Time limits of the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// Limit of the new arm, in milliseconds.
    pub new_ms: i64,
    /// Limit of the legacy arm, in milliseconds.
    pub legacy_ms: i64,
}

/// Isolates of the edge. Each request goes to one of them at random, and each reports in turns: counts at its next
/// report, users when their window is ripe or when the isolate goes to rest, because it has no request under way and had no
/// outcome since its last report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Isolates {
    /// Number of those with most of the traffic, at least 1.
    pub busy: u32,
    /// Number of those that rest now and then, at least 1 unless their part is 0.
    pub resting: u32,
    /// Share of the requests that go to one of the latter, 0 to 1.
    pub resting_part: f64,
}

/// Snapshots from before the step. Each request of that time is decided by one of them with a
/// probability of one half. Their users are reported for the same run and step but with the old share,
/// the worst case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldSnapshots {
    /// Share of the new arm in them.
    pub share: PartsPerMillion,
    /// Milliseconds since the start of the step at which they are gone.
    pub until_ms: i64,
}

/// A fault of one backend or of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// The arm that has it; both if it is `None`.
    pub arm: Option<Arm>,
    /// Outcome of the requests that are hit.
    pub symptom: Symptom,
    /// Users whose requests may be hit.
    pub affected: Affected,
    /// Share of their requests that are hit, 0 to 1.
    pub requests: f64,
    /// Beginning, in milliseconds since the start of the step.
    pub from_ms: i64,
    /// End, in milliseconds since the start of the step.
    pub until_ms: i64,
}

/// Outcome of a request that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symptom {
    /// Status 500, without delay.
    Error,
    /// No response within the time limit of the arm.
    Timeout,
    /// Status 401.
    Unauthorized,
    /// Status 404.
    NotFound,
}

/// Users whom a fault affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affected {
    /// All users.
    All,
    /// The given number of users, drawn at random.
    Random(u32),
    /// The given number of users, the busiest ones.
    Busiest(u32),
}

impl Fault {
    /// Creates a fault of both backends that hits this share of all requests during the whole step.
    pub fn of_both(symptom: Symptom, requests: f64) -> Self {
        Self { arm: None, symptom, affected: Affected::All, requests, from_ms: 0, until_ms: i64::MAX }
    }

    /// Creates a fault of the new backend alone that hits this share of its requests from a minute on.
    pub fn of_new(symptom: Symptom, requests: f64, minute: u32) -> Self {
        Self { arm: Some(Arm::New), ..Self::of_both(symptom, requests).from_minute(minute) }
    }

    /// Returns the fault for these users only.
    #[must_use]
    pub fn for_users(self, affected: Affected) -> Self {
        Self { affected, ..self }
    }

    /// Returns the fault beginning at this minute of the step.
    #[must_use]
    pub fn from_minute(self, minute: u32) -> Self {
        Self { from_ms: i64::from(minute) * MINUTE_MS, ..self }
    }

    /// Returns the fault ending at this minute of the step.
    #[must_use]
    pub fn until_minute(self, minute: u32) -> Self {
        Self { until_ms: i64::from(minute) * MINUTE_MS, ..self }
    }
}

/// Seeds of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    /// Seed of the users: the choice of those whom a fault affects, and their response times.
    pub users: u64,
    /// Salt of the buckets.
    pub salt: u64,
    /// Seed of the requests and of the keyed hashes.
    pub traffic: u64,
}

impl Seeds {
    /// Derives all seeds from one number.
    pub fn of(number: u64) -> Self {
        let first = number.wrapping_mul(3);
        Self { users: first, salt: first.wrapping_add(1), traffic: first.wrapping_add(2) }
    }
}
