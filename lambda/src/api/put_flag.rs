//! `PUT /flags/{name}`: creates or replaces a flag.

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
use serde_json::Value;

/// Fields of a response that the server maintains.
const KEPT_BY_THE_SERVER: [&str; 10] = [
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
];

pub(super) async fn handle(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let flag = read(&name, demand.json()?)?;
    change(&platform, &demand, Operation::FlagPut, |truth| {
        let version = truth.meta(SECTION, name.as_str()).map(Meta::stamp);
        demand.precondition.check(&format!("the flag {name}"), version)?;
        canary_guard::may_have(truth, &name, flag.rollout_percentage)?;
        experiment_guard::may_have(truth, &name, flag.rollout_percentage)?;
        canary_guard::may_deal(truth, &name, &flag)?;
        let mut flag = flag.clone();
        canary_guard::keep_dealt(truth, &name, &mut flag);
        Ok(with_flag(truth, &name, flag))
    })
    .await
}

/// Parses a flag. A response to GET may be sent back: its name must match the path, and the fields
/// that the server maintains are ignored.
fn read(name: &FlagName, mut body: Value) -> Result<Flag, Problem> {
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
    flag_from_json(name, &body).map_err(Problem::invalid_document)
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
