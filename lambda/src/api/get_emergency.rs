//! `GET /emergency`: the emergency in force and the flags that its end brings back. It reads the configuration alone, so that the
//! function for emergencies answers it while measurements are slow.

use crate::{
    access::auth::Caller, api::respond::json_response, platform::Platform, problem::Problem,
    store::State as Truth,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::Emergency;
use serde_json::{Value, json};

pub(super) async fn handle(_: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    Ok(json_response(StatusCode::OK, &shown(&state)))
}

/// Describes the emergency in force with the revision and the epoch by which a clear refers to it.
fn shown(state: &Truth) -> Value {
    let mut body = json!({
        "emergency": in_force(state),
        "held_flags": held_flags(state),
        "revision": state.head.revision,
    });
    let epoch = state.head.epoch;
    if let Some(fields) = body.as_object_mut()
        && !epoch.is_first()
    {
        fields.insert("epoch".to_owned(), json!(epoch));
    }
    body
}

/// Returns the emergency in force with all of its declarations, also one that an earlier version has stored.
pub(super) fn in_force(state: &Truth) -> Option<Emergency> {
    let emergency = state.head.emergency.as_ref()?;
    Some(Emergency { declarations: emergency.declared(), ..emergency.clone() })
}

/// Lists the flags that an emergency holds, with the share to which each returns when it is cleared.
pub(super) fn held_flags(state: &Truth) -> Vec<Value> {
    let held = state.config.feature_flags.keys().filter(|name| state.is_held(name));
    held.map(|name| json!({ "name": name, "returns_to": state.config.share_on_new(name) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{Epoch, Revision, Timestamp, config::Config, rules::emergency::Declaration};

    #[test]
    fn a_clear_learns_what_comes_back_and_the_revision_that_it_refers_to() {
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        truth.head.revision = Revision(7);
        let calm = json!({ "emergency": null, "held_flags": [], "revision": 7 });
        assert_eq!(shown(&truth), calm);

        let (by, since) = ("ann".to_owned(), Timestamp::from_millis(0));
        let all = Declaration { flags: None, reason: "why".to_owned(), by, since };
        truth.head.emergency = Some(Emergency::from(all));
        truth.head.epoch = Epoch(1_767_225_600);
        let shown = shown(&truth);
        assert_eq!(shown["emergency"]["declarations"][0]["by"], "ann", "{shown:#}");
        assert_eq!(shown["epoch"], 1_767_225_600, "{shown:#}");
        let held = shown["held_flags"].as_array().unwrap();
        assert_eq!(held.len(), truth.config.feature_flags.len(), "{shown:#}");
        for flag in held {
            let name: cutover_core::FlagName = flag["name"].as_str().unwrap().parse().unwrap();
            assert_eq!(
                flag["returns_to"],
                json!(truth.config.feature_flags[&name].enabled_share()),
                "{name}"
            );
        }
    }
}
