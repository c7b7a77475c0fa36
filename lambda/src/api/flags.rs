//! `GET /flags` and `GET /flags/{name}`, and the JSON form of a flag in every response.

use crate::{
    access::auth::Caller,
    api::{
        extract::{FlagPath, HELD, OWNED, Page, Parameters},
        object_list::object_list,
        respond::{json_response, not_modified_or, set_tag, with_meta},
    },
    platform::Platform,
    problem::Problem,
    store::{Meta, State as Truth},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use cutover_core::{Flag, FlagName, config::Config};
use serde_json::{Value, json};

/// Section of the configuration that holds the flags.
pub(super) const SECTION: &str = "feature_flags";

pub(super) fn flag_json(name: &FlagName, flag: &Flag, salt: Option<&str>, meta: Option<&Meta>) -> Value {
    let body = json!({
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
    with_meta(body, meta)
}

/// Returns a flag as JSON, with the share that is in force beside the stored one, and that of its users on the new arm, whom a
/// running experiment may decide.
fn shown(state: &Truth, name: &FlagName, flag: &Flag) -> Value {
    let mut body = flag_json(name, flag, state.salt(name), state.meta(SECTION, name.as_str()));
    if let Some(fields) = body.as_object_mut() {
        fields.insert("held_by_emergency".to_owned(), json!(state.is_held(name)));
        fields.insert("percentage_in_force".to_owned(), json!(state.share_in_force(name, flag)));
        fields.insert("share_on_new".to_owned(), json!(state.share_on_new(name)));
    }
    body
}

pub(super) async fn list(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let flags = state.config.feature_flags.iter().map(|entry| (entry.0.as_str(), entry));
    object_list(&page, &state, "flags", flags, |(name, flag)| shown(&state, name, flag))
}

pub(super) async fn one(
    _: Caller,
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let flag = state.config.feature_flags.get(&name).ok_or_else(|| missing_flag(&state.config, &name))?;
    let mut response = json_response(StatusCode::OK, &shown(&state, &name, flag));
    if let Some(tag) = tag(&state, &name) {
        set_tag(&mut response, tag);
    }
    // An experiment moves the share of users on the new arm without a new version of the flag.
    if state.owner(&name).is_some() {
        return Ok(response);
    }
    Ok(not_modified_or(&request, response))
}

/// Builds the problem for a flag of routes that does not exist. One with values may have the name.
pub(super) fn missing_flag(config: &Config, name: &FlagName) -> Problem {
    let missing = Problem::not_found("flag", name.as_str());
    if !config.flags.contains_key(name) {
        return missing;
    }
    let detail = format!("{}: {name} gives applications values", missing.detail);
    let hint = format!("it is one of the flags with values, below /value-flags (cutover value get {name})");
    Problem { detail, hint, ..missing }
}

/// Returns the entity tag of a flag: its version, with a mark while an emergency holds it or an experiment owns it, which
/// changes the response and no version. The salt in force changes with the version only: a run that deals users anew also
/// sets the share.
fn tag(state: &Truth, name: &FlagName) -> Option<String> {
    let version = state.meta(SECTION, name.as_str())?.stamp();
    let mark = if state.is_held(name) {
        HELD
    } else if state.owner(name).is_some() {
        OWNED
    } else {
        ""
    };
    Some(format!("{version}{mark}"))
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
    fn a_flag_with_values_that_is_missed_among_those_of_routes_is_told() {
        let text =
            "flags: { button: { type: boolean, variants: { a: true, b: false }, default: a, off: b } }";
        let config = Config::from_yaml(text).unwrap();
        let missing = missing_flag(&config, &"button".parse().unwrap());
        assert_eq!(
            (missing.code, missing.detail.as_str()),
            ("not_found", "there is no flag \"button\": button gives applications values")
        );
        assert!(missing.hint.ends_with("(cutover value get button)"), "{}", missing.hint);
        let unknown: FlagName = "buton".parse().unwrap();
        assert_eq!(missing_flag(&config, &unknown), Problem::not_found("flag", "buton"));
    }

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
