//! The instructions that shapes consist of, as they are stored in snapshots.

use crate::adapter::{literal::Literal, request::Source, template::Template};
use serde::{Deserialize, Serialize};

/// A list of steps that maps one JSON value to another. A step may return nothing, which leaves a
/// field out of its object; null mostly passes through.
///
/// This mapping of an adapter file
///
/// ```text
/// object:
///   id: { from: id, as: number }
///   author: author.name
/// ```
///
/// is stored as
///
/// ```json
/// [{"object": [
///   ["id", [{"get": ["id"]}, {"convert": "number"}]],
///   ["author", [{"get": ["author", "name"]}]]
/// ]}]
/// ```
///
/// and maps `{"id":"7","author":{"name":"Ann"}}` to `{"id":7,"author":"Ann"}`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(pub Vec<Step>);

/// A step of a [`Shape`]. The variants are named and documented by their results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The value at a path of fields and of items of lists; nothing if there is none.
    Get(Vec<String>),
    /// The value at a place of the request; nothing if there is none.
    Request(Source),
    /// A constant value.
    Const(Literal),
    /// The current time.
    Now(DateForm),
    /// An object with these fields, each built from the current value.
    Object(Vec<Field>),
    /// A list with the shape applied to each item.
    Each(Shape),
    /// The object with only these fields.
    Pick(Vec<String>),
    /// The object without these fields.
    Hide(Vec<String>),
    /// The object with fields renamed, as pairs of the current and the new name.
    Rename(Vec<(String, String)>),
    /// The object with these fields appended, replacing any of the same name.
    Add(Vec<Field>),
    /// The first result of these shapes that is neither absent nor null, else the last result.
    Coalesce(Vec<Shape>),
    /// The value converted to another form.
    Convert(Conversion),
    /// The value's entry in a table, or the alternative if it has none. A scalar is looked up as it is
    /// written: `1` is the string as well as the number.
    Map(Vec<(Literal, Literal)>, Option<Literal>),
    /// The constant if the value is absent or null, else the value.
    Default(Literal),
    /// Nothing if the value is null, else the value.
    HideNull,
    /// An object with the value as its only field.
    Wrap(String),
    /// A string with places; null if one of them is, and nothing if one is absent.
    Text(Template),
    /// The same with its places percent-encoded.
    Url(Template),
    /// The URL of a page; null or nothing if the number of the page is.
    PageUrl(Box<PageUrl>),
    /// The number of items of a list.
    Length,
    /// The value, which must be there and not be null.
    Required,
    /// The result of a named shape of the [`Program`](crate::adapter::Program), by its index.
    Shape(u32),
}

/// The URL of a page of a list, as links to the next and the previous page are.
///
/// ```text
/// page_url: { base: "https://api.example/users", page: next, keep: [name] }
/// ```
///
/// maps `{"next":3}`, for a request with `?name=a&page=2&x=1`, to
/// `https://api.example/users?page=3&name=a`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageUrl {
    /// The URL without the parameters; its places are percent-encoded.
    pub base: Template,
    /// Path to the number of the page in the current value.
    pub page: Vec<String>,
    /// Name of the query parameter with the number of the page.
    pub parameter: String,
    /// Parameters of the client's query that are repeated, as the client wrote them.
    #[serde(default, skip_serializing_if = "Kept::is_none")]
    pub keep: Kept,
    /// Place of the page parameter among those that are kept.
    #[serde(default)]
    pub position: PagePosition,
}

/// The parameters of the client's query that a [`PageUrl`] repeats. The page is never one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Those with these names.
    Named(Vec<String>),
    /// All of them.
    All,
}

/// A place of the page parameter of a [`PageUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagePosition {
    /// Before the others.
    #[default]
    First,
    /// After the others.
    Last,
    /// Its place in the client's query; the last one if the client sent none.
    Same,
}

impl Kept {
    /// Returns true if no parameter is repeated.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }

    /// Returns true if the parameter with this name is repeated.
    pub(super) fn keeps(&self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|held| held == name),
            Self::All => true,
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

/// A field of an object to build: its name and the shape of its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field(pub String, pub Shape);

/// A form of timestamps in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateForm {
    /// A string by RFC 3339, written in UTC.
    Rfc3339,
    /// A number of seconds since 1970.
    Epoch,
    /// A number of milliseconds since 1970.
    EpochMs,
}

/// A conversion of a scalar. Null stays null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conversion {
    /// A string that holds a JSON number becomes that number, with the same digits.
    Number,
    /// A number becomes a string of its digits.
    Text,
    /// A timestamp in the first form becomes one in the second.
    Date(DateForm, DateForm),
}
