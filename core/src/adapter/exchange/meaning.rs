//! Interpretation of a backend's response: a value, or an error of the old interface.

use crate::{
    adapter::{
        exchange::messages::Answer,
        fault::Fault,
        program::{AdaptedRoute, Errors, Program},
        request::{Request, plain},
        shape::{
            budget::{Budget, EvalContext},
            diagnose::Misfit,
        },
    },
    compare::redacted,
    json::{Value, value::Json},
    vocabulary::timestamp::Timestamp,
};

/// Details of an error, for the places in the message of a [`Fault`].
#[derive(Debug, Default)]
pub(super) struct ErrorDetails {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) field: String,
    /// The reason, if the backend's response cannot be used.
    pub(super) misfit: Option<Box<Misfit>>,
}

/// Returns the fault for a response that cannot be used, with the reason.
fn unfit(errors: &Errors, misfit: Misfit) -> (&Fault, ErrorDetails) {
    (&errors.unfit, ErrorDetails { misfit: Some(Box::new(misfit)), ..ErrorDetails::default() })
}

/// Returns the fault for a body that is not JSON.
pub(super) fn not_json<'v>(errors: &'v Errors, status: u16, bytes: &[u8]) -> (&'v Fault, ErrorDetails) {
    // Bodies above the size limit are not read.
    let body = if bytes.is_empty() { "an empty body, or one that is too large" } else { "another body" };
    unfit(errors, Misfit::of_root("JSON", format!("{body}, with status {status}")))
}

/// Returns the misfit of a response without a value at the root of its route.
pub(super) fn missing_root(adapted: &AdaptedRoute, found: Option<Value<'_>>) -> Misfit {
    let expected = match &adapted.root[..] {
        [] => "a value".to_owned(),
        names => format!("a value at {}", names.join(".")),
    };
    Misfit::of_root(expected, redacted(found.map(Value::json).as_ref()))
}

pub(super) fn fault_answer(
    program: &Program,
    request: &Request,
    fault: &Fault,
    told: &ErrorDetails,
    now: Timestamp,
) -> Answer {
    let object = |code: &str, message: String| {
        Json::Object(vec![
            ("status".into(), Json::integer(fault.status.into())),
            ("code".into(), Json::text(code.to_owned())),
            ("message".into(), Json::text(message)),
            ("field".into(), Json::text(told.field.clone())),
        ])
    };
    let places = object(&told.code, told.message.clone());
    // A fault without a code of its own uses the backend's.
    let code = if fault.code.is_empty() { &told.code } else { &fault.code };
    let value = object(code, fault.message.fill(request, &places));
    let whole = EvalContext { request, now, shapes: &program.shapes };
    let body = program.errors.envelope.apply(&value, whole, &mut Budget::default());
    // If the envelope cannot be applied, send the bare object: a second error would hide the first.
    let body = body.ok().flatten().unwrap_or(value.into_owned());
    Answer { status: fault.status, headers: Vec::new(), body: Some(body.to_string()), unfit: None }
}

fn by_error<'v>(errors: &'v Errors, reported: &[Json<'_>]) -> (&'v Fault, ErrorDetails) {
    let told = |error: &Json<'_>| {
        let code = error.get("extensions").and_then(|more| more.get("code"));
        let path = error.get("path").map(Json::items).unwrap_or_default();
        let names: Vec<&str> = path.iter().filter_map(Json::as_text).collect();
        let text = |value: Option<&Json<'_>>| value.and_then(Json::as_text).unwrap_or_default().to_owned();
        let told = ErrorDetails {
            code: text(code),
            message: text(error.get("message")),
            field: names.join("."),
            misfit: None,
        };
        let by_path = errors.paths.iter().find(|(held, _)| *held == names).map(|(_, fault)| fault);
        let by_code = errors.codes.iter().find(|(held, _)| *held == told.code).map(|(_, fault)| fault);
        (by_path.or(by_code), told)
    };
    // The first error that has a mapping decides the response.
    for error in reported {
        if let (Some(fault), told) = told(error) {
            return (fault, told);
        }
    }
    (&errors.otherwise, reported.first().map(|error| told(error).1).unwrap_or_default())
}

