//! `PUT /flags/{name}`: creates or replaces a flag. `PATCH /flags/{name}`: changes some of its fields.

use crate::{
    api::{
        canary_guard, experiment_guard,
        extract::FlagPath,
        flags::{SECTION, flag_json},
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Meta, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{Flag, FlagName, config::flag_from_json};
use serde_json::{Map, Value};

/// Fields of a response that the server maintains.
const KEPT_BY_THE_SERVER: [&str; 11] = [
    "version",
    "epoch",
    "updated_at",
    "updated_by",
    "revision",
    "published",
    "unpublished_because",
    "unchanged",
    "held_by_emergency",
    "percentage_in_force",
    "share_on_new",
];

pub(super) async fn handle(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let flag = read(&name, &without_kept(&name, demand.json()?)?)?;
    save(&platform, &demand, &name, |_| Ok(flag.clone())).await
}

/// Changes the fields of a flag that a merge patch names, under the same rules.
pub(super) async fn patch(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let patch = without_kept(&name, demand.json()?)?;
    save(&platform, &demand, &name, |truth| {
        let held = truth.config.object(SECTION, name.as_str());
        let mut body = held.ok_or_else(|| Problem::not_found("flag", name.as_str()))?;
        merge(&mut body, patch.clone());
        read(&name, &body)
    })
    .await
}

/// Saves the flag that `flag` makes of a state.
async fn save(
    platform: &Platform,
    demand: &ChangeRequest,
    name: &FlagName,
    flag: impl Fn(&Truth) -> Result<Flag, Problem>,
) -> Result<ChangeResponse, Problem> {
    change(platform, demand, Operation::FlagPut, |truth| {
        let version = truth.meta(SECTION, name.as_str()).map(Meta::stamp);
        demand.precondition.check(&format!("the flag {name}"), version)?;
        let mut flag = flag(truth)?;
        canary_guard::may_have(truth, name, flag.rollout_percentage)?;
        canary_guard::may_raise(truth, name, &flag)?;
        experiment_guard::may_have(truth, name, flag.rollout_percentage)?;
        canary_guard::may_deal(truth, name, &flag)?;
        canary_guard::keep_dealt(truth, name, &mut flag);
        let proposal = with_flag(truth, name, flag);
        // Enabled at 0 %, it may still send the users of its experiment to the new backend.
        experiment_guard::may_own(truth, &proposal.config)?;
        Ok(proposal)
    })
    .await
}

/// Returns a body without the fields that the server maintains: a response may be sent back, and its name must match the path.
fn without_kept(name: &FlagName, mut body: Value) -> Result<Value, Problem> {
    if let Some(fields) = body.as_object_mut() {
        for kept_by_the_server in KEPT_BY_THE_SERVER {
            fields.remove(kept_by_the_server);
        }
        if let Some(written) = fields.remove("name").filter(|written| written != name.as_str()) {
            let detail = format!("the body names the flag {written}, the path names {name:?}");
            return Err(Problem::invalid(
                "name",
                detail,
                "leave the name out of the body, or use the same name in both",
            ));
        }
    }
    Ok(body)
}

fn read(name: &FlagName, body: &Value) -> Result<Flag, Problem> {
    flag_from_json(name, body).map_err(Problem::invalid_document)
}

/// Applies a merge patch to a value (RFC 7396). A null in place of nothing stays there, so that a name which is no field is
/// refused with null too.
fn merge(target: &mut Value, patch: Value) {
    let patch = match patch {
        Value::Object(patch) => patch,
        other => {
            *target = other;
            return;
        }
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() && fields.remove(&name).is_some() {
            continue;
        }
        merge(fields.entry(name).or_insert(Value::Null), value);
    }
}

/// Proposes the state with one flag set, with that flag as the response.
fn with_flag(truth: &Truth, name: &FlagName, flag: Flag) -> Proposal {
    let mut config = truth.config.clone();
    let created = config.feature_flags.insert(name.clone(), flag.clone()).is_none();
    let salt = truth.salt(name).map(str::to_owned);
    let name = name.clone();
    Proposal {
        config,
        emergency: EmergencyChange::Keep,
        others: Vec::new(),
        answer: Box::new(move |outcome| {
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            (status, flag_json(&name, &flag, salt.as_deref(), outcome.meta(SECTION, name.as_str()).as_ref()))
        }),
    }
}

/// Proposes the state with an existing flag edited.
pub(super) fn edit_flag(
    truth: &Truth,
    demand: &ChangeRequest,
    name: &FlagName,
    edit: impl FnOnce(&mut Flag),
) -> Result<Proposal, Problem> {
    let mut flag = truth
        .config
        .feature_flags
        .get(name)
        .cloned()
        .ok_or_else(|| Problem::not_found("flag", name.as_str()))?;
    let version = truth.meta(SECTION, name.as_str()).map(Meta::stamp);
    demand.precondition.check(&format!("the flag {name}"), version)?;
    edit(&mut flag);
    Ok(with_flag(truth, name, flag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_replaces_adds_and_removes_fields() {
        for (target, patch, expected) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (
                json!({ "a": { "b": "c" } }),
                json!({ "a": { "b": "d", "c": null } }),
                json!({ "a": { "b": "d", "c": null } }),
            ),
            (json!({ "a": 1 }), json!(["c"]), json!(["c"])),
            (json!(["a"]), json!({ "b": 1 }), json!({ "b": 1 })),
            (json!({ "a": 1 }), Value::Null, Value::Null),
            (json!({ "a": 1 }), json!({}), json!({ "a": 1 })),
            (json!({ "a": 1 }), json!({ "b": null }), json!({ "a": 1, "b": null })),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, expected, "{patch} on {target}");
        }
    }

    #[test]
    fn every_field_of_a_flag_that_was_shown_is_read_back() {
        let name: FlagName = "f".parse().unwrap();
        let flag = Flag { enabled: true, description: "words".to_owned(), ..Flag::default() };
        let mut shown = flag_json(&name, &flag, None, None);
        for kept in KEPT_BY_THE_SERVER {
            shown[kept] = json!(1);
        }
        assert_eq!(read(&name, &without_kept(&name, shown).unwrap()).unwrap(), flag);
        let other = without_kept(&name, json!({ "name": "g" })).unwrap_err();
        assert_eq!(other.field.as_deref(), Some("name"));
    }
}
