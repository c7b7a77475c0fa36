//! The comparison policy of a route: the requests to compare, the limits, and the differences that
//! are permitted.

use crate::{json::value::Json, vocabulary::share::PartsPerMillion};
use serde::{Deserialize, Serialize};

/// The header that is always compared, by its meaning.
pub(super) const CONTENT_TYPE: &str = "content-type";

/// The start of the path of a rule for a header: `header link`.
const HEADER: &str = "header ";

/// The comparison policy of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// Share of requests that are sent to both backends.
    pub sample: PartsPerMillion,
    /// Share of these that are sent to legacy a second time, to find the differences that are
    /// noise.
    pub noise: PartsPerMillion,
    /// Largest number of comparisons that one isolate begins in a minute.
    pub per_minute: u32,
    /// Largest number of comparisons that one isolate has in progress.
    pub concurrency: u32,
    /// Timeout of the request to the other backend, in milliseconds.
    pub timeout_ms: u32,
    /// Largest body to compare, in bytes.
    pub max_bytes: u32,
    /// Deepest nesting of a body to compare, in levels.
    pub max_depth: u32,
    /// Headers to compare in addition to `content-type`, in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Unsafe requests to compare too; `None` compares only GET and HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Rules for differences that are permitted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            sample: PartsPerMillion::ZERO,
            noise: PartsPerMillion::of_percent(10),
            per_minute: 60,
            concurrency: 4,
            timeout_ms: 5_000,
            max_bytes: 262_144,
            max_depth: 32,
            headers: Vec::new(),
            mirror: None,
            rules: Vec::new(),
        }
    }
}

impl Comparison {
    /// Returns the names of the compared headers, in the order of
    /// [`Response::headers`](crate::compare::Response::headers).
    pub fn compared_headers(&self) -> impl Iterator<Item = &str> {
        std::iter::once(CONTENT_TYPE).chain(self.headers.iter().map(String::as_str))
    }
}

/// Unsafe requests that may be sent to both backends all the same: those with an idempotency key,
/// by which a backend recognises a repetition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Methods of the requests.
    pub methods: Vec<String>,
    /// Name of the header with the key, in lower case.
    pub key_header: String,
}

/// The differences that are permitted at a path. In a configuration file:
///
/// ```text
/// rules:
///   - { path: timestamp, ignore: true }
///   - { path: "data[].tags", unordered: true }
///   - { path: "data[]", key_by: sku }
///   - { path: "data[].price", tolerance: 0.01 }
///   - { path: "data[].created_at", normalise: date }
///   - { path: "data[].version", exact: true }
///   - { path: "header last-modified", normalise: date }
/// ```
///
/// All rules that match a path apply; of two values for one option, the first counts, and likewise
/// of `exact` and its opposites, `tolerance` and `normalise`. `unordered` and `key_by` are options
/// of a list, and their path may name the list (`data`) or its items (`data[]`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// The path: names separated by dots, `[]` for the items of a list, `*` for any name, `**` at
    /// the end for everything below; or `header NAME`.
    pub path: String,
    /// True if nothing is compared at the path.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore: bool,
    /// True if the order of a list's items does not matter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unordered: bool,
    /// The field that pairs the items of two lists; `id` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_by: Option<String>,
    /// Largest permitted distance between two numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// Normalisation of the values before they are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Normalise>,
    /// True if numbers are compared by their digits and not by their value, and the content type by
    /// its text and not by its meaning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

/// A normalisation of values before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Strings without regard to the case of the letters A to Z.
    Lowercase,
    /// Strings without whitespace at their ends, and with single spaces inside.
    Whitespace,
    /// Timestamps by the instant that they denote, as RFC 3339 strings, HTTP dates or numbers.
    Date,
    /// Numbers by their value, also inside strings.
    Number,
}

