//! Comparison of two complete responses: status, headers and body.

use crate::{
    compare::{
        budget::Limits,
        difference::{Difference, DifferenceKind},
        media_type::{is_media_type, same_media_type},
        policy::{CONTENT_TYPE, Comparison, Rule},
        redaction::{examples, unmasked},
        rule_search::rule_counts,
        tally::{RuleCount, SkipReason},
        walk::differences,
    },
    json::{Malformed, value::Json},
};

/// The parts of a backend's response that are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// `content-type`, then the headers that the comparison names, in its order.
    pub headers: &'a [Option<&'a str>],
    /// The raw body.
    pub body: &'a [u8],
}

/// The outcome of comparing two responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComparisonOutcome {
    /// The responses were compared.
    Compared(Findings),
    /// The responses could not be compared.
    Skipped(SkipReason),
}

/// The findings of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Differences between the responses.
    pub differences: Vec<Difference>,
    /// The rules whose paths the responses were searched for.
    pub rules: Vec<RuleCount>,
}

/// Compares the new backend's response with the old one's.
pub fn compare_answers(policy: &Comparison, old: Response<'_>, new: Response<'_>) -> ComparisonOutcome {
    let compared = |differences: Vec<Difference>, bodies: Option<[&Json<'_>; 2]>| {
        let rules = rule_counts(policy, [old.headers, new.headers], bodies);
        ComparisonOutcome::Compared(Findings { differences, rules })
    };
    let mut found = Vec::new();
    if old.status != new.status {
        // A status holds no user data, so it is not redacted.
        let example = (old.status.to_string(), new.status.to_string());
        found.push(Difference { path: "(status)".to_owned(), kind: DifferenceKind::Number, example });
    }
    found.extend(header_differences(policy, old.headers, new.headers));
    let most = usize::try_from(policy.max_bytes).unwrap_or(usize::MAX);
    if old.body.len() > most || new.body.len() > most {
        return ComparisonOutcome::Skipped(SkipReason::Size);
    }
    if old.body.is_empty() && new.body.is_empty() {
        return compared(found, None);
    }
    let depth = usize::try_from(policy.max_depth).unwrap_or(usize::MAX).min(crate::json::parse::MAX_DEPTH);
    match (parsed(old.body, depth), parsed(new.body, depth)) {
        (Err(Malformed::Depth), _) | (_, Err(Malformed::Depth)) => {
            ComparisonOutcome::Skipped(SkipReason::Depth)
        }
        (Ok(before), Ok(after)) => match differences(&before, &after, &policy.rules, Limits::default()) {
            Ok(more) => {
                found.extend(more);
                compared(found, Some([&before, &after]))
            }
            Err(_) => ComparisonOutcome::Skipped(SkipReason::Size),
        },
        // Bodies are not compared if neither is JSON.
        (Err(_), Err(_)) => ComparisonOutcome::Skipped(SkipReason::NotJson),
        (before, _) => {
            let shown = |is_json: bool| if is_json { "JSON" } else { "not JSON" }.to_owned();
            let example = (shown(before.is_ok()), shown(before.is_err()));
            found.push(Difference { path: "(body)".to_owned(), kind: DifferenceKind::Type, example });
            compared(found, None)
        }
    }
}

/// Compares legacy's response with the error that an adapter sends if the new backend's response does not
/// fit. Headers and bodies of an error say nothing about the backend, so `misfit`, the difference that
/// names the place, is listed instead of them.
pub fn compare_unfit(
    policy: &Comparison,
    old: Response<'_>,
    new: Response<'_>,
    misfit: Difference,
) -> ComparisonOutcome {
    let [old, new] = [old, new].map(|Response { status, .. }| Response { status, ..Response::default() });
    match compare_answers(policy, old, new) {
        ComparisonOutcome::Compared(mut found) => {
            found.differences.push(misfit);
            ComparisonOutcome::Compared(found)
        }
        skipped => skipped,
    }
}

fn header_differences(policy: &Comparison, old: &[Option<&str>], new: &[Option<&str>]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (index, name) in policy.compared_headers().enumerate() {
        let (before, after) = (value(old, index), value(new, index));
        let rule = Rule::merged_for_header(&policy.rules, name);
        let kind = match (before, after) {
            _ if rule.ignore || before == after => continue,
            (Some(before), Some(after)) if is_same(name, &rule, before, after) => continue,
            (Some(_), None) => DifferenceKind::Missing,
            (None, _) => DifferenceKind::Extra,
            (Some(_), Some(_)) => DifferenceKind::Value,
        };
        let is_plain =
            name == CONTENT_TYPE && [before, after].iter().flatten().all(|text| is_media_type(text));
        let example = if is_plain {
            // A media type holds no user data, so it is not redacted.
            (unmasked(before), unmasked(after))
        } else {
            examples(before.map(Json::text).as_ref(), after.map(Json::text).as_ref())
        };
        found.push(Difference { path: format!("header {name}"), kind, example });
    }
    found
}

/// Returns the value of a compared header by its index.
fn value<'a>(headers: &[Option<&'a str>], index: usize) -> Option<&'a str> {
    headers.get(index).copied().flatten()
}

/// Returns true if two values of a header are equal by its rules, or by their meaning.
fn is_same(name: &str, rule: &Rule, old: &str, new: &str) -> bool {
    let is_by_meaning = name == CONTENT_TYPE && !rule.exact;
    (is_by_meaning && same_media_type(old, new)) || rule.makes_equal(&Json::text(old), &Json::text(new))
}

fn parsed(bytes: &[u8], depth: usize) -> Result<Json<'_>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|error| Malformed::Syntax(error.valid_up_to()))?;
    Json::parse_within(text, depth)
}
