//! The tables of the page of costs are those that the code computes from the units that were measured, and the bars are met.

use crate::sources::{read, root};
use cutover_tests::cost::{
    bill::{Circumstances, Part, lines, total},
    page::{BAR, EVALUATION_BAR, path, tables, with_tables},
    units::{FleetUnits, MeasuredUnits},
};

#[test]
fn the_page_of_costs_is_computed_from_the_measured_units() {
    let units = MeasuredUnits::read();
    let sizes: Vec<u64> = units.fleets.iter().map(|fleet| fleet.isolates).collect();
    assert_eq!(sizes, [500, 5_000, 30_000]);
    let page = read(&path());
    let computed = with_tables(&page, &tables(&units));
    assert!(page == computed, "docs/COST.md is not that of its units: run `cargo xtask bench fleet --page`");
}

/// The bar is on the fleet without experiments; what they cost beside it is measured too.
#[test]
fn experiments_are_measured_beside_the_fleet_without() {
    let experiments = MeasuredUnits::read().experiments;
    let numbers: Vec<u64> = experiments.iter().map(|units| units.experiments).collect();
    assert_eq!(numbers, [0, 1, 8], "run `cargo xtask bench fleet --experiments`");
    assert!(experiments.iter().all(|units| units.fleet.isolates == 5_000 && units.page_reads > 0.0));
    let [none, one, eight] = [0, 1, 2].map(|index| &experiments[index].fleet);
    assert!(none.batch.request_bytes < one.batch.request_bytes, "users of experiments are in batches");
    let written = |fleet: &FleetUnits| fleet.evaluation.checkpoint.writes;
    assert!(written(none) < written(one) && written(one) < written(eight), "evidence is in checkpoints");
    let (memory, seconds) = EVALUATION_BAR;
    assert!(
        eight.evaluation.peak_mb <= memory && eight.evaluation.seconds <= seconds,
        "{:?}",
        eight.evaluation
    );
}

fn fleet(units: &MeasuredUnits, isolates: u64) -> &FleetUnits {
    units.fleets.iter().find(|fleet| fleet.isolates == isolates).unwrap()
}

/// H6: a page that says of itself that a bar is missed is true, and not good enough.
#[test]
fn the_control_plane_costs_less_than_its_bar() {
    assert_eq!(BAR, (5_000, 1_500.0));
    let units = MeasuredUnits::read();
    let (isolates, most) = BAR;
    let dollars = total(&lines(fleet(&units, isolates), Circumstances::MAIN), Part::ControlPlane);
    assert!(dollars < most, "{isolates} isolates cost ${dollars:.0} a month");
}

/// C2: an evaluation that runs out of memory or time does so again with every tick.
#[test]
fn an_evaluation_of_the_largest_fleet_fits_into_its_bars() {
    assert_eq!(EVALUATION_BAR, (256.0, 15.0));
    let units = MeasuredUnits::read();
    let (memory, seconds) = EVALUATION_BAR;
    let found = &fleet(&units, 30_000).evaluation;
    // A minute's batches of that fleet, which reports once a minute.
    assert!(found.batches >= 30_000, "{} batches were measured", found.batches);
    assert!(found.peak_mb > 0.0 && found.peak_mb <= memory, "{} MB", found.peak_mb);
    assert!(found.seconds > 0.0 && found.seconds <= seconds, "{} s", found.seconds);
}

#[test]
fn settings_in_the_bill_are_those_of_the_deployment() {
    let infra = |name: &str| read(&root().join("infra").join(name));
    let variables = infra("variables.tf");
    for setting in [
        "evaluate   = optional(number, 512)",
        "evaluate   = optional(number, 180)",
        "ask        = optional(number, 256)",
    ] {
        assert!(variables.contains(setting), "cost/bill.rs counts on `{setting}`");
    }
    assert!(
        infra("functions.tf").contains(r#"log_levels = { ask = "warn", ingest = "warn" }"#),
        "cost/bill.rs counts on it"
    );
}

/// The README repeats the totals for fleets of 500 and 5 000 isolates.
#[test]
fn the_readme_has_the_prices_of_the_page() {
    let page = read(&path());
    let prices = |row: &str| -> Vec<String> {
        let line = page.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("no row {row}"));
        line.split('|').skip(2).map(|cell| cell.trim().trim_matches('*').to_owned()).collect()
    };
    let (control, worker) = (prices("| **control plane, a month**"), prices("| **Worker, a month**"));
    let readme = read(&root().join("README.md")).split_whitespace().collect::<Vec<_>>().join(" ");
    for price in [&control[0], &control[1], &worker[1]] {
        assert!(price.starts_with('$') && readme.contains(price.as_str()), "{price} is not in README.md");
    }
}
