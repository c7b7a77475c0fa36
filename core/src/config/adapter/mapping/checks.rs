//! Checks mappings against the selections of operations, and against the structure of errors.

use super::context::Context;
use crate::{
    adapter::Conversion,
    config::{
        adapter::graphql::{Content, Selected},
        reading::{Cursor, EntryCursor, nearest},
    },
    json::list_index,
};

/// The type of errors, as messages name it. No type of a schema has a space.
const ERROR: &str = "an error";

/// Returns the structure of the errors that envelopes and messages are made from.
pub(super) fn error() -> Selected {
    let fields = [("status", "Int"), ("code", "String"), ("message", "String"), ("field", "String")];
    let field = |(name, kind): (&str, &str)| (name.to_owned(), Selected::scalar(kind, false));
    let content = Content::Object(fields.into_iter().map(field).collect());
    Selected { written: ERROR.to_owned(), nullable: false, content }
}

impl Context<'_> {
    /// Returns a field of the value, and reports it if the operation does not select it.
    fn field(&self, cursor: &Cursor<'_>, value: &Selected, name: &str) -> Option<Selected> {
        if let Some(field) = value.get(name) {
            return Some(field.within(value));
        }
        let written = &value.written;
        let predicate = format!("does not select {name} of {written}");
        // Of a named shape that several operations use, one is told of, and the remedy is for all of them.
        let is_told = |message: &str| is_alike(message, &predicate);
        if !self.open.is_empty() && cursor.is_told(is_told) {
            return None;
        }
        let (message, hint) = match &value.content {
            Content::Object(_) if list_index(name).is_some() => (
                format!("{written} is no list, so it has no item {name}"),
                "name one of its fields".to_owned(),
            ),
            Content::Object(fields) => {
                let near = nearest(name, fields.iter().map(|(field, _)| field.as_str()));
                if written == ERROR {
                    (format!("{ERROR} has no {name}"), self.error_hint(name, near))
                } else {
                    let place = match self.open.last() {
                        Some(shape) => format!("every operation that uses the shape {shape}"),
                        None => "the operation".to_owned(),
                    };
                    let hint = match near {
                        Some(near) => format!("did you mean {near}? Otherwise select {name} in {place}"),
                        None => format!("select {name} in {place}, or remove it from the mapping"),
                    };
                    let hint = self.missing_root(value, name).unwrap_or(hint);
                    (format!("{} {predicate}", self.operation), hint)
                }
            }
            Content::List(_) => (
                format!("{written} is a list and has no field {name}"),
                "map its items with each, or name one of them by its number, such as 0".into(),
            ),
            Content::Scalar(_) | Content::Enum(_) => {
                (format!("{written} has no fields, so no {name}"), "map the value itself with .".into())
            }
        };
        cursor.refuse(message, hint)
    }

    /// Returns the remedy for a name that no field of an error has.
    fn error_hint(&self, name: &str, near: Option<&str>) -> String {
        match near {
            Some(near) => format!("did you mean {near}?"),
            None if self.parameters.iter().flatten().any(|parameter| parameter == name) => {
                format!("write {{path.{name}}} for the parameter of the path")
            }
            None => {
                "an error has status, code, message and field; write {path.id} for a place in the request"
                    .to_owned()
            }
        }
    }

    /// Returns the part of the value that a name in a path stands for, and reports it if there is none.
    pub(super) fn part(&self, cursor: &Cursor<'_>, value: &Selected, name: &str) -> Option<Selected> {
        value.part(name).or_else(|| self.field(cursor, value, name))
    }

    /// Follows a path to a value that a text is to contain, and reports an object or a list. Returns true
    /// if the value may be null or absent.
    pub(super) fn scalar(
        &self,
        cursor: &Cursor<'_>,
        value: Option<&Selected>,
        path: &[String],
    ) -> Option<bool> {
        let Some(value) = value else { return Some(true) };
        let mut found = value.clone();
        for name in path {
            found = self.part(cursor, &found, name)?;
        }
        let part = |name: &str| {
            let mut names = path.to_vec();
            names.push(name.to_owned());
            names.join(".")
        };
        let (kind, hint) = match &found.content {
            Content::Scalar(_) | Content::Enum(_) => return Some(found.nullable),
            Content::Object(fields) => {
                let field = fields.first().map_or("id", |(name, _)| name.as_str());
                ("an object", format!("name one of its fields, such as {}", part(field)))
            }
            Content::List(_) => {
                ("a list", format!("map its items with each, or name one of them, such as {}", part("0")))
            }
        };
        let written = &found.written;
        cursor.refuse(format!("{written} is {kind}, which a text cannot contain"), hint)
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

    /// Returns false if the value has no field with this name, which is reported. A value whose structure is
    /// unknown may have any.
    pub(super) fn known(&self, cursor: &Cursor<'_>, value: Option<&Selected>, name: &str) -> bool {
        value.is_none_or(|value| self.field(cursor, value, name).is_some())
    }
}

/// Returns true if a message about an operation says this, of the same type or of one that may be null or not.
fn is_alike(message: &str, predicate: &str) -> bool {
    message.trim_end_matches('!').ends_with(predicate.trim_end_matches('!'))
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
        let hint = match (&value.content, conversion) {
            (Content::Scalar(name), Conversion::Number) if matches!(name.as_str(), "Int" | "Float") => {
                "it is a number already: remove as, or write as: string"
            }
            (Content::Scalar(name), Conversion::Text) if matches!(name.as_str(), "String" | "ID") => {
                "it is a string already: remove as, or write as: number"
            }
            _ => hint,
        };
        return cursor.refuse(format!("{} cannot be converted like this", value.written), hint);
    }
    Some(conversion)
}

/// Warns of a table without `otherwise` for a scalar, whose values the schema does not list.
pub(super) fn warn_of_other_values<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    value: Option<&Selected>,
    entries: &[EntryCursor<'n>],
) {
    let Some(Selected { content: Content::Scalar(name), written, .. }) = value else { return };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    if cursor.is_stored() || (name == "Boolean" && has("true") && has("false")) {
        return;
    }
    let warning = format!(
        "{}: {written} may have values that map does not name, and a response with one is unfit (502); add \
         otherwise: with the value for all others",
        cursor.path()
    );
    // A shape is read at each of its uses.
    if !context.warnings.contains(&warning) {
        context.warnings.push(warning);
    }
}
