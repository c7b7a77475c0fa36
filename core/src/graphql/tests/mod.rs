//! Tests of the scanner and of the requests around documents.

mod documents;
mod fragments;
mod generated;
mod hostile;
mod requests;

use crate::graphql::{Counts, Limits, Refusal, Scanned, scan};

/// Limits that no document of these tests passes.
fn unlimited() -> Limits {
    Limits {
        bytes: u32::MAX,
        tokens: u32::MAX,
        depth: u32::MAX,
        value_nesting: u32::MAX,
        aliases: u32::MAX,
        root_fields: u32::MAX,
        fields: u32::MAX,
        directives: u32::MAX,
        directives_per_node: u32::MAX,
        operations: u32::MAX,
        fragments: u32::MAX,
    }
}

fn scanned(text: &str) -> Result<Scanned, Refusal> {
    scan(text, &unlimited(), true)
}

/// Returns the counts of the first operation.
fn counts(text: &str) -> Counts {
    scanned(text).unwrap_or_else(|refusal| panic!("{refusal}: {text}")).operations[0]
}

/// Asserts that a document keeps a limit at `allowed`, and is refused one below.
fn check_limit(text: &str, set: fn(&mut Limits) -> &mut u32, allowed: u32, refusal: fn(u32) -> Refusal) {
    let mut limits = Limits { bytes: 60_000, tokens: 20_000, ..Limits::default() };
    *set(&mut limits) = allowed;
    assert!(scan(text, &limits, false).is_ok(), "{allowed} are allowed: {text}");
    *set(&mut limits) = allowed - 1;
    assert_eq!(scan(text, &limits, false), Err(refusal(allowed - 1)), "{text}");
}
