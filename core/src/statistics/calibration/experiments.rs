//! Calibration of the tests of experiments: the split test exactly, and beside the usual rules on simulated users who arrive and
//! convert with a delay.

use crate::statistics::{
    Estimate, Interval, IntervalSettings, Scale, firing, split_evidence, split_mix::SplitMix64,
};
use std::{fmt, fmt::Write};

/// Units that the mixture of the test of conversions stands for.
pub const CONVERSION_STRENGTH: f64 = 500.0;

/// Level of all tables of this page.
const LEVEL: f64 = 0.05;

/// Days of a simulated experiment.
const DAYS: usize = 60;

/// Users of a simulated experiment.
const USERS: u32 = 4_000;

/// Days after which a user's outcome is final for the interval on matured users.
const MATURE_DAYS: usize = 7;

/// Mean number of days from the exposure to the conversion.
const DELAY_DAYS: f64 = 15.0;

/// Simulated experiments per line of the table.
const RUNS: u64 = 400;

/// Computes the probability that the split test ever fires within `horizon` first conversions, evaluated after every
/// `every` of them. `weight` is the treatment's configured share, `share` its true share of the conversions.
pub fn split(weight: f64, share: f64, every: u64, horizon: u64) -> f64 {
    let mark = firing(LEVEL);
    let fires = |c, n| split_evidence(c, n, weight, CONVERSION_STRENGTH) >= mark;
    // Mass by the number of conversions of the treatment.
    let mut alive = vec![1.0_f64];
    let mut fired = 0.0;
    for n in 1..=horizon {
        alive.push(0.0);
        for c in (0..alive.len()).rev() {
            let below = c.checked_sub(1).and_then(|c| alive.get(c)).copied().unwrap_or_default();
            if let Some(mass) = alive.get_mut(c) {
                *mass = *mass * (1.0 - share) + below * share;
            }
        }
        if n % every != 0 {
            continue;
        }
        // The evidence falls towards the configured share and rises beyond it: only the two ends fire.
        let mut take_end = |ends: &mut dyn Iterator<Item = (u64, &mut f64)>| {
            for (_, mass) in ends.take_while(|(c, _)| fires(*c, n)) {
                fired += std::mem::take(mass);
            }
        };
        take_end(&mut (0..).zip(alive.iter_mut()));
        take_end(&mut alive.iter_mut().rev().zip(0..).map(|(mass, from_the_end)| (n - from_the_end, mass)));
    }
    fired
}

/// When the users of a simulated experiment arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// As many on each day.
    Steady,
    /// All of them on the first day.
    FirstDay,
}

/// Share of simulated experiments in which each rule finds a difference at some look.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Findings {
    /// A z-test of two shares, looked at every day.
    pub daily_z: f64,
    /// The same test, looked at once, on the last day.
    pub final_z: f64,
    /// The interval on all users so far.
    pub running: f64,
    /// The interval on users whose outcome is final.
    pub matured: f64,
    /// The split test of first conversions.
    pub split: f64,
}

/// Cumulative users and conversions of one variant by day.
#[derive(Debug, Clone)]
struct Days {
    users: [u64; DAYS],
    conversions: [u64; DAYS],
    matured: [u64; DAYS],
    converted: [u64; DAYS],
}

impl Default for Days {
    fn default() -> Self {
        let none = [0; DAYS];
        Self { users: none, conversions: none, matured: none, converted: none }
    }
}

impl Days {
    fn count(days: &mut [u64; DAYS], day: usize) {
        if let Some(count) = days.get_mut(day) {
            *count += 1;
        }
    }

    fn accumulate(&mut self) {
        for days in [&mut self.users, &mut self.conversions, &mut self.matured, &mut self.converted] {
            let mut sum = 0;
            for day in days {
                sum += *day;
                *day = sum;
            }
        }
    }
}

/// Simulates experiments with two equal variants: one user in five of control converts, and `lift` times as many of
/// the treatment.
pub fn simulate(arrival: Arrival, lift: f64, runs: u64) -> Findings {
    let mut sums = Findings::default();
    for run in 0..runs {
        let found = one_run(arrival, lift, run);
        sums.daily_z += found.daily_z;
        sums.final_z += found.final_z;
        sums.running += found.running;
        sums.matured += found.matured;
        sums.split += found.split;
    }
    let part = |sum| sum / runs as f64;
    Findings {
        daily_z: part(sums.daily_z),
        final_z: part(sums.final_z),
        running: part(sums.running),
        matured: part(sums.matured),
        split: part(sums.split),
    }
}

