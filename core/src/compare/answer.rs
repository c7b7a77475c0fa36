//! Comparison of two complete responses: status, headers and body.

use crate::{
    compare::{
        budget::Limits,
        difference::{Difference, DifferenceKind},
        media_type::same_media_type,
        policy::Comparison,
        redaction::redacted,
        tally::SkipReason,
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
    /// The responses were compared and have these differences.
    Compared(Vec<Difference>),
    /// The responses could not be compared.
    Skipped(SkipReason),
}

const CONTENT_TYPE: &str = "content-type";

/// Compares the new backend's response with the old one's.
pub fn compare_answers(policy: &Comparison, old: Response<'_>, new: Response<'_>) -> ComparisonOutcome {
    let mut found = Vec::new();
    if old.status != new.status {
        // A status holds no user data, so it is not redacted.
        let example = (old.status.to_string(), new.status.to_string());
        found.push(Difference { path: "status".to_owned(), kind: DifferenceKind::Number, example });
    }
    found.extend(header_differences(policy, old.headers, new.headers));
    let most = usize::try_from(policy.max_bytes).unwrap_or(usize::MAX);
    if old.body.len() > most || new.body.len() > most {
        return ComparisonOutcome::Skipped(SkipReason::Size);
    }
    if old.body.is_empty() && new.body.is_empty() {
        return ComparisonOutcome::Compared(found);
    }
    let depth = usize::try_from(policy.max_depth).unwrap_or(usize::MAX).min(crate::json::parse::MAX_DEPTH);
    match (parsed(old.body, depth), parsed(new.body, depth)) {
        (Err(Malformed::Depth), _) | (_, Err(Malformed::Depth)) => {
            ComparisonOutcome::Skipped(SkipReason::Depth)
        }
        (Ok(before), Ok(after)) => match differences(&before, &after, &policy.rules, Limits::default()) {
            Ok(more) => {
                found.extend(more);
                ComparisonOutcome::Compared(found)
            }
            Err(_) => ComparisonOutcome::Skipped(SkipReason::Size),
        },
        // Bodies are not compared if neither is JSON.
        (Err(_), Err(_)) => ComparisonOutcome::Skipped(SkipReason::NotJson),
        (before, _) => {
            let shown = |is_json: bool| if is_json { "JSON" } else { "not JSON" }.to_owned();
            let example = (shown(before.is_ok()), shown(before.is_err()));
            found.push(Difference { path: "body".to_owned(), kind: DifferenceKind::Type, example });
            ComparisonOutcome::Compared(found)
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
            found.push(misfit);
            ComparisonOutcome::Compared(found)
        }
        skipped => skipped,
    }
}

fn header_differences(policy: &Comparison, old: &[Option<&str>], new: &[Option<&str>]) -> Vec<Difference> {
    let mut found = Vec::new();
    let names = std::iter::once(CONTENT_TYPE).chain(policy.headers.iter().map(String::as_str));
    for (index, name) in names.enumerate() {
        let of = |headers: &[Option<&str>]| headers.get(index).copied().flatten().map(str::to_owned);
        let (before, after) = (of(old), of(new));
        let kind = match (&before, &after) {
            _ if before == after => continue,
            (Some(before), Some(after)) if name == CONTENT_TYPE && same_media_type(before, after) => continue,
            (Some(_), None) => DifferenceKind::Missing,
            (None, _) => DifferenceKind::Extra,
            (Some(_), Some(_)) => DifferenceKind::Value,
        };
        let shown = |value: Option<String>| redacted(value.map(Json::text).as_ref());
        let (path, example) = (format!("header {name}"), (shown(before), shown(after)));
        found.push(Difference { path, kind, example });
    }
    found
}

fn parsed(bytes: &[u8], depth: usize) -> Result<Json<'_>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|error| Malformed::Syntax(error.valid_up_to()))?;
    Json::parse_within(text, depth)
}
