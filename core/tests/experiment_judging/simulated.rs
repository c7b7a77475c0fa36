//! The whole judgement on simulated experiments: split, guardrail, conversions, and looks on every day.

use super::{ERRORS, PURCHASE, design, is_deep};
use cutover_core::{
    experiment::{Conclusion, Design, Figures, Judgement, MetricSums, VariantSums},
    statistics::split_mix::SplitMix64,
};

const DAYS: usize = 60;

const DAY_S: i64 = 24 * 60 * 60;

/// Mean number of days from the exposure to the conversion.
const DELAY_DAYS: f64 = 15.0;

/// A simulated experiment: users by day, and the rates of each variant.
struct Scenario<'s> {
    weights: &'s [u32],
    /// Weights by which users are really divided.
    true_weights: &'s [u32],
    users_a_day: usize,
    conversion_rates: &'s [f64],
    error_rates: &'s [f64],
}

/// Parts of the experiments that came to each conclusion at some look.
#[derive(Debug, Default)]
struct Conclusions {
    ready: u64,
    off: u64,
    hidden: u64,
}

fn uniform(random: &mut SplitMix64) -> f64 {
    (random.draw() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Counts one more of a day's users or events.
fn count(days: &mut [u64], day: f64) {
    if let Some(held) = days.get_mut(day as usize) {
        *held += 1;
    }
}

/// Events by day of one variant: exposures, conversions, errors.
type Days = [Vec<u64>; 3];

fn simulated(scenario: &Scenario<'_>, random: &mut SplitMix64) -> Vec<Days> {
    let mut variants: Vec<Days> = scenario.weights.iter().map(|_| [(); 3].map(|()| vec![0; DAYS])).collect();
    for user in 0..scenario.users_a_day * DAYS {
        let begin = user as f64 / scenario.users_a_day as f64;
        let mut place = uniform(random) * 100.0;
        let variant = scenario.true_weights.iter().position(|weight| {
            place -= f64::from(*weight);
            place < 0.0
        });
        let Some(variant) = variant else { continue };
        let [exposed, converted, failed] = &mut variants[variant];
        count(exposed, begin);
        let delay = -DELAY_DAYS * (1.0 - uniform(random)).ln();
        if uniform(random) < scenario.conversion_rates[variant] {
            count(converted, begin + delay);
        }
        if uniform(random) < scenario.error_rates[variant] {
            count(failed, begin + uniform(random));
        }
    }
    variants
}

fn conclusions(scenario: &Scenario<'_>, runs: u64) -> Conclusions {
    let mut design = design(scenario.weights);
    // As early as can be, and never the end: the most looks.
    design.rules.min_days = 1;
    let mut found = Conclusions::default();
    for run in 0..runs {
        let variants = simulated(scenario, &mut SplitMix64::new(run));
        let (mut ready, mut off, mut hidden) = (false, false, false);
        for day in 0..DAYS {
            let figures = figures_of(&design, &variants, day);
            match Judgement::of(&design, &figures, (day as i64 + 1) * DAY_S).conclusion {
                Conclusion::Ready { .. } => ready = true,
                Conclusion::Off { .. } => off = true,
                Conclusion::Hidden { .. } => hidden = true,
                _ => {}
            }
        }
        found.ready += u64::from(ready);
        found.off += u64::from(off);
        found.hidden += u64::from(hidden);
    }
    println!("{runs} runs: {found:?}");
    found
}

/// Returns the figures at the end of a day. Windows play no part here.
fn figures_of(design: &Design, variants: &[Days], day: usize) -> Figures {
    let so_far = |days: &Vec<u64>| days[..=day].iter().sum::<u64>();
    let sums = |[exposed, converted, failed]: &Days| {
        let mut metrics = vec![MetricSums::default(); design.metrics.len()];
        metrics[usize::from(PURCHASE)].with_event = so_far(converted);
        metrics[usize::from(ERRORS)].with_event = so_far(failed);
        VariantSums { users: so_far(exposed), metrics }
    };
    let running: Vec<VariantSums> = variants.iter().map(sums).collect();
    Figures { matured: running.clone(), running, ..Figures::default() }
}

fn runs() -> u64 {
    if is_deep() { 4_000 } else { 150 }
}

/// Returns the number of runs that a level allows, with three standard deviations for chance.
fn allowed(level: f64) -> u64 {
    let mean = level * runs() as f64;
    (mean + 3.0 * mean.sqrt()) as u64
}

#[test]
fn alike_variants_are_rarely_found_different() {
    for (weights, conversion, error) in
        [(&[50, 50][..], 0.2, 0.05), (&[90, 10][..], 0.2, 0.05), (&[40, 30, 30][..], 0.1, 0.3)]
    {
        let scenario = Scenario {
            weights,
            true_weights: weights,
            users_a_day: 70,
            conversion_rates: &vec![conversion; weights.len()],
            error_rates: &vec![error; weights.len()],
        };
        let found = conclusions(&scenario, runs());
        assert!(found.ready <= allowed(0.05), "{weights:?}: {found:?}");
        assert!(found.off <= allowed(0.01), "{weights:?}: {found:?}");
        // One pair of a variant and control has the level .001.
        assert!(found.hidden <= allowed(0.001 * (weights.len() - 1) as f64), "{weights:?}: {found:?}");
    }
}

#[test]
fn twice_the_conversions_are_found() {
    let scenario = Scenario {
        weights: &[40, 30, 30],
        true_weights: &[40, 30, 30],
        users_a_day: 70,
        conversion_rates: &[0.1, 0.1, 0.2],
        error_rates: &[0.05; 3],
    };
    let found = conclusions(&scenario, runs());
    assert!(found.ready * 100 >= runs() * 90, "{found:?}");
}

#[test]
fn twice_the_errors_switch_off() {
    let scenario = Scenario {
        weights: &[50, 50],
        true_weights: &[50, 50],
        users_a_day: 70,
        conversion_rates: &[0.1; 2],
        error_rates: &[0.05, 0.1],
    };
    let found = conclusions(&scenario, runs());
    assert!(found.off * 100 >= runs() * 90, "{found:?}");
}

#[test]
fn a_wrong_split_is_found() {
    let scenario = Scenario {
        weights: &[50, 50],
        true_weights: &[44, 56],
        users_a_day: 70,
        conversion_rates: &[0.1; 2],
        error_rates: &[0.05; 2],
    };
    let found = conclusions(&scenario, runs());
    assert!(found.hidden * 100 >= runs() * 90, "{found:?}");
}
