//! `PUT /flags/{name}`: creates or replaces a flag. `PATCH /flags/{name}`: changes some of its fields.

use crate::{
    api::{
        canary_guard, experiment_guard,
        extract::FlagPath,
        flags::{SECTION, flag_json, missing_flag},
        object_body::{NamedObject, merge},
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{Flag, FlagName, config::flag_from_json};
use serde_json::Value;

/// Fields of a flag that responses to GET compute at their time.
const COMPUTED: [&str; 3] = ["held_by_emergency", "percentage_in_force", "share_on_new"];

pub(super) async fn handle(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let flag = read(&name, &body_of(&name, demand.json()?)?)?;
    save(&platform, &demand, &name, |_| Ok(flag.clone())).await
}

/// Changes the fields of a flag that a merge patch names, under the same rules.
pub(super) async fn patch(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let patch = body_of(&name, demand.json()?)?;
    save(&platform, &demand, &name, |truth| {
        let held = truth.config.object(SECTION, name.as_str());
        let mut body = held.ok_or_else(|| missing_flag(&truth.config, &name))?;
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
        demand.must_be_as_seen(truth, "flag", SECTION, name.as_str())?;
        no_value_flag(truth, name)?;
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
fn body_of(name: &FlagName, body: Value) -> Result<Value, Problem> {
    NamedObject { kind: "flag", field: "name", name: name.as_str() }.without_kept(&COMPUTED, body)
}

fn read(name: &FlagName, body: &Value) -> Result<Flag, Problem> {
    flag_from_json(name, body).map_err(Problem::invalid_document)
}

/// Checks that no flag with values has the name of a flag: both are evaluated by their names.
fn no_value_flag(truth: &Truth, name: &FlagName) -> Result<(), Problem> {
    if !truth.config.flags.contains_key(name) {
        return Ok(());
    }
    let hint = "choose another name: a name is one flag, and applications evaluate both kinds by it";
    Err(Problem::invalid("name", format!("there is a flag with values of the name {name}"), hint))
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
    let mut flag =
        truth.config.feature_flags.get(name).cloned().ok_or_else(|| missing_flag(&truth.config, name))?;
    demand.must_be_as_seen(truth, "flag", SECTION, name.as_str())?;
    edit(&mut flag);
    Ok(with_flag(truth, name, flag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_flag_of_routes_does_not_take_the_name_of_a_flag_with_values() {
        let mut truth = Truth::default();
        let text = "flags: { f: { type: boolean, variants: { a: true, b: false }, default: a, off: b } }";
        truth.config = cutover_core::config::Config::from_yaml(text).unwrap();
        let refused = no_value_flag(&truth, &"f".parse().unwrap()).unwrap_err();
        assert_eq!((refused.code, refused.field.as_deref()), ("invalid", Some("name")));
        assert!(no_value_flag(&truth, &"g".parse().unwrap()).is_ok());
    }

    #[test]
    fn every_field_of_a_flag_that_was_shown_is_read_back() {
        let name: FlagName = "f".parse().unwrap();
        let flag = Flag { enabled: true, description: "words".to_owned(), ..Flag::default() };
        let mut shown = flag_json(&name, &flag, None, None);
        for kept in COMPUTED.iter().chain(&["version", "revision", "published", "unchanged"]) {
            shown[*kept] = json!(1);
        }
        assert_eq!(read(&name, &body_of(&name, shown).unwrap()).unwrap(), flag);
        let other = body_of(&name, json!({ "name": "g" })).unwrap_err();
        assert_eq!(other.field.as_deref(), Some("name"));
    }
}
