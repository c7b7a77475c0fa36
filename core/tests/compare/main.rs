//! Comparison of responses: the differences that are found, the work it takes, and the data that
//! must not get into a report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod answers;
mod configuration;
mod privacy;
mod rules;
mod unmatched;
mod work;

use cutover_core::{
    compare::{
        Comparison, ComparisonOutcome, Difference, DifferenceKind, Findings, HiddenError, Limits, Normalise,
        PlainJson, Response, Rule, RuleCount, Tally, TooMuch, compare_answers, differences,
    },
    config::Config,
    json::Json,
};
use proptest::{collection::vec, prelude::*, sample::select};

fn rule(path: &str) -> Rule {
    Rule { path: path.to_owned(), ..Rule::default() }
}

fn found_within(
    old: &str,
    new: &str,
    rules: &[Rule],
    limits: Limits,
) -> Result<Vec<(String, DifferenceKind)>, TooMuch> {
    let (old, new) = (Json::parse(old).unwrap(), Json::parse(new).unwrap());
    let found = differences(&old, &new, rules, limits)?;
    Ok(found.into_iter().map(|difference| (difference.path, difference.kind)).collect())
}

fn found(old: &str, new: &str, rules: &[Rule]) -> Vec<(String, DifferenceKind)> {
    found_within(old, new, rules, Limits::default()).expect("it is within the default limits")
}

fn check(old: &str, new: &str, rules: &[Rule], expected: &[(&str, DifferenceKind)]) {
    let expected: Vec<_> = expected.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect();
    assert_eq!(found(old, new, rules), expected, "{old} | {new} | {rules:?}");
}

/// The findings of two responses that can be compared.
fn findings(policy: &Comparison, old: Response<'_>, new: Response<'_>) -> Findings {
    match compare_answers(policy, old, new) {
        ComparisonOutcome::Compared(findings) => findings,
        ComparisonOutcome::Skipped(reason) => panic!("skipped: {reason:?}"),
    }
}

/// A response without headers.
fn response(body: &str) -> Response<'_> {
    Response { status: 200, headers: &[], body: body.as_bytes() }
}

/// A name of letters for each number.
fn word(number: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + u8::try_from(digit % 26).unwrap());
    [letter(number / 676), letter(number / 26), letter(number)].iter().collect()
}
