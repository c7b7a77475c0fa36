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

/// Two batches, two flags, one split, two folds of which each may be killed at any step.
const SMALL: Bounds = Bounds { batches: 2, splits: 1, starts: 2, failures: 1 };

fn is_deep() -> bool {
    std::env::var_os("CUTOVER_DEEP").is_some()
}

fn large(rules: Rules) -> Setup {
    Setup { rules, flags: 3, processes: 3, page: 16, tries: 3 }
}

fn small(rules: Rules) -> Setup {
    Setup { rules, flags: 2, processes: 2, page: 2, tries: 1 }
}

/// Lives through episodes. Returns the number of batches.
fn live(rules: Rules, episodes: u64) -> Result<u64, String> {
    (0..episodes).map(|seed| episode::live(seed, large(rules), BATCHES)).sum()
}

#[test]
fn every_stored_batch_is_counted_exactly_once() {
    let batches = live(Rules::Sound, if is_deep() { 1_000 } else { 20 });
    assert!(batches.unwrap_or_else(|violation| panic!("{violation}")) >= 20_000);
}

/// The term saves work and guards decisions; the ledgers need versions alone.
#[test]
fn folds_whose_lease_has_lapsed_count_nothing_twice() {
    live(Rules::WithoutTerms, if is_deep() { 200 } else { 5 })
        .unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn no_interleaving_of_two_folds_loses_or_doubles_a_batch() {
    let bounds = if is_deep() { Bounds { starts: 3, ..SMALL } } else { SMALL };
    for rules in [Rules::Sound, Rules::WithoutTerms] {
        let states = explore::explore(small(rules), bounds).unwrap_or_else(|violation| panic!("{violation}"));
        println!("{rules:?}: {states} states");
        assert!(states > 1_000, "only {states} states");
    }
}

/// Every ledger in the table stays exact without this rule, thanks to its version. The memory from which a fold decides does
/// not.
#[test]
fn the_model_finds_ledgers_that_are_read_before_the_cursor() {
    let violation = explore::explore(small(Rules::LedgersFirst), SMALL).unwrap_err();
    assert!(violation.contains("in memory"), "{violation}");
}

#[test]
fn the_model_finds_a_ledger_that_is_unparked_too_soon() {
    assert!(explore::explore(small(Rules::UnparkedTooSoon), SMALL).is_err());
    assert!(live(Rules::UnparkedTooSoon, 20).is_err());
}

#[test]
fn the_model_finds_writes_without_a_version() {
    assert!(explore::explore(small(Rules::WithoutVersions), SMALL).is_err());
    assert!(live(Rules::WithoutVersions, 20).is_err());
}

#[test]
fn the_model_finds_a_shard_that_is_forgotten_while_a_listing_omits_it() {
    assert!(live(Rules::ForgetsUnlisted, 20).is_err());
}
