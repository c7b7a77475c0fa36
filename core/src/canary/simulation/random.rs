//! Reproducible random numbers, and users drawn by their activity.

use crate::statistics::split_mix::{SplitMix64, mix, nth_draw};

/// 2^-53, the distance of two numbers that [`Random::unit`] returns.
const UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

/// Random numbers of several distributions.
#[derive(Debug, Clone)]
pub(super) struct Random(SplitMix64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds begin far apart.
        Self(SplitMix64::new(mix(seed)))
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    /// Returns a number from 0 to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 * UNIT
    }

    /// Returns a number below `bound`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(bound) * (self.draw() >> 32)) >> 32) as u32
    }

    /// Returns a standard normal number, by the method of Box and Muller.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }
}

/// Returns the hash of a number under a key.
pub(super) fn hash(key: u64, number: u32) -> u64 {
    nth_draw(mix(key), u64::from(number) + 1)
}

/// Users who send requests in proportion to `1 / rank` (Zipf), drawn in constant time (A. J. Walker's
/// alias method, 1977).
#[derive(Debug)]
pub(super) struct Activity {
    columns: Vec<Column>,
    users: u32,
}

/// A user, the probability of staying with this user, and the user to turn to otherwise.
#[derive(Debug, Clone, Copy)]
struct Column {
    stay: f64,
    other: u32,
}

impl Activity {
    pub(super) fn zipf(users: u32) -> Self {
        let total: f64 = (1..=users).map(|rank| 1.0 / f64::from(rank)).sum();
        let mean = total / f64::from(users);
        let stay = |user: u32| 1.0 / (f64::from(user + 1) * mean);
        let columns = (0..users).map(|user| Column { stay: stay(user), other: user }).collect();
        let (mut rare, mut busy): (Vec<u32>, Vec<u32>) = (0..users).partition(|user| stay(*user) < 1.0);
        let mut activity = Self { columns, users };
        while let (Some(&low), Some(&high)) = (rare.last(), busy.last()) {
            rare.pop();
            let Some(filled) = activity.column(low) else { break };
            filled.other = high;
            let missing = 1.0 - filled.stay;
            let Some(giver) = activity.column(high) else { break };
            giver.stay -= missing;
            if giver.stay < 1.0 {
                busy.pop();
                rare.push(high);
            }
        }
        activity
    }

    fn column(&mut self, user: u32) -> Option<&mut Column> {
        self.columns.get_mut(user as usize)
    }

    /// Returns the number of a user; the busiest is 0.
    pub(super) fn draw(&self, random: &mut Random) -> u32 {
        let user = random.below(self.users);
        match self.columns.get(user as usize) {
            Some(column) if random.unit() >= column.stay => column.other,
            _ => user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_drawn_by_their_rank() {
        let (activity, mut random) = (Activity::zipf(100), Random::new(1));
        let mut counts = [0_u32; 100];
        for _ in 0..200_000 {
            counts[activity.draw(&mut random) as usize] += 1;
        }
        let total: f64 = (1..=100).map(|rank| 1.0 / f64::from(rank)).sum();
        for rank in [1, 2, 10, 100_u32] {
            let expected = 200_000.0 / (f64::from(rank) * total);
            let drawn = f64::from(counts[rank as usize - 1]);
            assert!((drawn - expected).abs() < 5.0 * expected.sqrt(), "rank {rank}: {drawn}, {expected}");
        }
    }

    #[test]
    fn numbers_are_spread_and_depend_on_the_seed_alone() {
        let mut random = Random::new(7);
        let drawn: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / 100_000.0;
        let variance = drawn.iter().map(|number| number * number).sum::<f64>() / 100_000.0;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean}, {variance}");
        assert_eq!(Random::new(7).draw(), Random::new(7).draw());
        assert_ne!(Random::new(7).draw(), Random::new(8).draw());
        assert_ne!(hash(7, 1), hash(8, 1));
    }
}