impl Rule {
    /// Returns the rules that match a path in a body as one.
    pub(super) fn merged(rules: &[Self], path: &[&str]) -> Self {
        Self::joined(rules.iter().filter(|rule| rule.is_for(path)))
    }

    /// Returns the rules for a header as one.
    pub(super) fn merged_for_header(rules: &[Self], name: &str) -> Self {
        Self::joined(rules.iter().filter(|rule| rule.is_for_header(name)))
    }

    fn joined<'r>(rules: impl Iterator<Item = &'r Self>) -> Self {
        let mut all = Self::default();
        for rule in rules {
            all.ignore |= rule.ignore;
            all.unordered |= rule.unordered;
            all.key_by = all.key_by.or_else(|| rule.key_by.clone());
            if !all.exact {
                all.tolerance = all.tolerance.or(rule.tolerance);
                all.normalise = all.normalise.or(rule.normalise);
                all.exact = rule.exact && all.tolerance.is_none() && all.normalise.is_none();
            }
        }
        all
    }

    /// Returns the name of the header that the rule is for, as it is written; `None` if it is for
    /// bodies.
    pub fn header(&self) -> Option<&str> {
        self.path.strip_prefix(HEADER)
    }

    /// Returns true if the rule is for this header. Case does not matter.
    pub(super) fn is_for_header(&self, name: &str) -> bool {
        self.header().is_some_and(|header| header.eq_ignore_ascii_case(name))
    }

    /// Returns the steps of the path of a rule for bodies: names, and `[]` for the items of a list.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.path.split('.').flat_map(|part| {
            // `data[]` is two steps: the name, and the items.
            let (name, items) =
                part.split_once("[]").map_or((part, 0), |(name, rest)| (name, 1 + rest.len() / 2));
            Some(name).filter(|name| !name.is_empty()).into_iter().chain(std::iter::repeat_n("[]", items))
        })
    }

    /// Returns true if the rule matches this path in a body, given as its steps.
    ///
    /// ```
    /// use cutover_core::compare::Rule;
    ///
    /// let rule = Rule { path: "data[].author.*".to_owned(), ..Rule::default() };
    /// assert!(rule.is_for(&["data", "[]", "author", "name"]));
    /// assert!(!rule.is_for(&["data", "[]", "author"]));
    /// ```
    pub fn is_for(&self, path: &[&str]) -> bool {
        if self.header().is_some() {
            return false;
        }
        let mut wanted = self.steps();
        for step in path {
            match wanted.next() {
                Some("**") => return true,
                Some("*") if *step != "[]" => {}
                Some(held) if held == *step => {}
                _ => return false,
            }
        }
        // `a.**` matches everything below a, but not a itself.
        wanted.next().is_none()
    }
}

/// A JSON value that documents store as itself, not as a string of JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainJson(pub Json<'static>);

impl Serialize for PlainJson {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: serde_json::Value =
            serde_json::from_str(&self.0.to_string()).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PlainJson {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = serde_json::Value::deserialize(deserializer)?.to_string();
        Json::parse(&text).map(|value| Self(value.into_owned())).map_err(serde::de::Error::custom)
    }
}

/// The mark of an error in the body of a successful response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiddenError {
    /// The path of the field that reveals the error.
    pub path: String,
    /// The value that reveals the error; if `None`, any value does that is not empty: not null,
    /// false, `""`, `[]` or `{}`, which many backends write beside a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<PlainJson>,
}

impl HiddenError {
    /// Returns true if the body has the mark of an error.
    pub fn is_in(&self, body: &Json<'_>) -> bool {
        let found = self.path.split('.').try_fold(body, |value, name| value.get(name));
        match (found, &self.equals) {
            (Some(found), Some(literal)) => *found == literal.0,
            (Some(found), None) => !is_empty(found),
            (None, _) => false,
        }
    }
}

fn is_empty(value: &Json<'_>) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) | Json::Number(_) => false,
        Json::Text(text) => text.is_empty(),
        Json::List(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
    }
}
