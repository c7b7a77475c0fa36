//! What is compared, how often, and what may differ.

use crate::json::{FromJson, field, field_or, read_fields, read_names};
use crate::{json::Json, rate::PartsPerMillion};
use serde::{Deserialize, Serialize};

/// How the answers of a route are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// The share of requests that both backends are asked.
    pub sample: PartsPerMillion,
    /// The share of these that legacy is asked a second time, to see what differs by itself.
    pub noise: PartsPerMillion,
    /// Comparisons that one isolate begins in a minute, at most.
    pub per_minute: u32,
    /// Comparisons that one isolate has under way, at most.
    pub concurrency: u32,
    /// Milliseconds that the other backend is waited for.
    pub timeout_ms: u32,
    /// Bytes of a body, at most.
    pub max_bytes: u32,
    /// Nesting of a body, at most.
    pub max_depth: u32,
    /// Headers that are compared beside `content-type`, in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Which requests that change something are compared too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// What may differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            sample: PartsPerMillion::ZERO,
            noise: Share(10.0).into(),
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

/// Percent, where they are a constant of the program.
#[derive(Debug, Clone, Copy)]
pub struct Share(pub f64);

impl From<Share> for PartsPerMillion {
    fn from(share: Share) -> Self {
        Self::from_percent(share.0).unwrap_or_default()
    }
}

/// Requests that change something, and may be sent to both backends all the same: those that carry a key by which a
/// backend knows a repetition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// The methods.
    pub methods: Vec<String>,
    /// The header with the key, in lower case.
    pub key_header: String,
}

/// What may differ at a path.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// The path: names with dots, `[]` for the items of a list, `*` for any name, `**` at the end for everything below.
    pub path: String,
    /// Nothing is compared here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore: bool,
    /// The order of the items says nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unordered: bool,
    /// Items belong together by this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_by: Option<String>,
    /// How far numbers may lie apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// How values are written before they are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Normalise>,
}

/// A way to write values before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Texts without regard to the case of the letters A to Z.
    Lowercase,
    /// Texts without space at their ends, and with single spaces inside.
    Whitespace,
    /// Times by the moment they name.
    Date,
    /// Numbers by their value, also where they stand in texts.
    Number,
}

impl Rule {
    /// Whether the rule is for this path.
    pub fn is_for(&self, path: &[&str]) -> bool {
        let mut wanted = self.path.split('.').flat_map(|part| {
            // `data[]` is two steps: the name, and the items.
            let (name, items) =
                part.split_once("[]").map_or((part, 0), |(name, rest)| (name, 1 + rest.len() / 2));
            Some(name).filter(|name| !name.is_empty()).into_iter().chain(std::iter::repeat_n("[]", items))
        });
        for step in path {
            match wanted.next() {
                Some("**") => return true,
                Some("*") if *step != "[]" => {}
                Some(held) if held == *step => {}
                _ => return false,
            }
        }
        // `a.**` is for what is below a, not for a.
        wanted.next().is_none()
    }
}

/// A JSON value that stands in a document as itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Plain(pub Json<'static>);

impl Serialize for Plain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: serde_json::Value =
            serde_json::from_str(&self.0.to_string()).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = serde_json::Value::deserialize(deserializer)?.to_string();
        Json::parse(&text).map(|value| Self(value.into_owned())).map_err(serde::de::Error::custom)
    }
}

impl FromJson for Plain {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        Some(Self(json.clone().into_owned()))
    }
}

/// An answer of 200 that is an error all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiddenError {
    /// The path of the field that tells.
    pub path: String,
    /// It tells by having this value; otherwise by being there and not null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Plain>,
}

impl HiddenError {
    /// Whether a body hides an error.
    pub fn is_in(&self, body: &Json<'_>) -> bool {
        let found = self.path.split('.').try_fold(body, |value, name| value.get(name));
        match (found, &self.equals) {
            (Some(found), Some(literal)) => *found == literal.0,
            (Some(found), None) => !found.is_null(),
            (None, _) => false,
        }
    }
}

read_fields!(Mirror { methods, key_header });
read_fields!(Rule { path, ignore, unordered, key_by, tolerance, normalise });
read_fields!(HiddenError { path, equals });
read_names!(Normalise {
    "lowercase" => Lowercase,
    "whitespace" => Whitespace,
    "date" => Date,
    "number" => Number,
});

impl FromJson for Comparison {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let otherwise = Self::default();
        Some(Self {
            sample: field_or(json, "sample", otherwise.sample)?,
            noise: field_or(json, "noise", otherwise.noise)?,
            per_minute: field_or(json, "per_minute", otherwise.per_minute)?,
            concurrency: field_or(json, "concurrency", otherwise.concurrency)?,
            timeout_ms: field_or(json, "timeout_ms", otherwise.timeout_ms)?,
            max_bytes: field_or(json, "max_bytes", otherwise.max_bytes)?,
            max_depth: field_or(json, "max_depth", otherwise.max_depth)?,
            headers: field(json, "headers")?,
            mirror: field(json, "mirror")?,
            rules: field(json, "rules")?,
        })
    }
}
