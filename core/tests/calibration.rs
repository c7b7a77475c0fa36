//! False-alarm rates of the statistical tests, computed exactly, with an evaluation after every
//! trial; and those of the whole evaluator, simulated. The levels of the simulation are asserted by the
//! test that only a deep run has time for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use cutover_core::{
    PartsPerMillion, Timestamp,
    canary::{
        Reason, Run, RunIdentity,
        plan::{AfterStepPolicy, CanaryPlan, Criteria, Options, RelativePolicy},
        simulation::{
            Affected, Bot, Ending, Fault, Isolates, OldSnapshots, Scenario, Seeds, Symptom, TimeLimits,
            simulate,
        },
    },
    statistics::{
        calibration::{events, naive_cumulative, naive_windows, threshold},
        event_evidence, firing,
    },
};
use std::ops::Range;

const SHARES: [u32; 5] = [1, 5, 25, 50, 90];

/// Level of a step: the default of plans.
const LEVEL: f64 = 0.01;

fn near(actual: f64, expected: f64, tolerance: f64, name: &str) {
    println!("{name}: {actual:.5}, published {expected}");
    assert!((actual - expected).abs() <= tolerance, "{name}: {actual}, expected {expected}");
}

#[test]
fn the_published_figures_of_the_threshold_test() {
    near(threshold(0.10, 0.10, 0.05, 3_000).fires, 0.0311, 1e-4, "rolled back at the limit");
    assert!(threshold(0.05, 0.10, 0.05, 3_000).fires < 1e-5);
    near(threshold(0.20, 0.10, 0.05, 3_000).mean_trials, 106.7, 0.1, "requests at twice the limit");
    near(threshold(0.50, 0.10, 0.05, 3_000).mean_trials, 19.3, 0.1, "requests at five times the limit");
}

#[test]
fn the_published_figures_of_the_event_comparison() {
    let published = [
        (0.01, "0.0151", "0.0164"),
        (0.10, "0.0290", "0.0317"),
        (0.50, "0.0363", "0.0375"),
        (0.90, "0.0446", "0.0448"),
    ];
    for (share, no_worse, a_quarter_worse) in published {
        for (risk, expected) in [(1.0, no_worse), (1.25, a_quarter_worse)] {
            let fires = events(share, risk, risk, 0.05, 1_000).fires;
            assert_eq!(format!("{fires:.4}"), expected, "share {share}, tolerated risk {risk}");
        }
    }
}

#[test]
fn a_comparison_does_not_fire_with_fewer_than_three_users() {
    // Two of two on an arm of a millionth are evidence enough, but not users enough.
    assert!(event_evidence(1e-6, 1.25, 2, 2) > firing(0.05));
    assert!(events(1e-6, 1.25, 1e9, 0.05, 2).fires.abs() < 1e-12);
    assert!(events(1e-6, 1.25, 1e9, 0.05, 3).fires > 0.99);
}

#[test]
fn one_arm_alone_is_not_compared() {
    for share in [0.0, 1.0] {
        assert!(events(share, 1.25, 5.0, 0.05, 100).fires.abs() < 1e-12, "share {share}");
    }
}

#[test]
fn no_test_fires_in_vain_more_often_than_its_level() {
    for alpha in [0.05, 0.01, 0.0025] {
        for limit in [0.01, 0.05, 0.10, 0.50] {
            let fires = threshold(limit, limit, alpha, 2_000).fires;
            assert!(fires <= alpha, "limit {limit}, level {alpha}: {fires}");
        }
        for share in [0.01, 0.10, 0.50, 0.90] {
            for risk in [1.0, 1.25, 2.0] {
                let fires = events(share, risk, risk, alpha, 1_000).fires;
                assert!(fires <= alpha, "share {share}, tolerated risk {risk}, level {alpha}: {fires}");
            }
        }
    }
}

#[test]
fn the_naive_rules_beside_them() {
    near(naive_windows(0.02, 0.10, 36, 60), 0.288, 1e-3, "any of 60 windows above 10 % at a true 2 %");
    near(
        naive_cumulative(0.05, 0.10, 20, 3_000).fires,
        0.112,
        1e-3,
        "cumulative, checked every 20 requests at a true 5 %",
    );
}

#[test]
fn the_published_tables_are_what_is_computed() {
    let published = include_str!("../../docs/calibration.md");
    let computed = cutover_core::statistics::calibration::report();
    assert!(published.contains(computed.trim()), "update docs/calibration.md with:\n{computed}");
}

