//! `GET /audit/verify?after=&position=&digest=`: computes the chain of the audit log again, part by
//! part, and names its first fault.

use crate::{
    access::auth::Caller,
    api::{extract::Parameters, get_audit, respond::json_response},
    platform::Platform,
    problem::Problem,
    store::KnownRecord,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    after: Option<String>,
    position: Option<u64>,
    digest: Option<String>,
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Problem> {
    let after = query.after.map(|after| get_audit::place("after", &after)).transpose()?;
    if query.position.is_some() != query.digest.is_some() {
        let hint = "send the position and the digest of a record that an earlier verification named";
        return Err(Problem::invalid("digest", "position and digest are sent together", hint));
    }
    let known = query.position.zip(query.digest).map(|(position, digest)| KnownRecord { position, digest });
    let check = platform.store.verify_audit(after, known.as_ref()).await?;
    Ok(json_response(StatusCode::OK, &json!(check)))
}
