//! Incidents of both backends, and the time until a fault of the new one is rolled back.

use crate::bench::calibration::{
    step::{SHARES, run, trials},
    table::{columns, head, name, rolled_back, row},
};
use cutover_core::{
    Arm,
    canary::{
        plan::RelativePolicy,
        simulation::{Affected, Ending, Fault, Scenario, Symptom},
    },
};

/// Part of the trials that must be rolled back for the median to stand alone.
const NEARLY_ALL: f64 = 0.95;

/// Prints the rollbacks of incidents of both backends that begin 20 minutes after a step up.
pub(super) fn shared(runs: u32) {
    let shares = [10, 50, 75, 90];
    head("both backends fail from minute 20 to 30", &columns(&shares));
    for percent in [12, 30, 100_u32] {
        let incident = Fault::of_both(Symptom::Error, f64::from(percent) / 100.0).from_minute(20);
        let scenario = Scenario { minutes: 30, faults: vec![incident], ..Scenario::default() };
        let cells = shares
            .iter()
            .map(|share| rolled_back(&trials(&run(*share, RelativePolicy::default()), runs, |_| &scenario)));
        row(&format!("{percent} % of the requests"), cells);
    }
    println!();
}

/// Prints the seconds from a fault of the new backend to its rollback, by the minute of its beginning.
pub(super) fn by_start(runs: u32) {
    let shares: Vec<u32> = SHARES.into_iter().chain([100]).collect();
    for policy in [RelativePolicy::Rollback, RelativePolicy::Hold] {
        head(&format!("errors of the new backend, {}", name(policy)), &columns(&shares));
        for percent in [15, 30, 50, 100_u32] {
            for minute in [0, 10, 50] {
                let scenario = Scenario {
                    // Half an hour is enough for what is ever found.
                    minutes: minute + 30,
                    windows_per_tick: 1,
                    faults: vec![
                        Fault::of_both(Symptom::Error, 0.001),
                        Fault::of_new(Symptom::Error, f64::from(percent) / 100.0, minute),
                    ],
                    ..Scenario::default()
                };
                let cells =
                    shares.iter().map(|share| seconds(&trials(&run(*share, policy), runs, |_| &scenario)));
                row(&format!("{percent} % after {minute} minutes"), cells);
            }
        }
        println!();
    }
}

/// Prints the seconds from a fault to its rollback for errors, client errors and slow responses.
pub(super) fn by_kind(runs: u32) {
    let errors = |percent: f64| Fault::of_both(Symptom::Error, percent / 100.0);
    let more = |percent: f64, minute| Fault::of_new(Symptom::Error, percent / 100.0, minute);
    let anyway = |symptom, users| Fault::of_both(symptom, 0.1).for_users(Affected::Random(users));
    let not_found = |percent: f64| Fault::of_new(Symptom::NotFound, percent / 100.0, 0);
    let unauthorized = Fault {
        arm: Some(Arm::New),
        ..Fault::of_both(Symptom::Unauthorized, 1.0).for_users(Affected::Random(2_000))
    };
    let cases: [(&str, Vec<Fault>, Option<f64>); 9] = [
        ("errors 0.1 -> 100 % after 50 good minutes", vec![errors(0.1), more(100.0, 50)], None),
        ("errors 0.1 -> 10 % after 50 good minutes", vec![errors(0.1), more(9.9, 50)], None),
        ("errors 1 -> 5 %", vec![errors(1.0), more(4.0, 0)], None),
        ("errors 1 -> 2 %", vec![errors(1.0), more(1.0, 0)], None),
        (
            "404 to everything, 8 000 users have one anyway",
            vec![not_found(100.0), anyway(Symptom::NotFound, 8_000)],
            None,
        ),
        (
            "404 to 5 % of the requests, 1 000 users have one anyway",
            vec![not_found(5.0), anyway(Symptom::NotFound, 1_000)],
            None,
        ),
        (
            "401 to 2 000 users, 20 users have one anyway",
            vec![unauthorized, anyway(Symptom::Unauthorized, 20)],
            None,
        ),
        ("5 % slow on legacy, 1.5 times the response time", Vec::new(), Some(1.5)),
        ("5 % slow on legacy, twice the response time", Vec::new(), Some(2.0)),
    ];
    head("fault of the new backend, 20 000 users, `rollback`", &columns(&SHARES));
    for (title, faults, slow_factor) in cases {
        let scenario =
            Scenario { users: 20_000, windows_per_tick: 1, faults, slow_factor, ..Scenario::default() };
        let cells = SHARES
            .iter()
            .map(|share| seconds(&trials(&run(*share, RelativePolicy::Rollback), runs, |_| &scenario)));
        row(title, cells);
    }
}

/// Returns a cell such as "42", or "1515, 88 %" if some trials were not rolled back: the median of the
/// seconds to a rollback. Rollbacks before the fault are counted as early.
fn seconds(endings: &[Ending]) -> String {
    let all = endings.iter().filter_map(|ending| Some(ending.rolled_back?.seconds));
    let (mut found, early): (Vec<f64>, Vec<f64>) = all.partition(|seconds| *seconds >= 0.0);
    found.sort_by(f64::total_cmp);
    let mut cell = match found.get(found.len() / 2) {
        Some(median) => format!("{median:.0}"),
        None => "-".to_owned(),
    };
    let part = found.len() as f64 / endings.len() as f64;
    if !found.is_empty() && part < NEARLY_ALL {
        cell.push_str(&format!(", {:.0} %", part * 100.0));
    }
    if !early.is_empty() {
        cell.push_str(&format!(", {} early", early.len()));
    }
    cell
}
