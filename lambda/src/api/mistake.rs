//! Mistakes in the fields of a body and in parameters, in the words of the API. This is the only place where errors of
//! decoding become text, so that no client reads the names of Rust's types.

use crate::problem::Problem;
use cutover_core::config::nearest;
use serde::de::{self, Expected, Unexpected};
use std::fmt;

/// Most characters of a value that a problem repeats.
const MAX_SHOWN: usize = 60;

/// Part of a request that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The JSON body, with its fields.
    Body,
    /// The query, with its parameters.
    Query,
}

impl Part {
    /// Returns the word for one value of the part.
    fn noun(self) -> &'static str {
        match self {
            Self::Body => "field",
            Self::Query => "parameter",
        }
    }
}

/// A mistake in one value of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The value is of another kind than it must be.
    Kind {
        /// Kind of value that is needed.
        expected: &'static str,
        /// The value, or its kind.
        found: String,
    },
    /// The number is too small or too large.
    Range {
        /// Kind of value that is needed.
        expected: &'static str,
        /// The number.
        found: String,
    },
    /// The word is not one of the choices.
    Choice {
        /// The word.
        found: String,
        /// All choices.
        choices: &'static [&'static str],
    },
    /// There is no field or parameter of this name.
    Unknown {
        /// The name.
        name: String,
        /// All names.
        names: &'static [&'static str],
    },
    /// A field or parameter is missing.
    Missing(&'static str),
    /// A field or parameter is given twice.
    Twice(&'static str),
    /// The value breaks a rule of its own; the sentence is that of its type.
    Rule(String),
}

impl Mistake {
    /// Builds the problem for this mistake. `path` leads to the value, or to the object that lacks it; it is empty at the top.
    pub(super) fn problem(&self, part: Part, path: &str) -> Problem {
        let noun = part.noun();
        let field = match self {
            Self::Missing(name) | Self::Twice(name) => below(path, name),
            Self::Unknown { name, .. } if path.is_empty() => name.clone(),
            _ if path.is_empty() => "body".to_owned(),
            _ => path.to_owned(),
        };
        let (detail, hint) = match self {
            Self::Kind { expected, found } => {
                (format!("expected {expected}, found {found}"), format!("send {expected}"))
            }
            Self::Range { expected, found } => {
                (format!("{found} is out of range"), format!("send {expected}"))
            }
            Self::Choice { found, choices } => {
                (format!("{found:?} is not one of its values"), suggested(found, choices))
            }
            Self::Unknown { name, names: [] } => (
                format!("{name} is not a {noun} of this request"),
                "leave it out; this request takes none".to_owned(),
            ),
            Self::Unknown { name, names } => {
                (format!("{name} is not a {noun} of this request"), suggested(name, names))
            }
            Self::Missing(name) => (
                format!("the {noun} {name} is missing"),
                format!("add it; docs/api.md describes every {noun}"),
            ),
            Self::Twice(name) => (format!("the {noun} {name} is given twice"), "send it once".to_owned()),
            Self::Rule(sentence) => (sentence.clone(), format!("docs/api.md describes this {noun}")),
        };
        Problem::invalid(&field, detail, hint)
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Returns the hint for an unknown word: the one that was most likely meant, or all of them.
fn suggested(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("use {}", known.join(", ")),
    }
}

/// Translates serde's name for a kind of value.
fn kind(expected: &str) -> &'static str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or above",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "a boolean" => "true or false",
        "a string" | "a character" | "variant identifier" => "a string",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.starts_with("enum ") => "a string",
        _ => "another kind of value",
    }
}

/// Describes a value in words of JSON.
fn found(value: Unexpected<'_>) -> String {
    match value {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Str(text) => format!("{:?}", shortened(text)),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        _ => "another kind of value".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem(Part::Body, "").detail)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Rule(message.to_string())
    }

    fn invalid_type(value: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Kind { expected: kind(&expected.to_string()), found: found(value) }
    }

    fn invalid_value(value: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let is_number =
            matches!(value, Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_));
        let (expected, found) = (kind(&expected.to_string()), found(value));
        if is_number { Self::Range { expected, found } } else { Self::Kind { expected, found } }
    }

    fn invalid_length(length: usize, _: &dyn Expected) -> Self {
        Self::Rule(format!("a list of {length} values has too few or too many"))
    }

    fn unknown_variant(word: &str, choices: &'static [&'static str]) -> Self {
        Self::Choice { found: shortened(word), choices }
    }

    fn unknown_field(name: &str, names: &'static [&'static str]) -> Self {
        Self::Unknown { name: shortened(name), names }
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Twice(name)
    }
}
