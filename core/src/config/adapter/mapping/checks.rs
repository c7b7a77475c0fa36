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
                let hint = self.missing_root(value, name).unwrap_or(hint);
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

    /// Returns the remedy for a field that is not in `data` but in a field of it, so that the route was
    /// probably meant to have a root.
    fn missing_root(&self, value: &Selected, name: &str) -> Option<String> {
        let Content::Object(fields) = &value.content else { return None };
        if self.data.as_ref() != Some(&value.written) {
            return None;
        }
        let selects = |field: &Selected| match &field.content {
            Content::List(item) => item.get(name).is_some(),
            _ => field.get(name).is_some(),
        };
        let (root, _) = fields.iter().find(|(_, field)| selects(field))?;
        Some(format!("write root: {root} in the route, so that its mapping begins there"))
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
