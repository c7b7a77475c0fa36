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
    json::{Decimal, Value, value::Json},
    vocabulary::timestamp::Timestamp,
};

/// Details of an error, for the status and the places in the message of a [`Fault`].
#[derive(Debug, Default)]
pub(super) struct ErrorDetails {
    /// The status that `read` gave, if it is one of an error.
    pub(super) status: Option<u16>,
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

/// Returns the misfit of a body that is not JSON.
fn not_json(status: u16, bytes: &[u8]) -> Misfit {
    // Bodies above the size limit are not read.
    let body = if bytes.is_empty() { "an empty body, or one that is too large" } else { "another body" };
    Misfit::of_root("JSON", format!("{body}, with status {status}"))
}

/// Returns the misfit of a response without a value at the root of its route.
pub(super) fn missing_root(adapted: &AdaptedRoute, found: Option<Value<'_>>) -> Misfit {
    let expected = match &adapted.root[..] {
        [] => "a value".to_owned(),
        names => format!("a value at {}", names.join(".")),
    };
    Misfit::of_root(expected, redacted(found.map(Value::json).as_ref()))
}

impl ErrorDetails {
    /// Takes the details out of the object that `read` built, if it built one.
    fn of(read: Option<&Json<'_>>) -> Self {
        let part = |name| {
            let found = read.and_then(|read| read.get(name));
            found.map(|found| plain(found).into_owned()).unwrap_or_default()
        };
        let status = Decimal::parse(&part("status")).and_then(|number| number.as_i64());
        Self {
            status: status.and_then(|status| u16::try_from(status).ok()).filter(|status| is_error(*status)),
            code: part("code"),
            message: part("message"),
            field: part("field"),
            misfit: None,
        }
    }
}

fn is_error(status: u16) -> bool {
    (400..600).contains(&status)
}

/// Builds the response for a fault, without headers.
pub(super) fn fault_answer(
    program: &Program,
    request: &Request,
    fault: &Fault,
    told: &ErrorDetails,
    now: Timestamp,
) -> Answer {
    let status = fault.status.resolved(told.status);
    let object = |code: &str, message: String| {
        Json::Object(vec![
            ("status".into(), Json::integer(status.into())),
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
    Answer { status, headers: Vec::new(), body: Some(body.to_string()), unfit: None }
}

/// Returns the fault that is mapped for an error of a GraphQL response, and its details.
fn mapped<'v>(
    errors: &'v Errors,
    error: &Json<'_>,
    whole: EvalContext<'_>,
    budget: &mut Budget,
) -> (Option<&'v Fault>, ErrorDetails) {
    let path = error.get("path").map(Json::items).unwrap_or_default();
    let names: Vec<&str> = path.iter().filter_map(Json::as_text).collect();
    let text = |value: Option<&Json<'_>>| value.and_then(Json::as_text).unwrap_or_default().to_owned();
    let read = errors.read.as_ref().and_then(|read| read.apply(error, whole, budget).ok().flatten());
    let mut told = ErrorDetails::of(read.as_ref());
    // The specification of GraphQL tells where these are, unless the adapter does.
    if told.code.is_empty() {
        told.code = text(error.get("extensions").and_then(|more| more.get("code")));
    }
    if told.message.is_empty() {
        told.message = text(error.get("message"));
    }
    if told.field.is_empty() {
        told.field = names.join(".");
    }
    let by_path = errors.paths.iter().find(|(held, _)| *held == names).map(|(_, fault)| fault);
    let by_code = || errors.codes.iter().find(|(held, _)| *held == told.code).map(|(_, fault)| fault);
    let fault = by_path.or_else(by_code).or_else(|| by_status(errors, told.status?));
    (fault, told)
}

fn by_error<'v>(
    errors: &'v Errors,
    reported: &[Json<'_>],
    whole: EvalContext<'_>,
) -> (&'v Fault, ErrorDetails) {
    let mut budget = Budget::default();
    let mut first = None;
    // The first error that has a mapping decides the response.
    for error in reported {
        match mapped(errors, error, whole, &mut budget) {
            (Some(fault), told) => return (fault, told),
            (None, told) => {
                first.get_or_insert(told);
            }
        }
    }
    (&errors.otherwise, first.unwrap_or_default())
}

/// The response of a backend.
#[derive(Clone, Copy)]
pub(super) struct BackendResponse<'v> {
    /// HTTP status.
    pub(super) status: u16,
    /// The body, if it is JSON.
    pub(super) value: Option<Value<'v>>,
    /// The body as it came.
    pub(super) bytes: &'v [u8],
}

/// Returns the value at the route's root in a GraphQL response, or the fault to respond with.
pub(super) fn graphql_value<'v>(
    adapted: &'v AdaptedRoute,
    errors: &'v Errors,
    response: BackendResponse<'v>,
    whole: EvalContext<'_>,
) -> Result<Option<Value<'v>>, (&'v Fault, ErrorDetails)> {
    let BackendResponse { status, value, bytes } = response;
    let by_status_or = |misfit: Misfit| match by_status(errors, status) {
        Some(fault) => (fault, ErrorDetails::default()),
        None => unfit(errors, misfit),
    };
    let Some(answer) = value else { return Err(by_status_or(not_json(status, bytes))) };
    let reported: Vec<Json<'_>> =
        answer.get("errors").into_iter().flat_map(Value::items).map(Value::json).collect();
    let data = answer.get("data");
    let value = data.and_then(|data| data.at_path(&adapted.root)).filter(|value| !value.is_null());
    let passes = adapted.partial && value.is_some();
    if !(reported.is_empty() || passes) {
        return Err(by_error(errors, &reported, whole));
    }
    if !(200..300).contains(&status) || (data.is_none() && reported.is_empty()) {
        let expected = if data.is_some() { "a status from 200 to 299" } else { "data or errors" };
        return Err(by_status_or(Misfit::of_root(expected, format!("a response with status {status}"))));
    }
    if let Some(fault) = null_fault(adapted, value) {
        return Err((fault, ErrorDetails::default()));
    }
    if value.is_none() && adapted.response.is_some() {
        let found = data.and_then(|data| data.at_path(&adapted.root));
        return Err(unfit(errors, missing_root(adapted, found)));
    }
    Ok(value)
}

