//! Evaluations by OFREP: one flag, or all of them.

use crate::{
    adapter::lists_tag,
    decision::ruleset::Ruleset,
    json::Json,
    ofrep::{
        answer::{Answer, EntityTag, ErrorCode, write_error, write_success},
        context::Context,
    },
    values::{access::Caller, evaluation::Subject},
    vocabulary::{
        revision::{Revision, Stamp},
        timestamp::Timestamp,
    },
};
use std::fmt::Write;
use xxhash_rust::xxh3::xxh3_64;

/// Most bytes of a result after [`Evaluation::written`](crate::values::evaluation::Evaluation::written): those of
/// `TARGETING_MATCH"},`.
const REASON_BYTES: usize = 18;

/// Most bytes of an answer around its results: those of `{"flags":[` and of the metadata.
const FRAME_BYTES: usize = 64;

/// Most bytes that are reserved for an answer before it is written: most tokens have a part of the flags only.
const MOST_ROOM: usize = 65_536;

/// Number of the version in which flags are evaluated and their answers written. A client that holds an answer of
/// another one gets a new one, also if nothing that was configured has changed: raise it with each change of either.
const EVALUATION_VERSION: u64 = 1;

/// A request for all flags.
#[derive(Debug, Clone, Copy)]
pub struct BulkRequest<'q> {
    /// Body of the request.
    pub body: &'q str,
    /// Value of `If-None-Match`, if the request has it.
    pub if_none_match: Option<&'q str>,
    /// Caller, whose answer has only the flags that it may evaluate.
    pub caller: Caller<'q>,
    /// Revision of the rules with its epoch.
    pub stamp: Stamp,
    /// Time of the evaluation.
    pub now: Timestamp,
}

/// Answers `POST /ofrep/v1/evaluate/flags/{key}`.
pub fn evaluate_flag(rules: &Ruleset, key: &str, body: &str, now: Timestamp) -> Answer {
    let body = match parsed(body) {
        Ok(body) => body,
        Err(details) => return Answer::refused(Some(key), ErrorCode::Parse, details),
    };
    let context = match Context::read(&body) {
        Ok(context) => context,
        Err(error) => return Answer::refused(Some(key), ErrorCode::InvalidContext, &error.to_string()),
    };
    match context.with_facts(|facts| rules.evaluate(key, context.user(), facts, now)) {
        Ok(evaluation) => {
            let written = evaluation.written.unwrap_or_default().len();
            let room = FRAME_BYTES + key.len() + written + evaluation.value.len();
            let mut body = String::with_capacity(room);
            write_success(key, &evaluation, &mut body);
            write_metadata(rules.revision(), &mut body);
            Answer { status: 200, body, ..Answer::default() }
        }
        Err(error) => Answer::refused(Some(key), error.into(), &error.to_string()),
    }
}

/// Answers `POST /ofrep/v1/evaluate/flags`: all flags of the caller by ascending key, those that cannot be evaluated as errors.
/// A client that holds the answer already gets 304, and nothing is evaluated.
pub fn evaluate_flags(rules: &Ruleset, request: &BulkRequest<'_>) -> Answer {
    let tag = tag(rules, request, EVALUATION_VERSION);
    // Only bodies that were read before have a tag, so this one need not be read again.
    if request.if_none_match.is_some_and(|held| lists_tag(held, &tag.to_string())) {
        return Answer { status: 304, etag: Some(tag), ..Answer::default() };
    }
    let body = match parsed(request.body) {
        Ok(body) => body,
        Err(details) => return Answer::refused(None, ErrorCode::Parse, details),
    };
    let context = match Context::read(&body) {
        Ok(context) => context,
        Err(error) => return Answer::refused(None, ErrorCode::InvalidContext, &error.to_string()),
    };
    let body = context.with_facts(|facts| {
        let room = FRAME_BYTES + rules.written_bytes() + REASON_BYTES * rules.flag_count();
        let mut body = String::with_capacity(room.min(MOST_ROOM));
        body.push_str("{\"flags\":[");
        let subject = Subject { user: context.user(), facts, now: request.now };
        let evaluated = rules.evaluate_all(subject, |key| request.caller.may_evaluate(key));
        for (index, (key, result)) in evaluated.enumerate() {
            if index > 0 {
                body.push(',');
            }
            match result {
                Ok(evaluation) => {
                    write_success(key, &evaluation, &mut body);
                    body.push('}');
                }
                Err(error) => write_error(Some(key), error.into(), &error.to_string(), &mut body),
            }
        }
        body.push(']');
        write_metadata(rules.revision(), &mut body);
        body
    });
    Answer { status: 200, body, etag: Some(tag) }
}

/// Parses a request body, which must be an object.
fn parsed(body: &str) -> Result<Json<'_>, &'static str> {
    match Json::parse(body) {
        Ok(body @ Json::Object(_)) => Ok(body),
        Ok(_) => Err("the body must be an object"),
        Err(_) => Err("the body is not JSON"),
    }
}

/// Closes an object with the revision as its metadata.
fn write_metadata(revision: Revision, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, ",\"metadata\":{{\"revision\":{revision}}}}}");
}

/// Returns the entity tag of all flags: a hash of everything that they depend on, the body of the request and the flags
/// of the caller included. Clients keep their tag when they change their context or their token. The same context in other
/// bytes has another tag: a client writes it the same way each time, and its bytes are hashed without being parsed.
/// `version` is [`EVALUATION_VERSION`].
fn tag(rules: &Ruleset, request: &BulkRequest<'_>, version: u64) -> EntityTag {
    let Stamp { epoch, revision } = request.stamp;
    let body = xxh3_64(request.body.as_bytes());
    let (circumstances, scope) = (rules.circumstances(request.now), request.caller.scope_hash());
    let parts = [version, epoch.0, revision.0, body, circumstances, scope];
    let mut bytes = [0; 48];
    for (bytes, part) in bytes.chunks_exact_mut(8).zip(parts) {
        bytes.copy_from_slice(&part.to_le_bytes());
    }
    EntityTag(xxh3_64(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    #[test]
    fn an_answer_of_another_version_has_another_tag() {
        let rules = Ruleset::compile(&Snapshot::default()).unwrap();
        let request = BulkRequest {
            body: "{}",
            if_none_match: None,
            caller: Caller::default(),
            stamp: Stamp::default(),
            now: Timestamp::from_millis(0),
        };
        let tags = [EVALUATION_VERSION, EVALUATION_VERSION + 1].map(|version| tag(&rules, &request, version));
        assert_ne!(tags[0], tags[1]);
        assert_eq!(evaluate_flags(&rules, &request).etag, Some(tags[0]));
    }
}
