//! `PUT /value-flags/{name}`: creates or replaces a flag with values. `PATCH` changes some of its fields, `DELETE` removes it
//! unless another flag needs it, and `POST …/enable` and `…/disable` turn it on or off.

use crate::{
    api::{
        extract::FlagPath,
        object_body::{NamedObject, merge},
        value_flags::{COMPUTED, SECTION, dependents, find, value_flag_json},
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{
    FlagName, Timestamp,
    config::{Config, value_flag_from_json},
    values::{document::ValueFlag, succession::next},
};
use serde_json::{Value, json};

pub(super) async fn put(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let body = body_of(&name, demand.json()?)?;
    change(&platform, &demand, Operation::ValueFlagPut, |truth| {
        demand.must_be_as_seen(truth, "flag", SECTION, name.as_str())?;
        let written = value_flag_from_json(&name, &body, &truth.config).map_err(Problem::invalid_document)?;
        saved(truth, &name, &written)
    })
    .await
}

/// Changes the fields of a flag that a merge patch names, under the same rules. Lists, such as the rules, are replaced.
pub(super) async fn patch(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let patch = body_of(&name, demand.json()?)?;
    change(&platform, &demand, Operation::ValueFlagPut, |truth| {
        find(truth, &name)?;
        demand.must_be_as_seen(truth, "flag", SECTION, name.as_str())?;
        let mut body = truth.config.object(SECTION, name.as_str()).unwrap_or_default();
        replace_choices(&mut body, &patch);
        merge(&mut body, patch.clone());
        let written = value_flag_from_json(&name, &body, &truth.config).map_err(Problem::invalid_document)?;
        saved(truth, &name, &written)
    })
    .await
}

pub(super) async fn delete(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.must_have_no_body()?;
    change(&platform, &demand, Operation::ValueFlagDelete, |truth| {
        find(truth, &name)?;
        demand.must_be_as_seen(truth, "flag", SECTION, name.as_str())?;
        let users: Vec<&str> = dependents(&truth.config, &name).map(FlagName::as_str).collect();
        if !users.is_empty() {
            let detail = format!("the flag {name} is a prerequisite of {}", users.join(", "));
            let hint =
                "remove that prerequisite first, or disable the flag to give all users its off variant";
            return Err(Problem::new(StatusCode::CONFLICT, "flag_in_use", detail, hint));
        }
        let mut config = truth.config.clone();
        config.flags.remove(&name);
        Ok(Proposal::of_deletion(config, json!({ "deleted": name })))
    })
    .await
}

pub(super) async fn enable(
    State(platform): State<Platform>,
    path: FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    switch(&platform, path, &demand, true).await
}

pub(super) async fn disable(
    State(platform): State<Platform>,
    path: FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    switch(&platform, path, &demand, false).await
}

async fn switch(
    platform: &Platform,
    FlagPath(name): FlagPath,
    demand: &ChangeRequest,
    on: bool,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    demand.must_have_no_body()?;
    let operation = if on { Operation::ValueFlagEnable } else { Operation::ValueFlagDisable };
    change(platform, demand, operation, |truth| {
        let flag = find(truth, &name)?;
        demand.must_be_as_seen(truth, "flag", SECTION, name.as_str())?;
        Ok(switched(truth, &name, flag, on, clock::now()))
    })
    .await
}

/// Proposes the state with a flag enabled or disabled from `now` on. A flag that is so only by its schedule is saved
/// too: the past changes could be removed later, and must not switch it back.
fn switched(truth: &Truth, name: &FlagName, flag: &ValueFlag, on: bool, now: Timestamp) -> Proposal {
    let switched = flag.switched(on, now);
    if switched == *flag {
        return proposal(name, truth.config.clone(), false);
    }
    // Nothing else of the configuration matters to that: another fault of it must not keep a flag on.
    proposal(name, with_flag(truth, name, &switched), false)
}

/// Returns a body without the fields that the server maintains: a response may be sent back, and its name must match the path.
fn body_of(name: &FlagName, body: Value) -> Result<Value, Problem> {
    NamedObject { kind: "flag", field: "name", name: name.as_str() }.without_kept(&COMPUTED, body)
}

/// Removes the default that a patch replaces: a variant and weights exclude each other, and so do the weights of before and
/// those of the patch.
fn replace_choices(body: &mut Value, patch: &Value) {
    if patch.get("default").is_some_and(Value::is_object)
        && let Some(fields) = body.as_object_mut()
    {
        fields.remove("default");
    }
}

/// Proposes the state with a flag saved. Variants that other flags need must stay.
fn saved(truth: &Truth, name: &FlagName, written: &ValueFlag) -> Result<Proposal, Problem> {
    let config = with_flag(truth, name, written);
    config.check().map_err(Problem::invalid_document)?;
    Ok(proposal(name, config, !truth.config.flags.contains_key(name)))
}

/// Returns the configuration with a flag saved as the successor of the one that is there.
fn with_flag(truth: &Truth, name: &FlagName, written: &ValueFlag) -> Config {
    let mut config = truth.config.clone();
    config.flags.insert(name.clone(), next(name, truth.config.flags.get(name), written));
    config
}

/// Proposes a configuration, with one of its flags as the response.
fn proposal(name: &FlagName, config: Config, is_created: bool) -> Proposal {
    let saved = config.flags.get(name).cloned();
    let name = name.clone();
    Proposal {
        config,
        emergency: EmergencyChange::Keep,
        others: Vec::new(),
        answer: Box::new(move |outcome| {
            let status = if is_created { StatusCode::CREATED } else { StatusCode::OK };
            let meta = outcome.meta(SECTION, name.as_str());
            let shown = saved.as_ref().map(|saved| value_flag_json(&name, saved, outcome.at, meta.as_ref()));
            (status, shown.unwrap_or_default())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::proposal::Outcome;
    use cutover_core::{Epoch, Revision};

    const CONFIG: &str = "
feature_flags: { routed: { enabled: true } }
segments: { staff: { include: [ann] } }
flags:
  full:
    type: object
    description: Limits
    enabled: true
    variants: { small: { items: 3 }, large: { items: 30 } }
    default: { weights: { small: 90, large: 10 } }
    off: small
    rules:
      - { segment: staff, variant: large }
      - { windows: [{ days: [sat], from: \"09:00\", to: \"17:00\" }], weights: { small: 50, large: 50 } }
    prerequisites: [{ flag: routed, variant: new }]
    schedule: [{ at: \"2027-01-31T08:00:00Z\", set: { enabled: false, default: large } }]
    permanent: true
    salt: another
  bare: { type: boolean, variants: { x: true, y: false }, default: x, off: y }
  behind:
    type: boolean
    variants: { x: true, y: false }
    default: x
    off: y
    prerequisites: [{ flag: bare, variant: x }]
";

    fn truth() -> Truth {
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(CONFIG).unwrap();
        truth
    }

    #[test]
    fn a_flag_that_was_shown_is_read_back_as_the_same_one() {
        let mut truth = truth();
        // With a division that is not the one in order.
        let (name, full) =
            truth.config.flags.get_key_value("full").map(|(n, f)| (n.clone(), f.clone())).unwrap();
        let mut raised = full.clone();
        raised.default =
            serde_json::from_value(json!({ "weights": { "small": 50.0, "large": 50.0 } })).unwrap();
        truth.config.flags.insert(name.clone(), next(&name, Some(&full), &raised));
        for (name, held) in &truth.config.flags {
            let mut shown = value_flag_json(name, held, clock::now(), None);
            for computed in COMPUTED {
                shown[computed] = json!(1);
            }
            let body = body_of(name, shown).unwrap();
            let written = value_flag_from_json(name, &body, &truth.config).unwrap();
            assert_eq!(next(name, Some(held), &written), *held, "{name}");
        }
    }

    /// Without the schedule, of which the flag loses only the changes that are over, it stays as it was switched.
    #[test]
    fn a_flag_is_switched_if_only_its_schedule_has_done_so() {
        let mut truth = truth();
        let name: FlagName = "full".parse().unwrap();
        let now = "2027-02-01T00:00:00Z".parse().unwrap();
        let switch = |truth: &Truth, on: bool| {
            let config = switched(truth, &name, &truth.config.flags[&name], on, now).config;
            config.flags[&name].clone()
        };
        let held = truth.config.flags[&name].clone();
        assert!(held.enabled && !held.in_force(now).enabled);
        let disabled = switch(&truth, false);
        assert!(!ValueFlag { schedule: Vec::new(), ..disabled.clone() }.in_force(now).enabled);
        assert_eq!(disabled.in_force(now).default, held.in_force(now).default);
        truth.config.flags.insert(name.clone(), disabled.clone());
        assert_eq!(switch(&truth, false), disabled);
        let enabled = switch(&truth, true);
        assert!(enabled.enabled && enabled.in_force(now).enabled);
        assert_eq!(ValueFlag { enabled: false, ..enabled }, disabled);
    }

    #[test]
    fn a_response_to_a_change_has_the_state_in_force() {
        let truth = truth();
        let name: FlagName = "full".parse().unwrap();
        let answered = |at: &str| {
            let proposed = proposal(&name, truth.config.clone(), false);
            let outcome = Outcome {
                revision: Revision(1),
                epoch: Epoch(0),
                at: at.parse().unwrap(),
                actor: "ann",
                changes: &[],
                before: &truth,
            };
            (proposed.answer)(&outcome).1
        };
        let later = "2027-01-31T08:00:00Z";
        let (before, after) = (answered("2027-01-01T00:00:00Z"), answered(later));
        assert_eq!(
            (&before["in_force"]["enabled"], &before["in_force"]["until"]),
            (&json!(true), &json!(later))
        );
        let expected =
            json!({ "enabled": false, "default": { "variant": "large" }, "since": later, "until": null });
        assert_eq!((&after["enabled"], &after["in_force"]), (&json!(true), &expected));
    }

    #[test]
    fn a_flag_keeps_what_others_need_of_it() {
        let truth = truth();
        let name: FlagName = "bare".parse().unwrap();
        let flag = |variants: Value| {
            let body = json!({ "type": "boolean", "variants": variants, "default": "y", "off": "y" });
            value_flag_from_json(&name, &body, &truth.config).unwrap()
        };
        assert!(saved(&truth, &name, &flag(json!({ "x": true, "y": false }))).is_ok());
        let Err(refused) = saved(&truth, &name, &flag(json!({ "y": false }))) else { panic!("it was saved") };
        assert_eq!(refused.field.as_deref(), Some("flags.behind.prerequisites[0].variant"), "{refused:?}");
        let routed: FlagName = "routed".parse().unwrap();
        let Err(refused) = saved(&truth, &routed, &flag(json!({ "y": false }))) else {
            panic!("two have a name")
        };
        assert!(refused.detail.contains("routed is in flags and in feature_flags"), "{refused:?}");
    }

    #[test]
    fn a_patch_of_the_default_replaces_it_as_a_whole() {
        let truth = truth();
        let name: FlagName = "full".parse().unwrap();
        for (patch, expected) in [
            (json!({ "default": { "variant": "small" } }), json!({ "variant": "small" })),
            (json!({ "default": "small" }), json!({ "variant": "small" })),
            (json!({ "default": { "weights": { "large": 100 } } }), json!({ "weights": { "large": 100.0 } })),
            (json!({ "enabled": false }), json!({ "weights": { "large": 10.0, "small": 90.0 } })),
        ] {
            let mut body = truth.config.object(SECTION, name.as_str()).unwrap();
            replace_choices(&mut body, &patch);
            merge(&mut body, patch.clone());
            let written = value_flag_from_json(&name, &body, &truth.config).unwrap();
            assert_eq!(json!(written.default), expected, "{patch}");
        }
    }
}
