//! Reports keys of variables that have no effect.

use super::graphql::Declared;
use crate::{
    adapter::{Kind, Source, Variable},
    config::reading::{Cursor, Fields, Value},
};

/// Checks a variable that has neither a place in the request nor fields with places.
pub(super) fn without_place(cursor: &Cursor<'_>, fields: &mut Fields<'_>, variable: &mut Variable) {
    if !matches!(variable.kind, Kind::Object(_)) {
        // A key that was reported may have been meant to be one.
        if variable.default.is_none() && fields.clean().is_some() {
            cursor.report("the variable has no source", "write from, const or fields");
        }
    } else if fields.optional("const").is_some() {
        // It was checked against the type. A variable that is an object would be made from its fields.
        variable.kind = Kind::Any;
    } else if let Some(default) = fields.optional("default").filter(|cursor| !cursor.is_stored()) {
        let hint = "write const instead, or from: body for an object that the request may have";
        default.report("an object without from is made from the fields of the body, not of default", hint);
    }
}

/// Returns true if the variable itself is read from the request, and reports it otherwise.
pub(super) fn is_read(cursor: &Cursor<'_>, from: Option<&Cursor<'_>>, declared: &Declared) -> bool {
    if from.is_none() {
        let hint = match declared.variable.kind {
            Kind::Object(_) => "write it at the fields that need it",
            _ => "remove it, or write from: with the place of the value",
        };
        cursor.report("the variable itself is not read from the request", hint);
    }
    from.is_some()
}

/// Reports a default that is never used, because the value is always there and fits or is refused.
pub(super) fn unused_default(fields: &mut Fields<'_>, declared: &Declared) {
    if let Some(Source::Path(_)) = &declared.variable.from
        && fields.optional("invalid").is_none_or(|cursor| !matches!(cursor.value(), Value::String(_)))
        && let Some(cursor) = fields.optional("default").filter(|cursor| !cursor.is_stored())
    {
        let hint = "remove default, or add invalid: default for a value that does not fit";
        cursor.report("a parameter of the path is always there, so that default is never used", hint);
    }
}

/// Reports the keys that have no effect beside `fields`, of which the object is made.
pub(super) fn beside_fields(fields: &mut Fields<'_>, declared: &Declared) {
    if declared.is_known && !matches!(declared.variable.kind, Kind::Object(_)) {
        // It has no fields, which has been reported.
        return;
    }
    for name in ["from", "default", "const", "map"] {
        if let Some(cursor) = fields.optional(name).filter(|cursor| !cursor.is_stored()) {
            let hint = format!("keep {name} or fields; each of the fields may have its own {name}");
            cursor.report(format!("{name} has no effect on an object that fields make"), hint);
        }
    }
}

/// Reports the keys that have no effect beside `each`, by which the items are read. Returns true if there is one.
pub(super) fn beside_each(fields: &mut Fields<'_>, has_place: bool) -> bool {
    let mut is_there = false;
    let mut refuse = |name: &str, cursor: Option<Cursor<'_>>, hint: String| {
        if let Some(cursor) = cursor {
            cursor.report(format!("{name} has no effect beside each"), hint);
            is_there = true;
        }
    };
    for name in ["map", "integer", "split"] {
        refuse(name, fields.optional(name), format!("write {name} inside each, for its items"));
    }
    if !has_place {
        let constants = ["default", "const"].map(|name| (name, fields.optional(name)));
        for (name, cursor) in constants {
            refuse(name, cursor, format!("write from: with the place of the list, or remove {name}"));
        }
    }
    is_there
}
