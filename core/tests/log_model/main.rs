//! A model of the log of batches, the ledgers and the folds, around the real [`Fold`](cutover_core::measurement::log::Fold):
//! everything that the platform may do to them happens here, at random and, in the small, in every order.
//!
//! At any time each ledger, in the table and in the memory of each fold, holds exactly the records that it claims to hold; and
//! at the end each stored batch is counted once in each of its flags. The model is run with broken rules too, and must find
//! the violation: so each rule at the head of `core/src/measurement/log.rs` has a test that fails without it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod arrivals;
mod episode;
mod explore;
mod process;
mod setup;
mod table;
mod world;

use explore::Bounds;
use setup::{Rules, Setup};

/// Batches of each isolate in an episode.
const BATCHES: u32 = 200;

/// Two batches, two flags, two folds. A shard splits in two, and no write fails.
const TWO_FOLDS: Bounds = Bounds { batches: 2, splits: 1, starts: 2, failures: 0 };

/// One fold of which a write fails in any of the ways, and another fold that is left alone after any of its steps.
const ONE_FAILURE: Bounds = Bounds { starts: 1, failures: 1, ..TWO_FOLDS };

/// Bounds of the long form, of up to 70,000 states each.
static DEEP: [Bounds; 4] = [
    TWO_FOLDS,
    ONE_FAILURE,
    Bounds { failures: 2, ..ONE_FAILURE },
    Bounds { splits: 0, failures: 1, ..TWO_FOLDS },
];

fn is_deep() -> bool {
    std::env::var_os("CUTOVER_DEEP").is_some()
}

fn large(rules: Rules) -> Setup {
    Setup { rules, flags: 3, processes: 3, page: 16, tries: 3 }
}

fn small(rules: Rules) -> Setup {
    Setup { rules, flags: 2, processes: 2, page: 2, tries: 1 }
}

/// Lives through episodes. Returns the number of batches that were stored and counted.
fn live(rules: Rules, episodes: u64) -> Result<u64, String> {
    (0..episodes).map(|seed| episode::live(seed, large(rules), BATCHES)).sum()
}

#[test]
fn every_stored_batch_is_counted_exactly_once() {
    let (episodes, least) = if is_deep() { (1_000, 1_000_000) } else { (20, 20_000) };
    let batches = live(Rules::Sound, episodes).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{batches} batches were stored, and counted once in each of their flags");
    assert!(batches >= least, "only {batches} batches");
}

/// The term saves work and guards decisions; the ledgers need versions alone.
#[test]
fn folds_whose_lease_has_lapsed_count_nothing_twice() {
    live(Rules::WithoutTerms, if is_deep() { 200 } else { 5 })
        .unwrap_or_else(|violation| panic!("{violation}"));
}

fn explore(rules: Rules, bounds: Bounds) -> Result<usize, String> {
    explore::explore(small(rules), bounds)
}

#[test]
fn no_interleaving_of_two_folds_loses_or_doubles_a_batch() {
    let explored: &[Bounds] = if is_deep() { &DEEP } else { &DEEP[..2] };
    for bounds in explored {
        let states = explore(Rules::Sound, *bounds).unwrap_or_else(|violation| panic!("{violation}"));
        println!("{bounds:?}: {states} states");
        assert!(states > 1_000, "only {states} states");
    }
}

#[test]
fn no_interleaving_needs_the_term() {
    let explored: &[Bounds] = if is_deep() { &DEEP } else { &[ONE_FAILURE] };
    for bounds in explored {
        explore(Rules::WithoutTerms, *bounds).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

/// Every ledger in the table stays exact without this rule, thanks to its version. The memory from which a fold decides does
/// not.
#[test]
fn the_model_finds_ledgers_that_are_read_before_the_cursor() {
    let violation = explore(Rules::LedgersFirst, TWO_FOLDS).unwrap_err();
    assert!(violation.contains("in memory"), "{violation}");
}

#[test]
fn the_model_finds_a_ledger_that_is_unparked_too_soon() {
    assert!(explore(Rules::UnparkedTooSoon, ONE_FAILURE).is_err());
    assert!(live(Rules::UnparkedTooSoon, 100).is_err());
}

#[test]
fn the_model_finds_writes_without_a_version() {
    assert!(explore(Rules::WithoutVersions, ONE_FAILURE).is_err());
    assert!(live(Rules::WithoutVersions, 100).is_err());
}

#[test]
fn the_model_finds_a_shard_that_is_forgotten_while_a_listing_omits_it() {
    assert!(live(Rules::ForgetsUnlisted, 100).is_err());
}
