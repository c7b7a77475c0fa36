//! Differences between two responses, with their values: both ends belong to whoever runs the
//! command, so nothing is masked here.

use super::{origin::ClientResponse, pretty};
use crate::difference::NOTHING;
use cutover_core::{
    compare::{
        Comparison, ComparisonOutcome, Difference, DifferenceKind, Findings, Response, Rule, SkipReason,
        compare_answers, compare_unfit,
    },
    json::Json,
};
use serde_json::{Value, json};

/// Width of a terminal, in which differences are readable.
pub const COLUMNS: usize = 80;

/// A difference with the values of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownDifference {
    /// The path, as reports have it.
    pub path: String,
    /// The kind of difference.
    pub kind: &'static str,
    /// The value that was expected.
    pub old: String,
    /// The value that the adapter gave.
    pub new: String,
}

impl ShownDifference {
    /// Returns the cells of the difference in a table.
    pub fn row(&self) -> Vec<String> {
        let value = |value: &String| if self.has_values() { value.clone() } else { "-".to_owned() };
        vec![self.path.clone(), self.kind.to_owned(), value(&self.old), value(&self.new)]
    }

    /// Returns false for a difference that is in no value, such as one of the order.
    pub fn has_values(&self) -> bool {
        [&self.old, &self.new].iter().any(|value| *value != NOTHING)
    }

    /// Formats the difference below a pair: in one line, or with both values on lines of their own if it is wider
    /// than a terminal.
    pub fn indented(&self) -> String {
        let Self { path, kind, old, new } = self;
        if !self.has_values() {
            return format!("    {path}: {kind}");
        }
        let line = format!("    {path}: {kind}, {old} -> {new}");
        if line.chars().count() <= COLUMNS {
            return line;
        }
        format!("    {path}: {kind}\n        {old}\n     -> {new}")
    }

    /// Returns the difference as JSON.
    pub fn json(&self) -> Value {
        json!({ "path": self.path, "kind": self.kind, "old": self.old, "new": self.new })
    }
}

/// Compares two responses by the functions of the edge. Bodies that are not JSON are compared byte by
/// byte. `misfit` is the difference to report if `new` is the error for a response that does not fit.
pub fn differences(
    policy: &Comparison,
    old: &ClientResponse,
    new: &ClientResponse,
    misfit: Option<&Difference>,
) -> Vec<ShownDifference> {
    let (found, skipped) = match compared(policy, old, new, misfit) {
        ComparisonOutcome::Compared(found) => (found, None),
        ComparisonOutcome::Skipped(reason) => {
            // Status and headers are compared in any case.
            let without_body =
                |response: &ClientResponse| ClientResponse { body: Vec::new(), ..response.clone() };
            match compared(policy, &without_body(old), &without_body(new), misfit) {
                ComparisonOutcome::Compared(found) => (found, Some(reason)),
                ComparisonOutcome::Skipped(_) => (Findings::default(), Some(reason)),
            }
        }
    };
    let shown = Sides::new(old, new);
    let mut differences: Vec<ShownDifference> =
        found.differences.into_iter().map(|difference| shown.difference(difference)).collect();
    match skipped {
        Some(SkipReason::NotJson) if old.body != new.body => differences.push(ShownDifference {
            path: "(body)".to_owned(),
            kind: DifferenceKind::Value.as_str(),
            old: pretty::line(&String::from_utf8_lossy(&old.body)),
            new: pretty::line(&String::from_utf8_lossy(&new.body)),
        }),
        None | Some(SkipReason::NotJson) => {}
        Some(reason) => differences.push(ShownDifference {
            path: "(body)".to_owned(),
            kind: "not compared",
            old: reason.as_str().to_owned(),
            new: reason.as_str().to_owned(),
        }),
    }
    differences
}

fn compared(
    policy: &Comparison,
    old: &ClientResponse,
    new: &ClientResponse,
    misfit: Option<&Difference>,
) -> ComparisonOutcome {
    let headers = |response: &ClientResponse| -> Vec<Option<String>> {
        policy.compared_headers().map(|name| response.header(name).map(str::to_owned)).collect()
    };
    let (old_headers, new_headers) = (headers(old), headers(new));
    let (old_headers, new_headers) = (borrowed(&old_headers), borrowed(&new_headers));
    let old = Response { status: old.status, headers: &old_headers, body: &old.body };
    let new = Response { status: new.status, headers: &new_headers, body: &new.body };
    match misfit {
        Some(misfit) => compare_unfit(policy, old, new, misfit.clone()),
        None => compare_answers(policy, old, new),
    }
}

