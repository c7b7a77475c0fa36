//! Responses that are remembered under the `Idempotency-Key` of their request.

use crate::{
    change::{demand::ChangeRequest, proposal::ChangeResponse},
    clock,
    platform::Platform,
    problem::Problem,
    store::{Reply, ReplyKey},
};
use axum::http::StatusCode;
use cutover_core::{Epoch, Revision};
use serde_json::{Value, json};

/// Returns the response to remember; `None` if the request has no `Idempotency-Key`. A request that makes no revision, such
/// as withdrawing a change, has none in its response.
pub(crate) fn reply(
    demand: &ChangeRequest,
    epoch: Epoch,
    status: StatusCode,
    body: &Value,
    revision: Option<Revision>,
) -> Option<Reply> {
    demand.idempotency.as_ref().map(|key| reply_under(key, epoch, status, body, revision))
}

/// Returns the response to remember under a key.
pub(super) fn reply_under(
    key: &ReplyKey,
    epoch: Epoch,
    status: StatusCode,
    body: &Value,
    revision: Option<Revision>,
) -> Reply {
    let body = match revision {
        Some(revision) => with_revision(body.clone(), revision),
        None => body.clone(),
    };
    Reply { key: key.clone(), epoch, status: status.as_u16(), body, at: clock::now() }
}

/// Returns the response to an earlier request with the same `Idempotency-Key`; `None` if there was none.
///
/// # Errors
///
/// Returns the problem `idempotency_key_reused` if the earlier request was a different one, or a problem if the store fails.
pub(crate) async fn answered_before(
    platform: &Platform,
    demand: &ChangeRequest,
) -> Result<Option<ChangeResponse>, Problem> {
    let Some(asked) = &demand.idempotency else { return Ok(None) };
    let epoch = platform.store.head().await?.epoch;
    let Some(reply) = platform.store.reply(&asked.key, epoch).await? else { return Ok(None) };
    if reply.key.fingerprint != asked.fingerprint {
        let detail = "this Idempotency-Key was used for a different request";
        let hint = "use a new key for every new change, and repeat a key only to retry the same request";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail, hint)
            .in_field("Idempotency-Key"));
    }
    let mut body = reply.body;
    // A withdrawn change has no revision, and nothing to publish.
    if let Some(revision) = body.get("revision").and_then(Value::as_u64)
        && let Some(fields) = body.as_object_mut()
    {
        // The change was made in any case, so a failure here must not say otherwise.
        let published = platform.store.published().await.unwrap_or_default();
        fields.insert("published".to_owned(), json!(published.0 >= revision));
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    Ok(Some(ChangeResponse { status, body, replayed: true }))
}

/// Marks a response as that to a request which changed nothing: its revision is that of an earlier change.
pub(super) fn marked_unchanged(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("unchanged".to_owned(), json!(true));
    }
    body
}

/// Adds the revision to a response.
pub(super) fn with_revision(mut body: Value, revision: Revision) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("revision".to_owned(), json!(revision));
    }
    body
}
