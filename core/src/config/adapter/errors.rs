//! Reads the responses to errors.

use super::{
    headers::{self, Use},
    mapping::Context,
};
use crate::{
    adapter::{Errors, Fault, FaultStatus, Field, Part, Shape, Step, Template},
    config::reading::{Cursor, Fields, Value},
};

/// The side that an error comes from, which decides if its status can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorSource {
    /// A backend whose errors `read` maps.
    ReadBackend,
    /// A backend whose errors nothing maps.
    Backend,
    /// The adapter itself.
    Adapter,
}

fn fault_with(status: u16, code: &str, message: &str) -> Fault {
    let status = FaultStatus::Fixed(status);
    Fault { status, code: code.to_owned(), message: Template::text(message) }
}

/// Returns the default response to a request whose values are missing or not valid.
pub(super) fn invalid() -> Fault {
    let message = Template(vec![
        Part::Value(vec!["field".to_owned()]),
        Part::Text(" is missing or not valid".to_owned()),
    ]);
    Fault { status: FaultStatus::Fixed(400), code: "invalid".to_owned(), message }
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
        headers: Vec::new(),
        read: None,
        paths: Vec::new(),
        codes: Vec::new(),
        statuses: Vec::new(),
        otherwise: fault_with(FaultStatus::DEFAULT, "internal", "the request could not be answered"),
        invalid: invalid(),
        too_large: fault_with(413, "too_large", "the body is too large"),
        unauthenticated: fault_with(401, "unauthenticated", "a valid token is needed"),
        unreachable: fault_with(502, "unreachable", "the service could not be reached"),
        timeout: fault_with(504, "timeout", "the service did not answer in time"),
        unfit: fault_with(502, "bad_answer", "the service gave an answer that cannot be used"),
    }
}

/// Reads `{ status, code, message }`; a missing field keeps its value in `fault`.
pub(super) fn fault<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    source: ErrorSource,
    fault: Fault,
) -> Option<Fault> {
    let mut fields = cursor.fields("write { status: 404, code: not_found, message: \"no such review\" }")?;
    let fault = fault_of(context, &mut fields, source, fault);
    fields.finish();
    fault
}

/// Reads the fields of a fault from a map that has others too.
pub(super) fn fault_of<'n>(
    context: &mut Context<'n>,
    fields: &mut Fields<'n>,
    source: ErrorSource,
    mut fault: Fault,
) -> Option<Fault> {
    let status = fields.set("status", &mut fault.status, |cursor| status(cursor, source));
    let code = fields.set("code", &mut fault.code, Cursor::loose_string);
    let message = fields.set("message", &mut fault.message, |cursor| context.message(cursor));
    status.and(code).and(message).map(|()| fault)
}

/// Reads the status of an error: a number, or the word for the one that was read.
fn status(cursor: &Cursor<'_>, source: ErrorSource) -> Option<FaultStatus> {
    if *cursor.value() != Value::String("read".to_owned()) {
        if matches!(cursor.value(), Value::String(_)) && source != ErrorSource::Adapter {
            let hint = "write a number from 400 to 599, or read for the status that read gives";
            return cursor.expected("a number", hint);
        }
        return cursor.status_within((400, 599)).map(FaultStatus::Fixed);
    }
    match source {
        ErrorSource::ReadBackend => Some(FaultStatus::Read),
        ErrorSource::Backend => {
            let hint = "write read: { object: { status, code, message, field } } under errors";
            cursor.refuse("nothing reads a status from the errors of the backend", hint)
        }
        ErrorSource::Adapter => {
            let hint = "write a number, such as 404";
            cursor.refuse("there is no error of the backend from which a status could be read", hint)
        }
    }
}

/// Returns true if a mapping of errors may give a status. An object does if it has the field.
fn gives_status(read: &Shape) -> bool {
    match read.0.last() {
        Some(Step::Object(fields)) => fields.iter().any(|Field(name, _)| name == "status"),
        _ => true,
    }
}

/// Reads the section `errors`.
pub(super) fn read<'n>(context: &mut Context<'n>, cursor: Option<&Cursor<'n>>) -> Option<Errors> {
    let mut errors = defaults();
    let Some(cursor) = cursor else { return Some(errors) };
    let mut fields = cursor.fields("write envelope, headers, read, codes, paths, statuses and otherwise")?;
    fields.set("envelope", &mut errors.envelope, |cursor| context.error_envelope(cursor));
    let read = fields.optional("read");
    errors.read = read.as_ref().and_then(|cursor| context.error_read(cursor));
    let entries = fields.entries("headers", "write cache-control: no-store");
    errors.headers = headers::of_requests(context, &entries, Use::Add);
    let has_status = match &errors.read {
        Some(read) => cursor.is_stored() || gives_status(read),
        // Its mistakes have been reported.
        None => read.is_some(),
    };
    let source = if has_status { ErrorSource::ReadBackend } else { ErrorSource::Backend };
    let otherwise = errors.otherwise.clone();
    fields.set("otherwise", &mut errors.otherwise, |cursor| fault(context, cursor, source, otherwise));
    for (name, target) in [
        ("invalid", &mut errors.invalid),
        ("too_large", &mut errors.too_large),
        ("unauthenticated", &mut errors.unauthenticated),
        ("unreachable", &mut errors.unreachable),
        ("timeout", &mut errors.timeout),
        ("unfit", &mut errors.unfit),
    ] {
        let otherwise = target.clone();
        fields.set(name, target, |cursor| fault(context, cursor, ErrorSource::Adapter, otherwise));
    }
    lists(context, &mut fields, source, &mut errors);
    fields.finish()?;
    Some(errors)
}

/// Reads the faults for single codes, paths and statuses. Each starts from `otherwise`.
fn lists<'n>(context: &mut Context<'n>, fields: &mut Fields<'n>, source: ErrorSource, errors: &mut Errors) {
    let hint = "write one line per error, such as NOT_FOUND: { status: 404, code: not_found }";
    for entry in fields.entries("codes", hint) {
        if let Some(fault) = fault(context, &entry.value, source, errors.otherwise.clone()) {
            errors.codes.push((entry.key.to_owned(), fault));
        }
    }
    for entry in fields.entries("paths", hint) {
        if let Some(fault) = fault(context, &entry.value, source, errors.otherwise.clone()) {
            errors.paths.push((entry.key.split('.').map(str::to_owned).collect(), fault));
        }
    }
    for entry in fields.entries("statuses", hint) {
        let fault = fault(context, &entry.value, source, errors.otherwise.clone());
        let status = entry.key.parse::<u16>().ok();
        match status.filter(|status| (100..600).contains(status) || entry.value.is_stored()) {
            Some(status) => errors.statuses.extend(fault.map(|fault| (status, fault))),
            None => {
                let message = format!("{} is not a status", entry.key);
                entry.key_cursor.report(message, "write one, such as 401");
            }
        }
    }
}