/// Starts a run whose only step has this share of the new arm, in percent. A comparison that fires
/// rolls it back; a shared incident never does, however soon after the step it begins.
fn run(share: u32) -> Run {
    let limits =
        |max_error_rate| Criteria { max_error_rate, max_response_time_p95: 1_000.0, max_mismatch_rate: None };
    let plan = CanaryPlan {
        initial_percentage: PartsPerMillion::of_percent(share),
        promotion_steps: Vec::new(),
        step_duration_minutes: 60.0,
        success_criteria: limits(0.05),
        rollback_criteria: limits(0.10),
        options: Options {
            relative: RelativePolicy::Rollback,
            shared_incident_after_step: AfterStepPolicy::Hold,
            ..Options::default()
        },
    };
    let identity = RunIdentity { id: "r1".parse().unwrap(), key: Some("0".repeat(32)) };
    let now = Timestamp::from_millis(1_700_000_000_000);
    Run::start(identity, "flag".parse().unwrap(), plan, now, "operator")
}

fn endings(run: &Run, scenario: &Scenario, seeds: Range<u64>) -> Vec<Ending> {
    seeds.map(|seed| simulate(run, scenario, Seeds::of(seed))).collect()
}

fn assert_kept(run: &Run, scenario: &Scenario, seeds: Range<u64>) {
    for (seed, ending) in seeds.clone().zip(endings(run, scenario, seeds)) {
        assert_eq!(ending.rolled_back, None, "{} at seed {seed}, {scenario:?}", run.share());
    }
}

/// Users who fail with this probability, whichever backend answers.
fn failing(users: u32, requests: f64) -> Vec<Fault> {
    vec![Fault::of_both(Symptom::Error, requests).for_users(Affected::Random(users))]
}

/// A part of an hour, so that a debug build has time for it.
fn short(minutes: u32, faults: Vec<Fault>) -> Scenario {
    Scenario { minutes, faults, ..Scenario::default() }
}

#[test]
fn simulated_identical_backends_are_not_rolled_back() {
    for share in SHARES {
        for (faults, seed) in [Vec::new(), failing(5, 1.0), failing(20, 0.5)].into_iter().zip(0_u64..) {
            let scenario = Scenario { requests_per_second: 20, ..short(10, faults) };
            assert_kept(&run(share), &scenario, seed..seed + 1);
        }
    }
}

#[test]
fn simulated_bots_thinned_users_and_old_snapshots_do_not_roll_back() {
    let bot = Some(Bot { requests_per_second: 5, failing: 0.2 });
    assert_kept(&run(5), &Scenario { bot, ..short(5, failing(5, 1.0)) }, 0..2);
    // More than 4 096 users have an event.
    let crowd = Scenario { users: 20_000, ..short(6, vec![Fault::of_both(Symptom::NotFound, 1.0)]) };
    assert_kept(&run(50), &crowd, 0..1);
    let old = OldSnapshots { share: PartsPerMillion::of_percent(5), until_ms: 30_000 };
    let lowered = Scenario { old_snapshots: Some(old), ..short(3, failing(20, 1.0)) };
    assert_kept(&run(1), &lowered, 0..4);
}

