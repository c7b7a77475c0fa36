//! Random users of a simulated run: who is seen, who fails, who waits.

use cutover_core::{
    canary::Run,
    measurement::batch::{EventKinds, SeenUser, UserEvents, UserWindow},
    statistics::split_mix::nth_draw,
    vocabulary::arm::Arm,
};
use rand::rngs::SmallRng;
use rand_distr::{Binomial, Distribution, Uniform};
use std::collections::BTreeMap;

/// Most events of an arm in one window that get a user each.
const MAX_EVENTS: u64 = 5_000;

/// Counts of one arm in one window.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArmEvents {
    pub(super) arm: Arm,
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) slow: u64,
}

impl ArmEvents {
    /// Adds the requests of `other`, which are of the same arm.
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.slow += other.slow;
    }
}

/// Users of a simulated flag, numbered by their buckets: those with the smallest numbers are the first
/// on the new arm.
#[derive(Debug)]
pub(super) struct Crowd {
    users: u64,
    seed: u64,
    step: Option<u32>,
    /// Users of the step that were seen, by arm.
    seen: BTreeMap<Arm, u64>,
}

impl Crowd {
    pub(super) fn new(users: u64, seed: u64) -> Self {
        Self { users, seed, step: None, seen: BTreeMap::new() }
    }

    /// Draws the users behind the requests of a window that begins at `window`.
    pub(super) fn window(
        &mut self,
        run: &Run,
        window: i64,
        arms: [ArmEvents; 2],
        random: &mut SmallRng,
    ) -> UserWindow {
        if self.step != Some(run.step) {
            (self.step, self.seen) = (Some(run.step), BTreeMap::new());
        }
        let on_new = (run.share().percent() / 100.0 * self.users as f64).round() as u64;
        let mut drawn = UserWindow {
            flag: run.flag.clone(),
            canary: (run.id.clone(), run.step),
            share: run.share(),
            window,
            settle_ms: 0,
            seen: Vec::new(),
            events: Vec::new(),
            compared: Vec::new(),
        };
        for counted in arms {
            let (first, users) = match counted.arm {
                Arm::New => (0, on_new),
                Arm::Legacy => (on_new, self.users - on_new.min(self.users)),
            };
            if users == 0 || counted.requests == 0 {
                continue;
            }
            self.draw_seen(&mut drawn, counted, (first, users), random);
            self.draw_events(&mut drawn, counted, (first, users), random);
        }
        drawn
    }

    /// Draws the users of an arm who are seen for the first time, from the `users` from `first` on.
    fn draw_seen(
        &mut self,
        drawn: &mut UserWindow,
        counted: ArmEvents,
        (first, users): (u64, u64),
        random: &mut SmallRng,
    ) {
        let seen = self.seen.entry(counted.arm).or_default();
        let missed = (1.0 - 1.0 / users as f64).powf(counted.requests as f64);
        let unseen = users.saturating_sub(*seen);
        let fresh = Binomial::new(unseen, 1.0 - missed).map(|count| count.sample(random)).unwrap_or_default();
        let range = first + *seen..first + *seen + fresh;
        *seen += fresh;
        let seed = self.seed;
        drawn.seen.extend(range.map(|number| SeenUser(hash(seed, number), counted.arm)));
    }

    /// Draws the users of an arm with errors and slow responses.
    fn draw_events(
        &self,
        drawn: &mut UserWindow,
        counted: ArmEvents,
        (first, users): (u64, u64),
        random: &mut SmallRng,
    ) {
        let Ok(numbers) = Uniform::new(first, first + users) else { return };
        let mut events: BTreeMap<u64, UserEvents> = BTreeMap::new();
        for (kind, count) in [(EventKinds::ERROR, counted.errors), (EventKinds::SLOW, counted.slow)] {
            for _ in 0..count.min(MAX_EVENTS) {
                let number = numbers.sample(random);
                let held = events.entry(number).or_insert_with(|| UserEvents {
                    user: hash(self.seed, number),
                    arm: counted.arm,
                    minted: false,
                    kinds: EventKinds::NONE,
                    errors: 0,
                    requests: 0,
                });
                held.kinds |= kind;
                let failures = u32::from(kind == EventKinds::ERROR);
                held.errors += failures;
                held.requests += failures;
            }
        }
        drawn.events.extend(events.into_values());
    }
}

/// Returns the hash of a simulated user, different for each number.
fn hash(seed: u64, number: u64) -> u64 {
    nth_draw(0, number.wrapping_add(seed))
}
