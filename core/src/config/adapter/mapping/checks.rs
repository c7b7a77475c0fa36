//! Checks mappings against the selections of operations.

use super::context::Context;
use crate::{
    adapter::Conversion,
    config::{
        adapter::graphql::{Content, Selected},
        reading::{Cursor, nearest},
    },
};

impl Context<'_> {
    /// Returns a field of the value, and reports it if the operation does not select it.
    pub(super) fn field(&self, cursor: &Cursor<'_>, value: &Selected, name: &str) -> Option<Selected> {
        if let Some(field) = value.get(name) {
            return Some(field.within(value));
        }
        let written = &value.written;
        let (message, hint) = match &value.content {
            Content::Object(fields) => {
                let hint = match nearest(name, fields.iter().map(|(field, _)| field.as_str())) {
                    Some(near) => format!("did you mean {near}? Otherwise select {name} in the operation"),
                    None => format!("select {name} in the operation, or remove it from the mapping"),
                };
                (format!("{} does not select {name} of {written}", self.operation), hint)
            }
            Content::List(_) => {
                (format!("{written} is a list and has no field {name}"), "map its items with each".into())
            }
            Content::Scalar(_) | Content::Enum(_) => {
                (format!("{written} has no fields, so no {name}"), "map the value itself with .".into())
            }
        };
        cursor.refuse(message, hint)
    }

    /// Reports the names that the value has no fields of, if its structure is known.
    pub(super) fn known<'a>(
        &self,
        cursor: &Cursor<'_>,
        value: Option<&Selected>,
        names: impl Iterator<Item = &'a String>,
    ) {
        if let Some(value) = value {
            for name in names {
                self.field(cursor, value, name);
            }
        }
    }
}

/// Reads a conversion of the value.
pub(super) fn conversion(cursor: &Cursor<'_>, value: Option<&Selected>) -> Option<Conversion> {
    let hint = "write as: number for a string of digits, or as: string for a number";
    let conversions = [("number", Conversion::Number), ("string", Conversion::Text)];
    let conversion = cursor.choice(&conversions, "is not a conversion", hint)?;
    let Some(value) = value else { return Some(conversion) };
    let fits = match &value.content {
        Content::Scalar(name) => match (name.as_str(), conversion) {
            ("Int" | "Float", found) => found == Conversion::Text,
            ("String" | "ID", found) => found == Conversion::Number,
            ("Boolean", _) => false,
            _ => true,
        },
        _ => false,
    };
    if !fits {
        return cursor.refuse(format!("{} cannot be converted like this", value.written), hint);
    }
    Some(conversion)
}
