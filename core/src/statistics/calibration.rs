//! Calibration: the probability that the tests fire, computed exactly. The distribution of the
//! counts is propagated from trial to trial, and the mass that reaches the threshold is removed.
//! Without simulation there is no simulation error.

pub mod experiments;

use crate::statistics::{
    event::{MIN_EVENT_USERS, comparison},
    levels::firing,
    threshold::Threshold,
};
use std::{fmt, fmt::Write};

/// Behaviour of a test that is evaluated after every trial up to a horizon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Probability that it fires.
    pub fires: f64,
    /// Mean number of trials after which it fires, given that it does.
    pub mean_trials: f64,
}

/// Propagates a distribution of counts. `mark(n, from)` is the smallest count that fires after `n`
/// trials, given that none below `from` does.
fn carry_on(rate: f64, horizon: u64, mut mark: impl FnMut(u64, u64) -> u64) -> Calibration {
    let (mut fires, mut weighted) = (0.0, 0.0);
    let mut alive: Vec<f64> = vec![1.0];
    let mut smallest = 1;
    for n in 1..=horizon {
        alive.push(0.0);
        for k in (1..alive.len()).rev() {
            let below = alive.get(k - 1).copied().unwrap_or_default();
            if let Some(mass) = alive.get_mut(k) {
                *mass = *mass * (1.0 - rate) + below * rate;
            }
        }
        if let Some(none) = alive.first_mut() {
            *none *= 1.0 - rate;
        }
        smallest = mark(n, smallest);
        let keep = usize::try_from(smallest).unwrap_or(usize::MAX).min(alive.len());
        let gone: f64 = alive.drain(keep..).sum();
        fires += gone;
        weighted += gone * n as f64;
    }
    Calibration { fires, mean_trials: if fires > 0.0 { weighted / fires } else { f64::NAN } }
}

/// Calibrates the threshold test of a limit, for a canary whose true rate is `rate`.
pub fn threshold(rate: f64, limit: f64, alpha: f64, horizon: u64) -> Calibration {
    let (test, mark) = (Threshold::above(limit, alpha), firing(alpha));
    carry_on(rate, horizon, |n, from| (from..=n).find(|k| test.evidence(*k, n) >= mark).unwrap_or(n + 1))
}

/// Calibrates the comparison of users with an event, for a new arm with this share of the users
/// whose true relative risk is `risk`. It is evaluated after every user with an event, up to a
/// horizon of users on both arms.
pub fn events(share: f64, tolerated_risk: f64, risk: f64, alpha: f64, horizon: u64) -> Calibration {
    let (test, mark) = (comparison(share, tolerated_risk), firing(alpha));
    let fires = |k, n| test.is_some_and(|test| test.evidence(k, n) >= mark);
    let rate = share * risk / (share * risk + 1.0 - share);
    carry_on(rate, horizon, |n, from| (from.max(MIN_EVENT_USERS)..=n).find(|k| fires(*k, n)).unwrap_or(n + 1))
}

/// Calibrates the common naive rule: compares the error rate so far with the limit, after every
/// `every` requests.
pub fn naive_cumulative(rate: f64, limit: f64, every: u64, horizon: u64) -> Calibration {
    carry_on(rate, horizon, |n, _| if n % every == 0 { (limit * n as f64) as u64 + 1 } else { n + 1 })
}

/// Returns the probability that the naive rule fires in some window, if it is applied to every
/// window separately.
pub fn naive_windows(rate: f64, limit: f64, requests: u64, windows: i32) -> f64 {
    let one =
        carry_on(rate, requests, |n, _| if n == requests { (limit * n as f64) as u64 + 1 } else { n + 1 });
    1.0 - (1.0 - one.fires).powi(windows)
}

/// Returns the tables of `docs/calibration.md`.
pub fn report() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = threshold_table(&mut text)
        .and_then(|()| event_table(&mut text))
        .and_then(|()| naive_table(&mut text));
    text
}

/// Returns the tables of `docs/calibration.md` on experiments.
pub fn report_on_experiments() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = experiments::report(&mut text);
    text
}

fn threshold_table(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "| true error rate, limit 10 %, level 5 % | rolled back | mean requests until rollback |"
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

fn event_table(text: &mut String) -> fmt::Result {
    let cases = [(1.0, 1.0), (1.25, 1.0), (1.25, 1.25), (1.25, 2.0), (1.25, 3.0), (1.25, 5.0)];
    write!(text, "| share of the new arm, level 5 % |")?;
    for (tolerated, risk) in cases {
        write!(text, " risk {risk}, {tolerated} tolerated |")?;
    }
    writeln!(text, "\n|---|---|---|---|---|---|---|")?;
    for share in [0.01, 0.10, 0.50, 0.90] {
        write!(text, "| {:.0} % |", share * 100.0)?;
        for (tolerated, risk) in cases {
            write!(text, " {:.4} |", events(share, tolerated, risk, 0.05, 1_000).fires)?;
        }
        writeln!(text)?;
    }
    writeln!(text)
}

fn naive_table(text: &mut String) -> fmt::Result {
    writeln!(text, "| rule for a limit of 10 % | true error rate | rolled back |")?;
    writeln!(text, "|---|---|---|")?;
    let windows = naive_windows(0.02, 0.10, 36, 60);
    writeln!(text, "| any of 60 windows of 36 requests above it | 2 % | {windows:.4} |")?;
    let cumulative = naive_cumulative(0.05, 0.10, 20, 3_000).fires;
    writeln!(text, "| rate so far above it, checked every 20 requests | 5 % | {cumulative:.4} |")?;
    for (rate, name) in [(0.02, "2 %"), (0.05, "5 %")] {
        let ours = threshold(rate, 0.10, 0.05, 3_000).fires;
        let ours = if ours < 1e-5 { "less than 0.00001".to_owned() } else { format!("{ours:.4}") };
        writeln!(text, "| ours, checked after every request | {name} | {ours} |")?;
    }
    Ok(())
}
