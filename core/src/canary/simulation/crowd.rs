//! The users of a scenario: the arm and the faults of each, and the outcomes of their requests.

use crate::{
    canary::{
        run::Run,
        simulation::{
            random::{Random, hash},
            scenario::{Affected, Fault, Scenario, Seeds, Symptom},
        },
    },
    measurement::event_kinds::EventKinds,
    vocabulary::{arm::Arm, share::PartsPerMillion},
};

/// Number of buckets of a salt.
const BUCKETS: u64 = 1_000_000;

/// Standard deviations of the logarithm of a response time: of the users' means, and of the requests
/// of one user.
const USER_SPREAD: f64 = 0.4;
const REQUEST_SPREAD: f64 = 0.5;

/// Standard normal quantile of the slowest 5 %.
const SLOWEST: f64 = 1.644_853_627;

/// A user, with the state that the edge keeps.
#[derive(Debug)]
pub(super) struct User {
    pub(super) hash: u64,
    pub(super) arm: Arm,
    /// Arm in snapshots from before the step.
    pub(super) old_arm: Arm,
    /// Faults that affect the user, a bit for each.
    faults: u32,
    /// Probability of a slow response on legacy, and on the new arm.
    slow: [f64; 2],
    pub(super) seen: bool,
    pub(super) has_failed: bool,
    /// Window of the user's last entry, and its position there.
    pub(super) entry: (i64, usize),
}

/// End of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) kinds: EventKinds,
    pub(super) timed_out: bool,
}

/// Creates the users of a scenario.
pub(super) fn users(run: &Run, scenario: &Scenario, seeds: Seeds) -> Vec<User> {
    let mut random = Random::new(seeds.users);
    let old_share = scenario.old_snapshots.map_or(PartsPerMillion::ZERO, |old| old.share);
    let mut users: Vec<User> = (0..scenario.users)
        .map(|number| {
            let bucket = hash(seeds.salt, number);
            User {
                hash: hash(!seeds.traffic, number),
                arm: arm_of(bucket, run.share()),
                old_arm: arm_of(bucket, old_share),
                faults: 0,
                slow: scenario.slow_factor.map_or([0.0; 2], |factor| slow(factor, random.normal())),
                seen: false,
                has_failed: false,
                entry: (-1, 0),
            }
        })
        .collect();
    for (fault, bit) in scenario.faults.iter().zip(0_u32..) {
        let mask = 1_u32.wrapping_shl(bit);
        match fault.affected {
            Affected::All => users.iter_mut().for_each(|user| user.faults |= mask),
            Affected::Busiest(count) => {
                users.iter_mut().take(count as usize).for_each(|user| user.faults |= mask);
            }
            Affected::Random(count) => {
                let mut missing = count.min(scenario.users);
                while missing > 0 {
                    let drawn = users.get_mut(random.below(scenario.users) as usize);
                    if let Some(user) = drawn.filter(|user| user.faults & mask == 0) {
                        user.faults |= mask;
                        missing -= 1;
                    }
                }
            }
        }
    }
    users
}

/// Returns the arm of a bucket hash.
pub(super) fn arm_of(bucket: u64, share: PartsPerMillion) -> Arm {
    if bucket % BUCKETS < u64::from(share.get()) { Arm::New } else { Arm::Legacy }
}

/// Returns the probabilities of a slow response on legacy and on the new arm, for a user whose
/// response times lie so many standard deviations above the mean. Response times are log-normal.
fn slow(factor: f64, user: f64) -> [f64; 2] {
    let spread = libm::sqrt(USER_SPREAD * USER_SPREAD + REQUEST_SPREAD * REQUEST_SPREAD);
    let distance = spread * SLOWEST - USER_SPREAD * user;
    [distance, distance - libm::log(factor)]
        .map(|distance| 0.5 * libm::erfc(distance / REQUEST_SPREAD * std::f64::consts::FRAC_1_SQRT_2))
}

impl User {
    /// Returns the end of a request that begins `now`, in milliseconds since the start of the step.
    pub(super) fn end(&self, arm: Arm, now: i64, faults: &[Fault], random: &mut Random) -> Ended {
        for (fault, bit) in faults.iter().zip(0_u32..) {
            let is_possible = self.faults & 1_u32.wrapping_shl(bit) != 0
                && (fault.from_ms..fault.until_ms).contains(&now)
                && fault.arm.is_none_or(|ill| ill == arm);
            if is_possible && random.unit() < fault.requests {
                let kinds = match fault.symptom {
                    Symptom::Error => EventKinds::ERROR,
                    Symptom::Timeout => EventKinds::ERROR | EventKinds::SLOW,
                    Symptom::Unauthorized => EventKinds::UNAUTHORIZED,
                    Symptom::NotFound => EventKinds::NOT_FOUND,
                };
                return Ended { kinds, timed_out: fault.symptom == Symptom::Timeout };
            }
        }
        let [legacy, new] = self.slow;
        let slow = if arm == Arm::New { new } else { legacy };
        let is_slow = slow > 0.0 && random.unit() < slow;
        Ended { kinds: if is_slow { EventKinds::SLOW } else { EventKinds::NONE }, timed_out: false }
    }
}
