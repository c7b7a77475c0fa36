//! The tables of the page of costs are those that the code computes from the units that were measured.

use crate::sources::{read, root};
use cutover_tests::cost::{
    page::{path, tables, with_tables},
    units::MeasuredUnits,
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