/// Returns the fault for a null at the route's root. Nulls in its parts count on the client's page only.
fn null_fault<'v>(adapted: &'v AdaptedRoute, root: Option<Value<'_>>) -> Option<&'v Fault> {
    let when_null = adapted.when_null.as_ref().filter(|_| root.is_none_or(Value::is_null))?;
    when_null.fault(None)
}

/// Returns the value at the route's root in the response of a REST backend, or the fault to respond with.
pub(super) fn rest_value<'v>(
    adapted: &'v AdaptedRoute,
    errors: &'v Errors,
    response: BackendResponse<'v>,
    whole: EvalContext<'_>,
) -> Result<Option<Value<'v>>, (&'v Fault, ErrorDetails)> {
    let BackendResponse { status, value, bytes } = response;
    if !(200..300).contains(&status) {
        let read = value.zip(errors.read.as_ref()).and_then(|(value, read)| {
            read.apply(&value.json(), whole, &mut Budget::default()).ok().flatten()
        });
        let fault = by_status(errors, status).unwrap_or(&errors.otherwise);
        return Err((fault, ErrorDetails::of(read.as_ref())));
    }
    if value.is_none() && (adapted.response.is_some() || !bytes.is_empty()) {
        return Err(unfit(errors, not_json(status, bytes)));
    }
    let value = value.and_then(|value| value.at_path(&adapted.root));
    if let Some(fault) = null_fault(adapted, value) {
        return Err((fault, ErrorDetails::default()));
    }
    if value.is_none() && adapted.response.is_some() {
        return Err(unfit(errors, missing_root(adapted, None)));
    }
    Ok(value)
}

/// Returns the fault for a status, if one is mapped.
fn by_status(errors: &Errors, status: u16) -> Option<&Fault> {
    errors.statuses.iter().find(|(held, _)| *held == status).map(|(_, fault)| fault)
}
