//! `GET /changes`, `GET /changes/{id}`, `POST /changes/{id}/approve` and `DELETE /changes/{id}`:
//! changes that are waiting for a second person's approval.

use crate::{
    access::auth::{Approval, Caller},
    api::{
        extract::{Page, Parameters},
        pages,
        respond::json_response,
    },
    change::{approval, notes},
    clock,
    platform::Platform,
    problem::Problem,
    store::{Pending, Role},
};
use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, State},
    http::{Request, StatusCode, header},
    response::Response,
};
use serde_json::json;
use tower::ServiceExt;

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
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(json_response(StatusCode::OK, &approval::shown(&waiting(&platform, &id).await?)))
}

/// The routes of the API, to which approved requests are dispatched again. The router hands them in,
/// so that an endpoint does not import the list of endpoints.
#[derive(Clone)]
pub(super) struct Replay(pub(super) Router);

/// Approves a change, or records that its approval was refused.
pub(super) async fn approve(
    caller: Caller,
    State(platform): State<Platform>,
    Extension(Replay(routes)): Extension<Replay>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.must_be(Role::Operator)?;
    let answer = try_approve(&caller, &platform, routes, &id).await;
    let status = answer.as_ref().map_or_else(|problem| problem.status, Response::status);
    if [StatusCode::FORBIDDEN, StatusCode::CONFLICT].contains(&status) {
        notes::approval_refused(&platform, &caller, &id, status).await;
    }
    answer
}

/// Approves a change: replays its request in the name of the original caller, with the approval
/// attached.
async fn try_approve(
    caller: &Caller,
    platform: &Platform,
    routes: Router,
    id: &str,
) -> Result<Response, Problem> {
    let pending = waiting(platform, id).await?;
    caller.must_be(pending.role)?;
    if !caller.is_independent_of(&pending.requested_by, &pending.made_by) {
        let detail = format!(
            "{} requested this change, and {} may be the same person",
            pending.requested_by, caller.name
        );
        let hint =
            "a different person must approve it, with a token that neither of the two created for the other";
        return Err(Problem::new(StatusCode::FORBIDDEN, "second_person_needed", detail, hint));
    }
    let request = again(&pending, caller).map_err(|_| {
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
    caller: Caller,
    State(platform): State<Platform>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.must_be(Role::Operator)?;
    let pending = waiting(&platform, &id).await?;
    if !platform.store.withdraw(&id, &notes::withdrawn(&pending, &caller)).await? {
        return Err(Problem::not_found("change", &id));
    }
    tracing::info!(event = "change_withdrawn", id, actor = caller.name, "withdrawn");
    Ok(json_response(StatusCode::OK, &json!({ "withdrawn": id })))
}

async fn waiting(platform: &Platform, id: &str) -> Result<Pending, Problem> {
    let pending = platform.store.pending(id).await?;
    pending
        .filter(|pending| !pending.has_expired(clock::now()))
        .ok_or_else(|| Problem::not_found("change", id))
}

fn again(pending: &Pending, by: &Caller) -> Result<Request<Body>, axum::http::Error> {
    let caller = Caller {
        name: pending.requested_by.clone(),
        role: pending.role,
        made_by: pending.made_by.clone(),
        expires_at: None,
    };
    let (id, fingerprint) = (pending.id.clone(), pending.fingerprint.clone());
    let mut request = Request::builder()
        .method(pending.request.method.as_str())
        .uri(&pending.request.target)
        .extension(Approval { caller, by: by.name.clone(), id, fingerprint });
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
