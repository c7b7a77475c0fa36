//! The plan of an experiment: the users whom it needs, by the tests that the judge makes of its primary metrics, and the size of
//! the evidence that remembers all of them.

use crate::{
    experiment::{
        design::Design,
        evidence::quarter_of,
        guardrails::LIVE_PERIODS,
        needed::{NeededUsers, needed_users},
    },
    rules::experiment::metric::Role,
};
use serde::Serialize;

/// Most users whom evidence should be asked to remember, also if all have events of three metrics: it is written in one
/// transaction. The functions accept more.
pub const MAX_CAPACITY: u32 = 100_000;

/// Bytes of a user in stored evidence, compressed, and of a metric of which the user had an event. A test in `lambda` compares
/// them with what is stored.
const STORED_USER: f64 = 19.0;
const STORED_EVENT: f64 = 11.0;

/// Bytes of a user in memory, in a map whose nodes are two thirds full, and of the room for metrics of which the user had an
/// event.
const USER_IN_MEMORY: f64 = 170.0;
const EVENTS_IN_MEMORY: f64 = 150.0;

/// Bytes of a user with an event of a guardrail in one hour: stored, compared like the others, and in memory.
const STORED_GUARDED: f64 = 10.6;
const GUARDED_IN_MEMORY: f64 = 25.0;

/// The tests of the primary metrics, as far as a plan needs them: all have one level, and the variant with the fewest users is
/// decided last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// Primary metrics that are tested. If there is none, the plan is for one that is added.
    pub primary_metrics: usize,
    /// Tests that share the level of the primary metrics: of each variant against control in each of these metrics.
    pub tests: usize,
    /// Level of each test.
    pub level: f64,
    /// Share of the variant with the fewest users among its users and those of control.
    #[serde(skip)]
    share: f64,
    /// Part of the experiment's users who are in one of these two.
    #[serde(skip)]
    part: f64,
}

impl Plan {
    /// Returns the plan of a design; `None` if no variant is compared with control.
    pub fn of(design: &Design) -> Option<Self> {
        let weights = design.variants.iter().map(|variant| f64::from(variant.weight.get()));
        let weight = |position: u8| weights.clone().nth(usize::from(position)).unwrap_or_default();
        let fewest = design.treatments().min_by(|one, other| weight(*one).total_cmp(&weight(*other)))?;
        let treatments = design.treatments().count();
        let comparisons = design.comparisons();
        let tested = comparisons.iter().filter(|compared| compared.is_tested_as(Role::Primary)).count();
        let primary_metrics = tested / treatments;
        let tests = treatments * primary_metrics.max(1);
        Some(Self {
            primary_metrics,
            tests,
            level: design.rules.alpha_primary / tests as f64,
            share: design.share(fewest),
            part: (weight(fewest) + weight(design.control)) / weights.sum::<f64>(),
        })
    }

    /// Returns what is needed to find that the variant has `1 + lift` times the conversion rate of control, `rate`: conversions
    /// of the variant and control, users of all variants. `None` as for [`needed_users`].
    ///
    /// All of the users must be remembered: the later events of others do not count.
    pub fn needed(&self, rate: f64, lift: f64) -> Option<NeededUsers> {
        let needed = needed_users(rate, lift, self.share, self.level)?;
        let of_all_variants = |users: u64| libm::ceil(users as f64 / self.part) as u64;
        Some(NeededUsers {
            users: of_all_variants(needed.users),
            users_of_one_look: of_all_variants(needed.users_of_one_look),
            ..needed
        })
    }
}

/// Size of the evidence of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EvidenceSize {
    /// Bytes as it is stored.
    pub stored: u64,
    /// Bytes in the memory of `evaluate`.
    pub in_memory: u64,
}

impl EvidenceSize {
    /// Returns the size of evidence with these users, of whom the share `rate` had an event of one metric. Events that wait and
    /// ids of events come on top.
    pub fn of(users: u64, rate: f64) -> Self {
        let bytes = |user: f64, event: f64| libm::ceil(users as f64 * (user + rate * event)) as u64;
        Self { stored: bytes(STORED_USER, STORED_EVENT), in_memory: bytes(USER_IN_MEMORY, EVENTS_IN_MEMORY) }
    }

    /// Returns the largest size of the hours of guardrails, beside evidence that remembers `capacity` users: as many users
    /// with an event of a guardrail as the hours that are held have room for.
    pub fn of_hours(capacity: u32) -> Self {
        let users = usize::from(LIVE_PERIODS) * quarter_of(capacity);
        let bytes = |user: f64| libm::ceil(users as f64 * user) as u64;
        Self { stored: bytes(STORED_GUARDED), in_memory: bytes(GUARDED_IN_MEMORY) }
    }
}
