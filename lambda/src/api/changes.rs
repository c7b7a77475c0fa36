//! `GET /changes`, `GET /changes/{id}`, `POST /changes/{id}/approve` and `DELETE /changes/{id}`:
//! changes that are waiting for a second person's approval.

use crate::{
    access::{
        auth::{Approval, Caller, PERSON},
        second_person::same_person,
    },
    api::{
        extract::{Page, Parameters, Segments},
        pages,
        respond::json_response,
    },
    change::{
        approval,
        demand::{ApprovalKeys, ChangeRequest},
        notes,
        proposal::ChangeResponse,
        replies::{answered_before, reply},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{CommitError, Pending, Role, StoreError, backoff::backoff},
};
use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tower::ServiceExt;

/// Attempts to withdraw a change while it is being approved.
const MAX_TRIES: u32 = 8;

/// Limit of the first pause between these attempts, in milliseconds.
const FIRST_PAUSE_MS: u64 = 4;

pub(super) async fn list(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let now = clock::now();
    let pending = platform.store.all_pending().await?;
    let waiting = pending.iter().filter(|pending| !pending.has_expired(now));
    let (waiting, next) = page.of(waiting, |pending| pending.id.as_str())?;
    let shown = waiting.into_iter().map(|pending| (pending.id.clone(), approval::shown(pending)));
    let (waiting, next) = pages::filled(shown, next);
    Ok(json_response(StatusCode::OK, &json!({ "changes": waiting, "next_after": next })))
}

pub(super) async fn one(
    _: Caller,
    State(platform): State<Platform>,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    Ok(json_response(StatusCode::OK, &approval::shown(&waiting(&platform, &id).await?)))
}

/// The routes of the API, to which approved requests are dispatched again. The router hands them in,
/// so that an endpoint does not import the list of endpoints.
#[derive(Clone)]
pub(super) struct Replay(pub(super) Router);

/// Approves a change, or records that its approval was refused.
pub(super) async fn approve(
    State(platform): State<Platform>,
    Extension(Replay(routes)): Extension<Replay>,
    Segments(id): Segments<String>,
    demand: ChangeRequest,
) -> Result<Response, Problem> {
    let caller = &demand.caller;
    caller.must_be(Role::Operator)?;
    demand.must_have_no_body()?;
    let answer = try_approve(&demand, &platform, routes, &id).await;
    let status = answer.as_ref().map_or_else(|problem| problem.status, Response::status);
    if [StatusCode::FORBIDDEN, StatusCode::CONFLICT].contains(&status) {
        notes::approval_refused(&platform, caller, &id, status).await;
    }
    answer
}

/// Approves a change: replays its request in the name of the original caller, with the approval
/// attached. The response is remembered under the `Idempotency-Key` of the approval.
async fn try_approve(
    demand: &ChangeRequest,
    platform: &Platform,
    routes: Router,
    id: &str,
) -> Result<Response, Problem> {
    let caller = &demand.caller;
    if let Some(changed) = answered_before(platform, demand).await? {
        return Ok(changed.into_response());
    }
    let pending = match waiting(platform, id).await {
        Ok(pending) => pending,
        Err(problem) => {
            // The caller's first attempt may have approved it meanwhile.
            let changed = answered_before(platform, demand).await?;
            return changed.map(IntoResponse::into_response).ok_or(problem);
        }
    };
    caller.must_be(pending.role)?;
    let requester = requester(platform, &pending).await?;
    if let Some(reason) = same_person(caller, &requester) {
        let detail = format!("{} cannot approve a change of {}: {reason}", caller.name, requester.name);
        let hint = "ask a caller whose token nobody but root created for both of you, or a user of the \
                    identity provider";
        return Err(Problem::new(StatusCode::FORBIDDEN, "second_person_needed", detail, hint));
    }
    let request = again(&pending, requester, demand).map_err(|_| {
        Problem::new(
            StatusCode::CONFLICT,
            "changed_since_asked",
            "the stored request cannot be replayed",
            "withdraw the change, and request it again",
        )
    })?;
    routes.oneshot(request).await.map_err(|never| match never {})
}

/// Withdraws a change.
pub(super) async fn withdraw(
    State(platform): State<Platform>,
    Segments(id): Segments<String>,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    demand.must_have_no_body()?;
    let (status, body) = (StatusCode::OK, json!({ "withdrawn": id }));
    for attempt in 0..MAX_TRIES {
        if let Some(changed) = answered_before(&platform, &demand).await? {
            return Ok(changed);
        }
        let pending = match waiting(&platform, &id).await {
            Ok(pending) => pending,
            Err(problem) => {
                // The caller's first attempt may have withdrawn it meanwhile.
                let changed = answered_before(&platform, &demand).await?;
                return changed.ok_or(problem);
            }
        };
        let record = notes::withdrawn(&pending, &demand.caller);
        let epoch = platform.store.head().await?.epoch;
        let reply = reply(&demand, epoch, status, &body, None);
        match platform.store.withdraw(&id, &record, reply.as_ref()).await {
            Ok(()) => {
                tracing::info!(event = "change_withdrawn", id, actor = demand.caller.name, "withdrawn");
                return Ok(ChangeResponse { status, body, replayed: false });
            }
            Err(CommitError::Conflict) => tokio::time::sleep(backoff(FIRST_PAUSE_MS, attempt)).await,
            Err(CommitError::Store(StoreError::Gone(_))) => {
                // The caller's first attempt may have withdrawn it meanwhile.
                let changed = answered_before(&platform, &demand).await?;
                return changed.ok_or_else(|| Problem::not_found("change", &id));
            }
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
    }
    Err(Problem::unavailable("contended", "other callers kept acting on this change"))
}

async fn waiting(platform: &Platform, id: &str) -> Result<Pending, Problem> {
    let pending = platform.store.pending(id).await?;
    pending
        .filter(|pending| !pending.has_expired(clock::now()))
        .ok_or_else(|| Problem::not_found("change", id))
}

/// Returns the caller who requested a change, with the role that its token has today, so that nothing is
/// made in the name of a caller who may no longer do it. Users of the identity provider are as they were: they
/// cannot be looked up.
async fn requester(platform: &Platform, pending: &Pending) -> Result<Caller, Problem> {
    let mut requester = Caller {
        name: pending.requested_by.clone(),
        role: pending.role,
        made_by: pending.made_by.clone(),
        expires_at: None,
    };
    if requester.name.starts_with(PERSON) {
        return Ok(requester);
    }
    let now = clock::now();
    let mut tokens = platform.store.tokens().await?;
    // While a token is rotated there are two of one name.
    tokens.retain(|token| token.name == requester.name && !token.has_expired(now));
    let Some(role) = tokens.iter().map(|token| token.role).max() else {
        let detail = format!("{} requested this change, and has no valid token any more", requester.name);
        let hint = "withdraw the change; a caller with a valid token can request it again";
        return Err(Problem::new(StatusCode::CONFLICT, "requester_gone", detail, hint));
    };
    requester.role = role.min(pending.role);
    requester.made_by.extend(tokens.into_iter().flat_map(|token| token.made_by));
    Ok(requester)
}

fn again(pending: &Pending, caller: Caller, by: &ChangeRequest) -> Result<Request<Body>, axum::http::Error> {
    let Pending { id, fingerprint, changes, .. } = pending.clone();
    let keys = ApprovalKeys { approver: by.idempotency.clone(), requester: pending.reply_key.clone() };
    let mut request = Request::builder()
        .method(pending.request.method.as_str())
        .uri(&pending.request.target)
        .extension(Approval { caller, by: by.caller.name.clone(), id, fingerprint, changes })
        .extension(keys);
    let headers = [
        (header::CONTENT_TYPE.as_str(), Some(&pending.request.content_type).filter(|kind| !kind.is_empty())),
        (header::IF_MATCH.as_str(), pending.request.if_match.as_ref()),
        ("x-cutover-reason", pending.reason.as_ref()),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    request.body(Body::from(pending.request.body.clone()))
}
