//! How often the tests fire, computed exactly: the distribution of the counts is carried on from trial to trial, and
//! what reaches the mark is taken out. No simulation, so no error of simulation.

use super::{Relative, Threshold, firing};
use std::fmt::{self, Write};

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

/// The tables of docs/calibration.md.
pub fn report() -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = threshold_table(&mut text)
        .and_then(|()| relative_table(&mut text))
        .and_then(|()| naive_table(&mut text));
    text
}

fn threshold_table(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "| true error rate, limit 10 %, level 5 % | taken back | after so many requests, on the mean |"
    )?;
    writeln!(text, "|---|---|---|")?;
    for rate in [0.05, 0.10, 0.12, 0.15, 0.20, 0.30, 0.50] {
        let Calibration { fires, mean_trials } = threshold(rate, 0.10, 0.05, 3_000);
        let mean = if fires < 1e-5 { "-".to_owned() } else { format!("{mean_trials:.1}") };
        let fires = if fires < 1e-5 { "less than 0.00001".to_owned() } else { format!("{fires:.4}") };
        writeln!(text, "| {:.0} % | {fires} | {mean} |", rate * 100.0)?;
    }
    writeln!(text)
}

fn relative_table(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "| share of the new arm, level 5 % | risk as legacy's | twice | three times | five times |"
    )?;
    writeln!(text, "|---|---|---|---|---|")?;
    for share in [0.01, 0.10, 0.50] {
        write!(text, "| {:.0} % |", share * 100.0)?;
        for risk in [1.0, 2.0, 3.0, 5.0] {
            write!(text, " {:.4} |", relative(share, risk, 0.05, 1_000).fires)?;
        }
        writeln!(text)?;
    }
    writeln!(text)
}

fn naive_table(text: &mut String) -> fmt::Result {
    writeln!(text, "| rule for a limit of 10 % | true error rate | taken back |")?;
    writeln!(text, "|---|---|---|")?;
    let windows = naive_windows(0.02, 0.10, 36, 60);
    writeln!(text, "| some window of 36 requests above it, 60 windows | 2 % | {windows:.4} |")?;
    let cumulative = naive_cumulative(0.05, 0.10, 20, 3_000).fires;
    writeln!(text, "| all so far above it, looked at every 20 requests | 5 % | {cumulative:.4} |")?;
    for (rate, name) in [(0.02, "2 %"), (0.05, "5 %")] {
        let ours = threshold(rate, 0.10, 0.05, 3_000).fires;
        let ours = if ours < 1e-5 { "less than 0.00001".to_owned() } else { format!("{ours:.4}") };
        writeln!(text, "| ours, looked at after every request | {name} | {ours} |")?;
    }
    Ok(())
}
