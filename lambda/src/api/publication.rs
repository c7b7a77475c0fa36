//! `GET /publication` and `POST /publication`: the revision that Workers KV really holds, and
//! publishing the current one now.

use crate::{
    access::auth::Caller,
    api::respond::json_response,
    change::{demand::ChangeRequest, notes},
    platform::Platform,
    problem::Problem,
    publication::publish::PublishError,
    store::Role,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;

pub(super) async fn look(_: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    let head = platform.store.head().await?;
    let noted = platform.store.published().await?;
    let held = platform.publisher.published().await.map_err(|error| refused(&error.into()))?;
    let body = json!({
        "revision": head.revision,
        "noted": noted,
        "held": held.map(|held| held.revision),
        "published": held == Some(head.stamp()),
    });
    Ok(json_response(StatusCode::OK, &body))
}

pub(super) async fn publish(
    State(platform): State<Platform>,
    demand: ChangeRequest,
) -> Result<Response, Problem> {
    demand.caller.must_be(Role::Operator)?;
    demand.must_have_no_body()?;
    let caller = demand.caller;
    platform.store.note(&notes::published_by_hand(&caller)).await?;
    platform.publisher.republish().await.map_err(|error| refused(&error))?;
    tracing::info!(event = "published_by_hand", actor = caller.name, "published");
    look(caller, State(platform)).await
}

fn refused(error: &PublishError) -> Problem {
    tracing::warn!(%error, "the publication failed or could not be read");
    Problem {
        hint: "nothing is lost, and the schedule tries again every minute; check CUTOVER_KV_API, \
               CUTOVER_KV_NAMESPACE and the token's permission Workers KV Storage: Edit"
            .to_owned(),
        ..Problem::unavailable(
            "kv_unavailable",
            format!("Workers KV could not be reached or rejected the request: {error}"),
        )
    }
}