fn borrowed(values: &[Option<String>]) -> Vec<Option<&str>> {
    values.iter().map(Option::as_deref).collect()
}

/// Both responses, with their parsed bodies.
struct Sides<'r> {
    old: &'r ClientResponse,
    new: &'r ClientResponse,
    bodies: Option<Bodies<'r>>,
}

struct Bodies<'r> {
    old: Json<'r>,
    new: Json<'r>,
}

impl<'r> Sides<'r> {
    fn new(old: &'r ClientResponse, new: &'r ClientResponse) -> Self {
        let bodies = parsed(&old.body).zip(parsed(&new.body)).map(|(old, new)| Bodies { old, new });
        Self { old, new, bodies }
    }

    /// Adds the values to a difference. A difference whose values cannot be found keeps its example.
    fn difference(&self, difference: Difference) -> ShownDifference {
        let Difference { path, kind, example } = difference;
        let (old, new) = self.values(&path, kind).unwrap_or(example);
        ShownDifference { path, kind: kind.as_str(), old, new }
    }

    fn values(&self, path: &str, kind: DifferenceKind) -> Option<(String, String)> {
        let header = |response: &ClientResponse, name: &str| {
            response.header(name).map_or_else(|| NOTHING.to_owned(), pretty::line)
        };
        if let Some(name) = path.strip_prefix("header ") {
            return Some((header(self.old, name), header(self.new, name)));
        }
        let Bodies { old, new } = self.bodies.as_ref()?;
        let path = Rule { path: path.to_owned(), ..Rule::default() };
        let steps: Vec<&str> = path.steps().collect();
        let (old, new) = (values_at(old, &steps), values_at(new, &steps));
        let pair = match kind {
            DifferenceKind::Order | DifferenceKind::Length => return None,
            DifferenceKind::Missing => (lone(&old, &new), None),
            DifferenceKind::Extra => (None, lone(&new, &old)),
            DifferenceKind::Type | DifferenceKind::Value | DifferenceKind::Number => {
                let mut pairs = old.iter().copied().zip(new.iter().copied());
                pairs.find(|(old, new)| old.is_some() && new.is_some() && old != new)?
            }
        };
        let shown = |value: Option<&Json<'_>>| {
            value.map_or_else(|| NOTHING.to_owned(), |value| pretty::line(&value.to_string()))
        };
        // Without a value on either side, the example says more.
        pair.0.or(pair.1)?;
        Some((shown(pair.0), shown(pair.1)))
    }
}

fn parsed(body: &[u8]) -> Option<Json<'_>> {
    Json::parse(std::str::from_utf8(body).ok()?).ok()
}

/// Returns the values at a path, with `None` where an object has no such field. Items with ids come
/// in the order of their ids, so that those of two lists meet.
fn values_at<'v, 'j>(value: &'v Json<'j>, path: &[&str]) -> Vec<Option<&'v Json<'j>>> {
    let Some((step, rest)) = path.split_first() else { return vec![Some(value)] };
    match (*step, value) {
        ("[]", Json::List(items)) => {
            let mut items: Vec<&Json<'_>> = items.iter().collect();
            if items.iter().all(|item| item.get("id").is_some()) {
                items.sort_by_key(|item| item.get("id").map(ToString::to_string));
            }
            items.into_iter().flat_map(|item| values_at(item, rest)).collect()
        }
        ("*", Json::Object(fields)) => fields.iter().flat_map(|(_, field)| values_at(field, rest)).collect(),
        (name, value) => match value.get(name) {
            Some(found) => values_at(found, rest),
            None => vec![None],
        },
    }
}