/// Returns the value at the route's root, or the fault to respond with.
pub(super) fn graphql_value<'v>(
    adapted: &'v AdaptedRoute,
    errors: &'v Errors,
    status: u16,
    answer: Value<'v>,
) -> Result<Option<Value<'v>>, (&'v Fault, ErrorDetails)> {
    let reported: Vec<Json<'_>> =
        answer.get("errors").into_iter().flat_map(Value::items).map(Value::json).collect();
    let data = answer.get("data");
    let value = data.and_then(|data| data.at_path(&adapted.root)).filter(|value| !value.is_null());
    let passes = adapted.partial && value.is_some();
    if !(reported.is_empty() || passes) {
        return Err(by_error(errors, &reported));
    }
    if !(200..300).contains(&status) || (data.is_none() && reported.is_empty()) {
        let expected = if data.is_some() { "a status from 200 to 299" } else { "data or errors" };
        let misfit = Misfit::of_root(expected, format!("a response with status {status}"));
        return Err(by_status(errors, status, None).unwrap_or_else(|| unfit(errors, misfit)));
    }
    match (value, &adapted.when_null) {
        (None, Some(fault)) => Err((fault, ErrorDetails::default())),
        (None, None) if adapted.response.is_some() => {
            let found = data.and_then(|data| data.at_path(&adapted.root));
            Err(unfit(errors, missing_root(adapted, found)))
        }
        (value, _) => Ok(value),
    }
}

/// The response of a REST backend.
pub(super) struct RestResponse<'v> {
    /// HTTP status.
    pub(super) status: u16,
    /// The body, if it is JSON.
    pub(super) value: Option<Value<'v>>,
    /// The body as it came.
    pub(super) bytes: &'v [u8],
}

/// Returns the value at the route's root, or the fault to respond with.
pub(super) fn rest_value<'v>(
    adapted: &'v AdaptedRoute,
    errors: &'v Errors,
    response: RestResponse<'v>,
    whole: EvalContext<'_>,
) -> Result<Option<Value<'v>>, (&'v Fault, ErrorDetails)> {
    let RestResponse { status, value, bytes } = response;
    if !(200..300).contains(&status) {
        let read = value.zip(errors.read.as_ref()).and_then(|(value, read)| {
            read.apply(&value.json(), whole, &mut Budget::default()).ok().flatten()
        });
        let fault = by_status(errors, status, read.as_ref());
        return Err(fault.unwrap_or((&errors.otherwise, ErrorDetails::default())));
    }
    match value {
        None if adapted.response.is_some() || !bytes.is_empty() => Err(not_json(errors, status, bytes)),
        value => match (value.and_then(|value| value.at_path(&adapted.root)), &adapted.when_null) {
            (value, Some(fault)) if value.is_none_or(Value::is_null) => Err((fault, ErrorDetails::default())),
            (None, None) if adapted.response.is_some() => Err(unfit(errors, missing_root(adapted, None))),
            (value, _) => Ok(value),
        },
    }
}

/// Returns the fault for the status of the backend's response, if one is mapped; `read` is the error
/// that its body describes.
pub(super) fn by_status<'v>(
    errors: &'v Errors,
    status: u16,
    read: Option<&Json<'_>>,
) -> Option<(&'v Fault, ErrorDetails)> {
    let part = |name| {
        let found = read.and_then(|read| read.get(name));
        found.map(|found| plain(found).into_owned()).unwrap_or_default()
    };
    let told =
        ErrorDetails { code: part("code"), message: part("message"), field: part("field"), misfit: None };
    errors.statuses.iter().find(|(held, _)| *held == status).map(|(_, fault)| (fault, told))
}