fn one_run(arrival: Arrival, lift: f64, seed: u64) -> Findings {
    let mut random = SplitMix64::new(seed);
    let mut draw = move || (random.draw() >> 11) as f64 / (1_u64 << 53) as f64;
    let (mut control, mut treatment) = (Days::default(), Days::default());
    for user in 0..USERS {
        let begin = match arrival {
            Arrival::Steady => DAYS as f64 * f64::from(user) / f64::from(USERS),
            Arrival::FirstDay => draw(),
        };
        let (variant, rate) = if draw() < 0.5 { (&mut control, 0.2) } else { (&mut treatment, 0.2 * lift) };
        let delay = -DELAY_DAYS * libm::log(1.0 - draw());
        let is_converted = draw() < rate;
        let begin_day = begin as usize;
        Days::count(&mut variant.users, begin_day);
        Days::count(&mut variant.matured, begin_day + MATURE_DAYS);
        if is_converted {
            Days::count(&mut variant.conversions, (begin + delay) as usize);
            if delay < MATURE_DAYS as f64 {
                Days::count(&mut variant.converted, begin_day + MATURE_DAYS);
            }
        }
    }
    control.accumulate();
    treatment.accumulate();
    judge(&control, &treatment)
}

fn judge(control: &Days, treatment: &Days) -> Findings {
    let settings = IntervalSettings { level: LEVEL, tuned_for: u64::from(USERS), scale: Scale::Absolute };
    let at = |days: &[u64; DAYS], day: usize| days.get(day).copied().unwrap_or_default();
    let is_apart = |control: Option<Estimate>, treatment: Option<Estimate>| {
        let interval = Interval::between(&control?, &treatment?, settings)?;
        Some(interval.low > 0.0 || interval.high < 0.0)
    };
    let mut found = Findings::default();
    let note = |place: &mut f64, is_found: bool| {
        if is_found {
            *place = 1.0;
        }
    };
    for day in 0..DAYS {
        let running = |days: &Days| Estimate::of_share(at(&days.conversions, day), at(&days.users, day));
        let matured = |days: &Days| Estimate::of_share(at(&days.converted, day), at(&days.matured, day));
        let z = z_of(running(control), running(treatment)).is_some_and(|z| z > 1.959_963_984_540_054);
        note(&mut found.daily_z, z);
        if day == DAYS - 1 {
            note(&mut found.final_z, z);
        }
        note(&mut found.running, is_apart(running(control), running(treatment)) == Some(true));
        note(&mut found.matured, is_apart(matured(control), matured(treatment)) == Some(true));
        let (c, t) = (at(&control.conversions, day), at(&treatment.conversions, day));
        note(&mut found.split, split_evidence(t, c + t, 0.5, CONVERSION_STRENGTH) >= firing(LEVEL));
    }
    found
}

/// Returns the distance of two shares in standard errors.
fn z_of(control: Option<Estimate>, treatment: Option<Estimate>) -> Option<f64> {
    let (control, treatment) = (control?, treatment?);
    let variance = control.variance / control.users as f64 + treatment.variance / treatment.users as f64;
    (variance > 0.0).then(|| (treatment.mean - control.mean).abs() / libm::sqrt(variance))
}

/// Writes the tables of `docs/calibration.md` on experiments.
pub(super) fn report(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "| weight of the treatment | lift of the conversions | at every conversion | at every 50th |"
    )?;
    writeln!(text, "|---|---|---|---|")?;
    for weight in [0.1, 0.5] {
        for lift in [1.0, 1.1, 1.25, 1.5] {
            let share = weight * lift / (weight * lift + 1.0 - weight);
            let (every, rarely) = (split(weight, share, 1, 1_000), split(weight, share, 50, 1_000));
            writeln!(text, "| {:.0} % | {lift} | {every:.4} | {rarely:.4} |", weight * 100.0)?;
        }
    }
    writeln!(text)?;
    writeln!(
        text,
        "| arrival, lift | z-test every day | z-test once, at the end | interval, all users | interval, final outcomes | split test |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    for (arrival, name) in [(Arrival::Steady, "steady"), (Arrival::FirstDay, "first day")] {
        for lift in [1.0, 1.25, 1.5] {
            let Findings { daily_z, final_z, running, matured, split } = simulate(arrival, lift, RUNS);
            writeln!(
                text,
                "| {name}, {lift} | {daily_z:.3} | {final_z:.3} | {running:.3} | {matured:.3} | {split:.3} |"
            )?;
        }
    }
    writeln!(text)
}