#[test]
fn simulated_gross_faults_are_rolled_back_within_a_minute() {
    for policy in [RelativePolicy::Rollback, RelativePolicy::Hold] {
        for share in [5, 50, 100] {
            for requests in [0.5, 1.0] {
                let mut run = run(share);
                run.plan.options.relative = policy;
                let faults = vec![Fault::of_new(Symptom::Error, requests, 3)];
                let scenario = Scenario { windows_per_tick: 1, ..short(6, faults) };
                let ending = simulate(&run, &scenario, Seeds::of(1));
                let found = ending.rolled_back.unwrap_or_else(|| panic!("{share} %, {requests}, {policy:?}"));
                assert!(
                    (0.0..=60.0).contains(&found.seconds),
                    "{share} %, {requests}, {policy:?}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn simulated_faults_of_client_errors_are_rolled_back() {
    let lost_token = Fault::of_new(Symptom::Unauthorized, 1.0, 0).for_users(Affected::Random(200));
    let missing = Fault::of_new(Symptom::NotFound, 1.0, 0);
    for fault in [lost_token, missing] {
        // Many users have a 404 anyway.
        let anyway = Fault::of_both(Symptom::NotFound, 0.1).for_users(Affected::Random(800));
        let scenario = short(8, vec![fault, anyway]);
        let ending = simulate(&run(25), &scenario, Seeds::of(1));
        assert!(ending.rolled_back.is_some(), "{fault:?}");
    }
}

#[test]
fn simulated_shared_incidents_hold() {
    for share in [10, 50] {
        for requests in [0.3, 1.0] {
            let incident = Fault::of_both(Symptom::Error, requests).from_minute(2);
            for ending in endings(&run(share), &short(5, vec![incident]), 0..2) {
                assert_eq!((ending.rolled_back, ending.shared), (None, true), "{share} %, {requests}");
            }
        }
    }
}

#[test]
fn simulated_shared_incidents_end_by_themselves() {
    for share in [10, 50] {
        for requests in [0.3, 1.0] {
            let incident = Fault::of_both(Symptom::Error, requests).from_minute(2).until_minute(8);
            for ending in endings(&run(share), &short(13, vec![incident]), 0..1) {
                let (rolled_back, reason) = (ending.rolled_back, ending.reason);
                assert_eq!((rolled_back, ending.shared), (None, true), "{share} %, {requests}");
                assert_ne!(
                    reason,
                    Reason::SharedIncident,
                    "{share} %, {requests}: five minutes after its end"
                );
            }
        }
    }
}

/// The users behind an alarm are known after the incident, when the detector suspects nothing any more.
#[test]
fn simulated_short_shared_incidents_do_not_roll_back() {
    for seconds in [10, 20] {
        for limit_ms in [1_000, 10_000, 30_000] {
            let incident = Fault::of_both(Symptom::Error, 0.3).from_minute(2);
            let incident = Fault { until_ms: incident.from_ms + seconds * 1_000, ..incident };
            let time_limits = TimeLimits { new_ms: limit_ms, legacy_ms: limit_ms };
            let scenario = Scenario { time_limits, windows_per_tick: 1, ..short(5, vec![incident]) };
            for share in [10, 50] {
                assert_kept(&run(share), &scenario, 0..1);
            }
        }
    }
}

/// An outage of both backends, with time limits of 1 s and 5 s, that begins so many milliseconds after
/// an event window.
fn outage(new_ms: i64, legacy_ms: i64, phase_ms: i64) -> Scenario {
    let fault = Fault::of_both(Symptom::Timeout, 1.0).from_minute(2).until_minute(3);
    Scenario {
        phase_ms: Some(phase_ms),
        time_limits: TimeLimits { new_ms, legacy_ms },
        windows_per_tick: 1,
        ..short(4, vec![fault])
    }
}

#[test]
fn simulated_lateness_by_time_limits_does_not_roll_back() {
    for share in [10, 50] {
        // Both arms' first timeouts arrive in one window.
        assert_kept(&run(share), &outage(1_000, 5_000, 0), 0..1);
        assert_kept(&run(share), &outage(5_000, 1_000, 0), 0..1);
    }
}

/// The first timeouts of the new arm arrive in the window before those of legacy, which looks healthy
/// as long as nothing later is known.
#[test]
fn simulated_lateness_across_windows_does_not_roll_back() {
    for phase_ms in [3_500, 4_000, 4_500] {
        assert_kept(&run(50), &outage(1_000, 5_000, phase_ms), 0..2);
    }
}

/// A scenario with these time limits and eight isolates. Six of them rest now and then, and report users of windows that
/// are not ripe; those in which requests hang do not.
fn at_rest(new_ms: i64, legacy_ms: i64, scenario: Scenario) -> Scenario {
    Scenario {
        requests_per_second: 20,
        time_limits: TimeLimits { new_ms, legacy_ms },
        isolates: Some(Isolates { busy: 2, resting: 6, resting_part: 0.05 }),
        ..scenario
    }
}

/// Pairs of long time limits of the new arm and of legacy, in milliseconds.
const LONG_LIMITS: [(i64, i64); 4] = [(10_000, 10_000), (30_000, 30_000), (10_000, 30_000), (30_000, 10_000)];

/// An outage of both backends from the second to the fourth minute, in which every request hangs.
fn hanging() -> Vec<Fault> {
    vec![Fault::of_both(Symptom::Timeout, 1.0).from_minute(2).until_minute(4)]
}

#[test]
fn simulated_isolates_that_rest_do_not_roll_back() {
    for (new_ms, legacy_ms) in LONG_LIMITS {
        for faults in [failing(20, 0.5), hanging()] {
            assert_kept(&run(50), &at_rest(new_ms, legacy_ms, short(7, faults)), 0..1);
        }
    }
}

#[test]
fn simulated_isolates_that_rest_report_a_fault() {
    let faults = vec![Fault::of_new(Symptom::Error, 0.5, 2)];
    let ending = simulate(&run(50), &at_rest(10_000, 30_000, short(5, faults)), Seeds::of(1));
    assert!(ending.rolled_back.is_some_and(|found| found.seconds > 0.0), "{ending:?}");
}

/// The errors of a user are learned later than the requests are counted. Until then nothing can be
/// taken out of an alarm.
#[test]
fn simulated_busiest_user_who_always_fails_does_not_roll_back() {
    let busiest = Fault::of_both(Symptom::Error, 1.0).for_users(Affected::Busiest(1));
    // From the start of the step, and later, when the detector is the first to notice.
    for fault in [busiest, busiest.from_minute(2)] {
        let scenario = Scenario { windows_per_tick: 1, ..short(4, vec![fault]) };
        assert_kept(&run(50), &scenario, 0..6);
    }
}

/// Returns the largest number of events in so many trials that is not a surprise: more have a
/// probability below 0.001.
fn most(trials: usize, level: f64) -> usize {
    let (mut count, mut mass) = (0, (1.0 - level).powi(i32::try_from(trials).unwrap()));
    let mut below = mass;
    while below < 0.999 {
        mass *= (trials - count) as f64 / (count + 1) as f64 * level / (1.0 - level);
        below += mass;
        count += 1;
    }
    count
}

#[test]
fn most_is_a_quantile_of_the_binomial_distribution() {
    // From tables: P(X <= 1) = 0.9958 and P(X <= 2) = 0.9999 of 10 trials at 0.01.
    assert_eq!((most(10, 0.01), most(0, 0.01)), (2, 0));
    assert_eq!(most(100, 0.5), 65, "P(X <= 65) = 0.9991, P(X <= 64) = 0.9982");
}

fn assert_level(name: &str, level: f64, endings: &[Ending]) {
    let count = endings.iter().filter(|ending| ending.rolled_back.is_some()).count();
    println!("{name}: {count} of {} rolled back", endings.len());
    assert!(count <= most(endings.len(), level), "{name}: {count} of {}, level {level}", endings.len());
}

/// Identical backends are rolled back in at most the level of the steps, shared incidents in 5 %.
#[test]
#[ignore = "minutes of simulation; cargo xtask test --deep runs it"]
fn deep_simulated_levels_are_kept() {
    let bot = Some(Bot { requests_per_second: 5, failing: 0.2 });
    let old = OldSnapshots { share: PartsPerMillion::of_percent(5), until_ms: 30_000 };
    let crowd = vec![Fault::of_both(Symptom::NotFound, 0.5)];
    let timeouts = vec![Fault::of_both(Symptom::Timeout, 1.0).from_minute(2).until_minute(4)];
    let time_limits = TimeLimits { new_ms: 1_000, legacy_ms: 5_000 };
    let scenarios = [
        ("5 users always fail", short(20, failing(5, 1.0)), 8),
        ("20 users always fail", short(20, failing(20, 1.0)), 8),
        ("20 users fail half of the time", short(20, failing(20, 0.5)), 8),
        ("60 users always fail", short(20, failing(60, 1.0)), 12),
        ("a bot", Scenario { bot, ..short(20, failing(5, 0.5)) }, 6),
        ("thinned users", Scenario { users: 20_000, ..short(10, crowd) }, 4),
        ("time limits", Scenario { time_limits, ..short(5, timeouts) }, 20),
    ];
    for (name, scenario, seeds) in scenarios {
        let all: Vec<Ending> =
            SHARES.iter().flat_map(|share| endings(&run(*share), &scenario, 0..seeds)).collect();
        assert_level(name, LEVEL, &all);
    }
    for (new_ms, legacy_ms) in LONG_LIMITS {
        for (name, faults) in [("alike", failing(20, 0.5)), ("an outage", hanging())] {
            let scenario = at_rest(new_ms, legacy_ms, short(10, faults));
            let all: Vec<Ending> =
                SHARES.iter().flat_map(|share| endings(&run(*share), &scenario, 0..8)).collect();
            assert_level(&format!("{name}, limits of {new_ms} and {legacy_ms} ms"), LEVEL, &all);
        }
    }
    let lowered = Scenario { old_snapshots: Some(old), ..short(5, failing(20, 1.0)) };
    assert_level("a lowered share", LEVEL, &endings(&run(1), &lowered, 0..60));
    for requests in [0.12, 0.3, 1.0] {
        let scenario = short(7, vec![Fault::of_both(Symptom::Error, requests).from_minute(2)]);
        for share in [10, 50, 75, 90] {
            let name = format!("shared incident of {requests} at {share} %");
            assert_level(&name, 0.05, &endings(&run(share), &scenario, 0..20));
        }
    }
}
