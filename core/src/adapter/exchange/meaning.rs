//! What an answer of a backend means: a value, or an error of the old interface.

use super::{Answer, Exchange};
use crate::{
    adapter::{
        program::{Adapted, Errors, Fault, Program},
        request::{Request, plain},
        shape::{Budget, Whole},
    },
    json::{Json, Value},
    timestamp::Timestamp,
};

/// What happened, for the places of a message.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) field: String,
}

pub(super) fn fault_answer(
    program: &Program,
    request: &Request,
    fault: &Fault,
    told: &Told,
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
    // A fault without a code of its own takes over the backend's.
    let code = if fault.code.is_empty() { &told.code } else { &fault.code };
    let value = object(code, fault.message.fill(request, &places));
    let whole = Whole { request, now };
    let body = program.errors.envelope.apply(&value, whole, &mut Budget::default());
    // An envelope that does not fit its own object would hide the error behind another one.
    let body = body.ok().flatten().unwrap_or(value.into_owned());
    Answer { status: fault.status, headers: Vec::new(), body: Some(body.to_string()) }
}

pub(super) fn by_error<'v>(errors: &'v Errors, reported: &[Json<'_>]) -> (&'v Fault, Told) {
    let told = |error: &Json<'_>| {
        let code = error.get("extensions").and_then(|more| more.get("code"));
        let path = error.get("path").map(Json::items).unwrap_or_default();
        let names: Vec<&str> = path.iter().filter_map(Json::as_text).collect();
        let text = |value: Option<&Json<'_>>| value.and_then(Json::as_text).unwrap_or_default().to_owned();
        let told = Told { code: text(code), message: text(error.get("message")), field: names.join(".") };
        let by_path = errors.paths.iter().find(|(held, _)| *held == names).map(|(_, fault)| fault);
        let by_code = errors.codes.iter().find(|(held, _)| *held == told.code).map(|(_, fault)| fault);
        (by_path.or(by_code), told)
    };
    // The first error that means something to the old interface speaks for all.
    for error in reported {
        if let (Some(fault), told) = told(error) {
            return (fault, told);
        }
    }
    (&errors.otherwise, reported.first().map(|error| told(error).1).unwrap_or_default())
}

impl Exchange {
    /// The value that the response is made of, or what became of it.
    pub(super) fn graphql_value<'v>(
        &self,
        adapted: &'v Adapted,
        errors: &'v Errors,
        status: u16,
        answer: Value<'v>,
    ) -> Result<Option<Value<'v>>, (&'v Fault, Told)> {
        let reported: Vec<Json<'_>> =
            answer.get("errors").into_iter().flat_map(Value::items).map(Value::json).collect();
        let data = answer.get("data");
        let value = data.and_then(|data| data.at_path(&adapted.root)).filter(|value| !value.is_null());
        let passes = adapted.partial && value.is_some();
        if !(reported.is_empty() || passes) {
            return Err(by_error(errors, &reported));
        }
        if !(200..300).contains(&status) || (data.is_none() && reported.is_empty()) {
            return Err(self.by_status(errors, status, None).unwrap_or((&errors.unfit, Told::default())));
        }
        match (value, &adapted.when_null) {
            (None, Some(fault)) => Err((fault, Told::default())),
            (None, None) if adapted.response.is_some() => Err((&errors.unfit, Told::default())),
            (value, _) => Ok(value),
        }
    }

    pub(super) fn rest_value<'v>(
        &self,
        adapted: &'v Adapted,
        errors: &'v Errors,
        status: u16,
        answer: Option<Value<'v>>,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Option<Value<'v>>, (&'v Fault, Told)> {
        if !(200..300).contains(&status) {
            let read = answer
                .zip(errors.read.as_ref())
                .and_then(|(answer, read)| self.shaped(read, &answer.json(), now));
            let fault = self.by_status(errors, status, read.as_ref());
            return Err(fault.unwrap_or((&errors.otherwise, Told::default())));
        }
        match answer {
            None if adapted.response.is_some() || !bytes.is_empty() => Err((&errors.unfit, Told::default())),
            answer => match (answer.and_then(|answer| answer.at_path(&adapted.root)), &adapted.when_null) {
                (value, Some(fault)) if value.is_none_or(Value::is_null) => Err((fault, Told::default())),
                (None, None) if adapted.response.is_some() => Err((&errors.unfit, Told::default())),
                (value, _) => Ok(value),
            },
        }
    }

    pub(super) fn by_status<'v>(
        &self,
        errors: &'v Errors,
        status: u16,
        read: Option<&Json<'_>>,
    ) -> Option<(&'v Fault, Told)> {
        let part = |name| {
            let found = read.and_then(|read| read.get(name));
            found.map(|found| plain(found).into_owned()).unwrap_or_default()
        };
        let told = Told { code: part("code"), message: part("message"), field: part("field") };
        errors.statuses.iter().find(|(held, _)| *held == status).map(|(_, fault)| (fault, told))
    }
}
