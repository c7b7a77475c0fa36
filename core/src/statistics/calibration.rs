//! How often the tests fire, computed exactly: the distribution of the counts is carried on from trial to trial, and
//! what reaches the mark is taken out. No simulation, so no error of simulation.

use super::{Relative, Threshold, firing};

/// How a test behaves when it is looked at after every trial up to a horizon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// The probability that it fires.
    pub fires: f64,
    /// The mean number of trials after which it fires, of those cases in which it does.
    pub mean_trials: f64,
}

/// Carries a distribution of counts on. `mark(n)` is the smallest count that fires after `n` trials.
fn carry_on(rate: f64, horizon: u64, mut mark: impl FnMut(u64, u64) -> u64) -> Calibration {
    let (mut fires, mut weighted) = (0.0, 0.0);
    let mut alive: Vec<f64> = vec![1.0];
    let mut at = 1;
    for n in 1..=horizon {
        alive.push(0.0);
        for k in (1..alive.len()).rev() {
            let below = alive.get(k - 1).copied().unwrap_or_default();
            if let Some(held) = alive.get_mut(k) {
                *held = *held * (1.0 - rate) + below * rate;
            }
        }
        if let Some(none) = alive.first_mut() {
            *none *= 1.0 - rate;
        }
        at = mark(n, at);
        let keep = usize::try_from(at).unwrap_or(usize::MAX).min(alive.len());
        let gone: f64 = alive.drain(keep..).sum();
        fires += gone;
        weighted += gone * n as f64;
    }
    Calibration { fires, mean_trials: if fires > 0.0 { weighted / fires } else { f64::NAN } }
}

/// The threshold test of a limit, for a canary whose true rate is `rate`.
pub fn threshold(rate: f64, limit: f64, alpha: f64, horizon: u64) -> Calibration {
    let (test, mark) = (Threshold::above(limit, alpha), firing(alpha));
    carry_on(rate, horizon, |n, from| (from..=n).find(|k| test.evidence(*k, n) >= mark).unwrap_or(n + 1))
}

/// The relative test, for a new arm with this share of the requests whose true relative risk is `risk`, looked at
/// after every error up to a horizon of errors on both arms.
pub fn relative(share: f64, risk: f64, alpha: f64, horizon: u64) -> Calibration {
    let mark = firing(alpha);
    let evidence = |k, errors| {
        let mut sums = Relative::default();
        sums.add(share, k, errors, 1.0);
        sums.evidence()
    };
    let rate = share * risk / (share * risk + 1.0 - share);
    carry_on(rate, horizon, |n, from| (from..=n).find(|k| evidence(*k, n) >= mark).unwrap_or(n + 1))
}

/// The rule that people write first: the share of errors so far against the limit, every so many requests.
pub fn naive_cumulative(rate: f64, limit: f64, every: u64, horizon: u64) -> Calibration {
    carry_on(rate, horizon, |n, _| if n % every == 0 { (limit * n as f64) as u64 + 1 } else { n + 1 })
}

/// The same rule on every window by itself: the probability that some window shows more than the limit.
pub fn naive_windows(rate: f64, limit: f64, requests: u64, windows: i32) -> f64 {
    let one =
        carry_on(rate, requests, |n, _| if n == requests { (limit * n as f64) as u64 + 1 } else { n + 1 });
    1.0 - (1.0 - one.fires).powi(windows)
}
