//! Reads the responses to errors.

use super::mapping::Context;
use crate::{
    adapter::{Errors, Fault, Field, Part, Shape, Step, Template},
    config::reading::{Cursor, Fields},
};

fn fault_with(status: u16, code: &str, message: &str) -> Fault {
    Fault { status, code: code.to_owned(), message: Template::text(message) }
}

/// Returns the default response to a request whose values are missing or not valid.
pub(super) fn invalid() -> Fault {
    let message = Template(vec![
        Part::Value(vec!["field".to_owned()]),
        Part::Text(" is missing or not valid".to_owned()),
    ]);
    Fault { status: 400, code: "invalid".to_owned(), message }
}

/// Returns the default response to a null at the root of a route.
pub(super) fn not_found() -> Fault {
    fault_with(404, "not_found", "there is no such thing")
}

/// Returns the errors of an adapter without a section `errors`.
fn defaults() -> Errors {
    let field = |name: &str| Field(name.to_owned(), Shape(vec![Step::Get(vec![name.to_owned()])]));
    Errors {
        envelope: Shape(vec![Step::Object(vec![field("code"), field("message")])]),
        read: None,
        paths: Vec::new(),
        codes: Vec::new(),
        statuses: Vec::new(),
        otherwise: fault_with(500, "internal", "the request could not be answered"),
        invalid: invalid(),
        too_large: fault_with(413, "too_large", "the body is too large"),
        unauthenticated: fault_with(401, "unauthenticated", "a valid token is needed"),
        unreachable: fault_with(502, "unreachable", "the service could not be reached"),
        timeout: fault_with(504, "timeout", "the service did not answer in time"),
        unfit: fault_with(502, "bad_answer", "the service gave an answer that cannot be used"),
    }
}

/// Reads `{ status, code, message }`; a missing field keeps its value in `fault`.
pub(super) fn fault<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, mut fault: Fault) -> Option<Fault> {
    let mut fields = cursor.fields("write { status: 404, code: not_found, message: \"no such review\" }")?;
    fields.set("status", &mut fault.status, |cursor| {
        // The limits fit.
        Some(cursor.number_within((400.0, 599.0), "an error's status")? as u16)
    })?;
    fields.set("code", &mut fault.code, Cursor::loose_string)?;
    fields.set("message", &mut fault.message, |cursor| context.message(cursor))?;
    fields.finish();
    Some(fault)
}

/// Reads the section `errors`.
pub(super) fn read<'n>(context: &mut Context<'n>, cursor: Option<&Cursor<'n>>) -> Option<Errors> {
    let mut errors = defaults();
    let Some(cursor) = cursor else { return Some(errors) };
    let mut fields = cursor.fields("write envelope, codes, paths, statuses and otherwise")?;
    fields.set("envelope", &mut errors.envelope, |cursor| context.error_envelope(cursor))?;
    fields.set("read", &mut errors.read, |cursor| Some(Some(context.mapping(cursor, None)?.shape)))?;
    for (name, target) in [
        ("otherwise", &mut errors.otherwise),
        ("invalid", &mut errors.invalid),
        ("too_large", &mut errors.too_large),
        ("unauthenticated", &mut errors.unauthenticated),
        ("unreachable", &mut errors.unreachable),
        ("timeout", &mut errors.timeout),
        ("unfit", &mut errors.unfit),
    ] {
        if let Some(cursor) = fields.optional(name) {
            *target = fault(context, &cursor, target.clone())?;
        }
    }
    lists(context, &mut fields, &mut errors);
    fields.finish();
    Some(errors)
}

/// Reads the faults for single codes, paths and statuses. Each starts from `otherwise`.
fn lists<'n>(context: &mut Context<'n>, fields: &mut Fields<'n>, errors: &mut Errors) {
    let hint = "write one line per error, such as NOT_FOUND: { status: 404, code: not_found }";
    for entry in fields.entries("codes", hint) {
        if let Some(fault) = fault(context, &entry.value, errors.otherwise.clone()) {
            errors.codes.push((entry.key.to_owned(), fault));
        }
    }
    for entry in fields.entries("paths", hint) {
        if let Some(fault) = fault(context, &entry.value, errors.otherwise.clone()) {
            errors.paths.push((entry.key.split('.').map(str::to_owned).collect(), fault));
        }
    }
    for entry in fields.entries("statuses", hint) {
        if let Some(fault) = fault(context, &entry.value, errors.otherwise.clone()) {
            match entry.key.parse::<u16>() {
                Ok(status) => errors.statuses.push((status, fault)),
                Err(_) => {
                    let message = format!("{} is not a status", entry.key);
                    entry.key_cursor.report(message, "write one, such as 401");
                }
            }
        }
    }
}
