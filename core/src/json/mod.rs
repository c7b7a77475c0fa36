//! JSON as it was written: objects keep their order, numbers keep their digits, texts are borrowed where they can be.
//!
//! Answers of backends go through this on their way to clients, so nothing may be lost that a client could see: no
//! number becomes a float, no key moves. It is also how the edge reads its own documents ([`from_str`]), because a reader
//! that words no errors is a tenth of the Worker smaller (docs/adr/0013).

mod decimal;
mod parse;
mod read;
mod tape;
mod write;

pub use decimal::{Decimal, float};
pub use parse::{Malformed, is_number};
pub use read::{FromJson, Unfit, field, field_or, from_str, variant};
pub(crate) use read::{read_fields, read_names, read_text};
pub use tape::{Tape, Value};

use std::borrow::Cow;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Json<'a> {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, by its text.
    Number(Cow<'a, str>),
    /// A text, without its escapes.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Json<'a>>),
    /// Fields in their order.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Nesting that is read unless somebody says otherwise.
pub const MAX_DEPTH: usize = 64;

impl<'a> Json<'a> {
    /// Reads a text of at most [`MAX_DEPTH`] levels.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        Self::parse_within(text, MAX_DEPTH)
    }

    /// Reads a text of at most so many levels.
    pub fn parse_within(text: &'a str, depth: usize) -> Result<Self, Malformed> {
        Tape::read_within(text, depth).map(|tape| tape.json())
    }

    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// A whole number.
    pub fn integer(number: i64) -> Self {
        Self::Number(number.to_string().into())
    }

    /// The field of this name; the last one, where a writer repeated it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, where it is a list.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What kind of value it is, as JSON calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(truth) => Json::Bool(truth),
            Self::Number(text) => Json::Number(text.into_owned().into()),
            Self::Text(text) => Json::Text(text.into_owned().into()),
            Self::List(items) => Json::List(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(fields) => Json::Object(
                fields
                    .into_iter()
                    .map(|(key, value)| (key.into_owned().into(), value.into_owned()))
                    .collect(),
            ),
        }
    }

    /// Appends the value to a text, without spaces.
    pub fn write(&self, out: &mut String) {
        write::value(self, out);
    }
}

impl std::fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

/// Appends a text as JSON writes it, in quotes.
pub fn write_text(text: &str, out: &mut String) {
    write::text(text, out);
}
