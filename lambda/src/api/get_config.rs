//! `GET /config`: the whole configuration, in the format of the configuration file.

use crate::{
    access::auth::Caller,
    api::respond::{json_response, not_modified_or, set_tag},
    platform::Platform,
    problem::Problem,
    store::error::StoreError,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let mut config = state.config.clone();
    for (name, flag) in &mut config.feature_flags {
        // With the salt in force, so that users keep their arms wherever the file is applied.
        flag.salt = state.salt(name).map(str::to_owned);
    }
    let written = config.written().map_err(|error| StoreError::Item(error.to_string()))?;
    let mut response = json_response(StatusCode::OK, &written);
    set_tag(&mut response, state.head.stamp());
    Ok(not_modified_or(&request, response))
}
