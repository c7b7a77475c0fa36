//! The instructions that shapes consist of, as they are stored in snapshots.

use crate::adapter::{literal::Literal, request::Source};
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
    /// The value at a path of fields; nothing if there is none.
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
    /// The value's entry in a table, or the alternative if it has none.
    Map(Vec<(Literal, Literal)>, Option<Literal>),
    /// The constant if the value is absent or null, else the value.
    Default(Literal),
    /// Nothing if the value is null, else the value.
    HideNull,
    /// An object with the value as its only field.
    Wrap(String),
    /// The result of a named shape of the [`Program`](crate::adapter::Program), by its index.
    Shape(u32),
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
