//! `GET /flags` and `GET /flags/{name}`, and the JSON form of a flag in every response.

use crate::{
    access::auth::Caller,
    api::{
        extract::{FlagPath, Page, Parameters},
        pages,
        respond::json_response,
    },
    platform::Platform,
    problem::Problem,
    store::{Meta, State as Truth},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{Flag, FlagName};
use serde_json::{Value, json};

/// Section of the configuration that holds the flags.
pub(super) const SECTION: &str = "feature_flags";

pub(super) fn flag_json(name: &FlagName, flag: &Flag, salt: Option<&str>, meta: Option<&Meta>) -> Value {
    let mut body = json!({
        "name": name,
        "enabled": flag.enabled,
        "rollout_percentage": flag.rollout_percentage,
        "description": flag.description,
        "user_whitelist": flag.user_whitelist,
        "user_blacklist": flag.user_blacklist,
        "conditions": flag.conditions,
        "salt": flag.salt.as_deref().or(salt).unwrap_or(name.as_str()),
        "on_control_loss": flag.on_control_loss,
        "phase": flag.phase,
    });
    if let (Some(fields), Some(meta)) = (body.as_object_mut(), meta) {
        fields.insert("updated_at".to_owned(), json!(meta.updated_at));
        fields.insert("updated_by".to_owned(), json!(meta.updated_by));
        fields.insert("version".to_owned(), json!(meta.version));
        if !meta.epoch.is_first() {
            fields.insert("epoch".to_owned(), json!(meta.epoch));
        }
    }
    body
}

/// Returns a flag as JSON, with the share that is in force beside the stored one.
fn shown(state: &Truth, name: &FlagName, flag: &Flag) -> Value {
    let mut body = flag_json(name, flag, state.salt(name), state.meta(SECTION, name.as_str()));
    if let Some(fields) = body.as_object_mut() {
        fields.insert("held_by_emergency".to_owned(), json!(state.is_held(name)));
        fields.insert("percentage_in_force".to_owned(), json!(state.share_in_force(name, flag)));
    }
    body
}

pub(super) async fn list(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let (flags, next) = page.of(state.config.feature_flags.iter(), |(name, _)| name.as_str())?;
    let entry = |(name, flag): (&FlagName, &Flag)| (name.to_string(), shown(&state, name, flag));
    let (flags, next) = pages::filled(flags.into_iter().map(entry), next);
    let body = json!({ "flags": flags, "revision": state.head.revision, "next_after": next });
    Ok(json_response(StatusCode::OK, &body))
}

pub(super) async fn one(
    _: Caller,
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let flag =
        state.config.feature_flags.get(&name).ok_or_else(|| Problem::not_found("flag", name.as_str()))?;
    Ok(json_response(StatusCode::OK, &shown(&state, &name, flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An item of the established body of `GET /flags`, to the letter.
    const ESTABLISHED: &str = r#"{
      "name": "graphql_reviews_read",
      "enabled": true,
      "rollout_percentage": 25.0,
      "description": "Enable GraphQL for reading reviews",
      "user_whitelist": ["user-123"],
      "user_blacklist": []
    }"#;

    #[test]
    fn an_item_has_every_established_field_with_its_type() {
        let established: Value = serde_json::from_str(ESTABLISHED).unwrap();
        let flag: Flag = serde_json::from_value(established.clone()).unwrap();
        let shown = flag_json(&"graphql_reviews_read".parse().unwrap(), &flag, None, None);
        for (name, value) in established.as_object().unwrap() {
            assert_eq!(shown[name], *value, "{name}");
        }
    }
}
