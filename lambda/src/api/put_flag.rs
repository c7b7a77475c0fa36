//! `PUT /flags/{name}`: create or replace.

use super::{
    canary_guard,
    extract::FlagPath,
    flags::{SECTION, flag_json},
};
use crate::{
    Platform,
    change::{Changed, Demand, Proposal, change},
    problem::Problem,
    store::{Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{Flag, FlagName, config::flag_from_json};
use serde_json::Value;

pub(super) async fn handle(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: Demand,
) -> Result<Changed, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let flag = read(&name, demand.json()?)?;
    change(&platform, &demand, "flag.put", |truth| {
        let version = truth.meta(SECTION, name.as_str()).map(|meta| meta.version);
        demand.precondition.check(&format!("the flag {name}"), version)?;
        canary_guard::may_have(truth, &name, flag.rollout_percentage)?;
        Ok(with_flag(truth, &name, flag.clone()))
    })
    .await
}

/// A flag as it was read with GET may be sent back: its name must be the path's, and what the server keeps
/// about it is not read.
fn read(name: &FlagName, mut body: Value) -> Result<Flag, Problem> {
    if let Some(fields) = body.as_object_mut() {
        for kept_by_the_server in ["version", "updated_at", "updated_by", "revision", "published"] {
            fields.remove(kept_by_the_server);
        }
        if let Some(written) = fields.remove("name").filter(|written| written != name.as_str()) {
            let detail = format!("the body names {written}, the path {name:?}");
            return Err(Problem::invalid(
                "name",
                detail,
                "leave the name out of the body, or make both the same",
            ));
        }
    }
    flag_from_json(name, &body).map_err(Problem::invalid_document)
}

/// The truth with one flag set, answered by that flag.
pub(super) fn with_flag(truth: &Truth, name: &FlagName, flag: Flag) -> Proposal {
    let mut config = truth.config.clone();
    let created = config.feature_flags.insert(name.clone(), flag.clone()).is_none();
    let name = name.clone();
    Proposal {
        config,
        emergency: None,
        others: Vec::new(),
        answer: Box::new(move |outcome| {
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            (status, flag_json(&name, &flag, outcome.meta(SECTION, name.as_str()).as_ref()))
        }),
    }
}

/// The truth with one field of an existing flag changed.
pub(super) fn edit_flag(
    truth: &Truth,
    demand: &Demand,
    name: &FlagName,
    edit: impl FnOnce(&mut Flag),
) -> Result<Proposal, Problem> {
    let mut flag = truth
        .config
        .feature_flags
        .get(name)
        .cloned()
        .ok_or_else(|| Problem::not_found("flag", name.as_str()))?;
    let version = truth.meta(SECTION, name.as_str()).map(|meta| meta.version);
    demand.precondition.check(&format!("the flag {name}"), version)?;
    edit(&mut flag);
    Ok(with_flag(truth, name, flag))
}
