//! False rollbacks: the two backends are alike, so no test should fire.

use crate::bench::calibration::{
    step::{SHARES, run, trials},
    table::{columns, head, name, rolled_back, row},
};
use cutover_core::{
    PartsPerMillion,
    canary::{
        plan::RelativePolicy,
        simulation::{
            Affected, Bot, Fault, Isolates, OldSnapshots, Scenario, Seeds, Symptom, TimeLimits, simulate,
        },
    },
};

/// Policies that act on a comparison.
const POLICIES: [RelativePolicy; 2] = [RelativePolicy::Rollback, RelativePolicy::Hold];

/// Level of a step in the trials of retries, high enough to see some false rollbacks.
const RETRY_LEVEL: f64 = 0.5;

/// Retries for each trial of the other tables.
const RETRIES: u32 = 10;

/// Returns the fault of users who fail with this probability, whichever backend answers.
fn failing(users: u32, requests: f64) -> Fault {
    Fault::of_both(Symptom::Error, requests).for_users(Affected::Random(users))
}

/// Prints the rollbacks of an hour with backends that are alike.
pub(super) fn identical(runs: u32) {
    head("both backends alike, one hour", &columns(&SHARES));
    for users in [0, 5, 20, 60] {
        let [always, half] =
            [1.0, 0.5].map(|share| Scenario { faults: vec![failing(users, share)], ..Scenario::default() });
        let title = format!("{users} of 2 000 users fail, always or half of the time");
        // Every other trial each.
        rows(&title, runs, |number| if number.is_multiple_of(2) { &always } else { &half });
    }
    let bot = Scenario {
        faults: vec![failing(5, 1.0)],
        bot: Some(Bot { requests_per_second: 5, failing: 0.2 }),
        ..Scenario::default()
    };
    rows("5 of 2 000 users, and a fifth of 5 requests/s without an id, fail", runs, |_| &bot);
    let crowd = Scenario {
        users: 20_000,
        faults: vec![Fault::of_both(Symptom::NotFound, 0.2)],
        ..Scenario::default()
    };
    rows("20 000 users, 404 to 20 % of the requests, so users are thinned", runs, |_| &crowd);
    println!();
}

fn rows<'s>(title: &str, runs: u32, scenario: impl Fn(u32) -> &'s Scenario) {
    for policy in POLICIES {
        let cells = SHARES.iter().map(|share| rolled_back(&trials(&run(*share, policy), runs, &scenario)));
        row(&format!("{title}, {}", name(policy)), cells);
    }
}

/// Prints the rollbacks of an outage in which one arm fails faster, and of a share that was lowered.
pub(super) fn special(runs: u32) {
    head("both backends alike", &columns(&SHARES));
    let outage = Fault::of_both(Symptom::Timeout, 1.0).from_minute(20).until_minute(22);
    for (new_ms, legacy_ms) in [(1_000, 5_000), (5_000, 1_000), (1_000, 1_000)] {
        let scenario = Scenario {
            minutes: 25,
            faults: vec![outage],
            time_limits: TimeLimits { new_ms, legacy_ms },
            ..Scenario::default()
        };
        let title = format!(
            "outage of 2 minutes, time limits of {} s on new and {} s on legacy",
            new_ms / 1_000,
            legacy_ms / 1_000
        );
        rows(&title, runs, |_| &scenario);
    }
    println!();
    at_rest(runs, outage);
    let lowered = Scenario {
        minutes: 10,
        faults: vec![failing(20, 1.0)],
        old_snapshots: Some(OldSnapshots { share: PartsPerMillion::of_percent(5), until_ms: 30_000 }),
        ..Scenario::default()
    };
    head("share lowered from 5 % to 1 %, 30 s of old snapshots", &["rolled back".to_owned()]);
    for policy in POLICIES {
        row(name(policy), std::iter::once(rolled_back(&trials(&run(1, policy), runs, |_| &lowered))));
    }
    println!();
}

/// Prints the rollbacks with eight isolates, six of which rest now and then, and long time limits.
fn at_rest(runs: u32, outage: Fault) {
    head("both backends alike, 20 requests/s, isolates at rest", &columns(&SHARES));
    for (new_s, legacy_s) in [(10, 10), (30, 30), (10, 30), (30, 10)] {
        for (what, fault) in
            [("20 users fail half of the time", failing(20, 0.5)), ("outage of 2 minutes", outage)]
        {
            let scenario = Scenario {
                minutes: 25,
                requests_per_second: 20,
                faults: vec![fault],
                time_limits: TimeLimits { new_ms: new_s * 1_000, legacy_ms: legacy_s * 1_000 },
                isolates: Some(Isolates { busy: 2, resting: 6, resting_part: 0.05 }),
                ..Scenario::default()
            };
            rows(&format!("{what}, {new_s} s on new and {legacy_s} s on legacy"), runs, |_| &scenario);
        }
    }
    println!();
}

/// Prints the false rollbacks of retries after a false rollback.
pub(super) fn retries(runs: u32) {
    let mut run = run(5, RelativePolicy::Rollback);
    run.plan.options.alpha_rollback = RETRY_LEVEL;
    let scenario = Scenario { minutes: 20, faults: vec![failing(60, 1.0)], ..Scenario::default() };
    let is_rolled_back = |seeds| simulate(&run, &scenario, seeds).rolled_back.is_some();
    let count = runs * RETRIES;
    let (mut first, mut same_salt, mut new_salt) = (0_u32, 0_u32, 0_u32);
    for number in 0..u64::from(count) {
        let seeds = Seeds::of(number);
        if is_rolled_back(seeds) {
            let other = Seeds::of(number + u64::from(count));
            first += 1;
            same_salt += u32::from(is_rolled_back(Seeds { traffic: other.traffic, ..seeds }));
            new_salt += u32::from(is_rolled_back(Seeds { users: seeds.users, ..other }));
        }
    }
    let columns = ["first runs", "retries, same salt", "retries, new salt"].map(str::to_owned);
    head("backends alike, level of 50 %, 60 of 2 000 users fail", &columns);
    let cells = [(first, count), (same_salt, first), (new_salt, first)];
    row("rolled back", cells.iter().map(|(count, of)| format!("{count} of {of}")));
    println!();
}