/// Returns the first value that the other side does not have.
fn lone<'v, 'j>(values: &[Option<&'v Json<'j>>], others: &[Option<&'v Json<'j>>]) -> Option<&'v Json<'j>> {
    values.iter().flatten().copied().find(|value| !others.iter().flatten().any(|other| other == value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::compare::Rule;

    #[test]
    fn a_difference_without_values_on_either_side_shows_none() {
        let difference = |old: &str, new: &str| {
            let (old, new) = (old.to_owned(), new.to_owned());
            ShownDifference { path: "a".to_owned(), kind: "order", old, new }
        };
        assert_eq!(difference(NOTHING, NOTHING).indented(), "    a: order");
        assert_eq!(difference(NOTHING, NOTHING).row(), ["a", "order", "-", "-"]);
        assert_eq!(difference(NOTHING, "1").row(), ["a", "order", NOTHING, "1"]);
    }

    fn response(status: u16, content_type: &str, body: &str) -> ClientResponse {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        ClientResponse { status, headers, body: body.as_bytes().to_vec() }
    }

    /// Compares two bodies and returns the differences as lines.
    fn lines(old: &str, new: &str) -> Vec<String> {
        let json = |body| response(200, "application/json", body);
        let found = differences(&Comparison::default(), &json(old), &json(new), None);
        found.iter().map(|difference| difference.row().join(" | ")).collect()
    }

    #[test]
    fn differences_have_the_values_of_both_sides() {
        let cases = [
            (
                r#"{"a":1,"b":"x"}"#,
                r#"{"a":"1","b":"y"}"#,
                vec!["a | type | 1 | \"1\"", "b | value | \"x\" | \"y\""],
            ),
            (r#"{"a":{"b":1}}"#, r#"{"a":{}}"#, vec!["a.b | missing | 1 | (nothing)"]),
            (r#"{"a":[{"id":1}]}"#, r#"{"a":[{"id":1,"b":null}]}"#, vec!["a[].b | extra | (nothing) | null"]),
            // Items are paired by their ids.
            (
                r#"[{"id":2,"n":5},{"id":1,"n":6}]"#,
                r#"[{"id":1,"n":6},{"id":2,"n":7}]"#,
                vec!["[].n | number | 5 | 7", ". | order | - | -"],
            ),
            (r#"{"a":[1,2]}"#, r#"{"a":[1]}"#, vec!["a | length | \"2 items\" | \"1 items\""]),
            ("1", "2", vec![". | number | 1 | 2"]),
            ("{}", "oops", vec!["(body) | type | JSON | not JSON"]),
            ("{}", "{}", vec![]),
        ];
        for (old, new, expected) in cases {
            assert_eq!(lines(old, new), expected, "{old} {new}");
        }
    }

    #[test]
    fn status_headers_and_other_bodies_are_compared_too() {
        let policy = Comparison { headers: vec!["link".to_owned()], ..Comparison::default() };
        let mut old = response(200, "text/plain", "abc");
        old.headers.push(("link".to_owned(), "</a>; rel=next".to_owned()));
        let new = response(404, "text/html", "abd");
        let found = differences(&policy, &old, &new, None);
        let values: Vec<_> = found.iter().map(|d| (d.old.as_str(), d.new.as_str())).collect();
        assert_eq!(
            values,
            [("200", "404"), ("text/plain", "text/html"), ("</a>; rel=next", "(nothing)"), ("abc", "abd")]
        );
        assert!(differences(&policy, &old, &old, None).is_empty());
        let rule = Rule { path: "at".to_owned(), ignore: true, ..Rule::default() };
        let policy = Comparison { rules: vec![rule], ..Comparison::default() };
        let json = |body| response(200, "application/json", body);
        assert!(differences(&policy, &json(r#"{"at":1}"#), &json(r#"{"at":2}"#), None).is_empty());
    }

    #[test]
    fn of_a_response_that_does_not_fit_the_place_is_shown() {
        let misfit = Difference {
            path: "(adapter) results[].id".to_owned(),
            kind: DifferenceKind::Type,
            example: ("a number".to_owned(), "\"xx\"".to_owned()),
        };
        let (old, new) = (response(200, "application/json", "{}"), response(502, "application/json", "[]"));
        let found = differences(&Comparison::default(), &old, &new, Some(&misfit));
        let rows: Vec<String> = found.iter().map(|difference| difference.row().join(" | ")).collect();
        assert_eq!(
            rows,
            ["(status) | number | 200 | 502", "(adapter) results[].id | type | a number | \"xx\""]
        );
    }
}
