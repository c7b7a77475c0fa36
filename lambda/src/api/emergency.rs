//! `POST /emergency/rollback` and `/emergency/clear`: declare or clear an emergency.

use crate::{
    api::flags::missing_flag,
    canary::run::run_write,
    change::{
        commit::{change, change_on},
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, RUNS, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{
    Emergency, FlagName, PartsPerMillion,
    config::Config,
    rules::{
        emergency::Declaration,
        experiment::document::{Experiment, ExperimentState},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackBody {
    reason: String,
    #[serde(default)]
    flags: Option<Vec<FlagName>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearBody {
    reason: String,
    #[serde(default)]
    flags: Option<Vec<FlagName>>,
    #[serde(default)]
    percentage: Option<f64>,
}

pub(super) async fn rollback(
    State(platform): State<Platform>,
    mut demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let body: RollbackBody = demand.shape()?;
    let reason = said(&body.reason)?;
    demand.reason = Some(reason.clone());
    must_name_one(body.flags.as_deref(), "rolled back")?;
    let (by, since) = (demand.caller.name.clone(), clock::now());
    let declaration = Declaration { flags: body.flags, reason, by, since };
    change(&platform, &demand, Operation::EmergencyRollback, |truth| {
        must_exist(truth, declaration.flags.as_deref())?;
        let declared = match &truth.head.emergency {
            Some(held) => held.widened(declaration.clone()),
            None => Emergency::from(declaration.clone()),
        };
        Ok(Proposal {
            config: truth.config.clone(),
            emergency: EmergencyChange::Set(declared.clone()),
            others: Vec::new(),
            answer: Box::new(move |_| (StatusCode::OK, json!({ "emergency": declared }))),
        })
    })
    .await
}

pub(super) async fn clear(
    State(platform): State<Platform>,
    mut demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let ClearBody { reason, flags, percentage } = demand.shape()?;
    demand.reason = Some(said(&reason)?);
    must_name_one(flags.as_deref(), "released")?;
    if percentage.is_some_and(|percentage| percentage != 0.0) {
        let detail = "flags come back at 0 or at the percentage that each of them has";
        let hint = "send 0, or leave the field out; raise the percentages afterwards";
        return Err(Problem::invalid("percentage", detail, hint));
    }
    // A second person approves flags and shares, so other changes until then do not matter.
    demand.if_match = None;
    let is_as_seen = |truth: &Truth| demand.precondition.check("the configuration", Some(truth.head.stamp()));
    change_on(&platform, &demand, Operation::EmergencyClear, is_as_seen, |truth| {
        let release = released(truth, flags.as_deref())?;
        Ok(if percentage.is_some() {
            at_zero(truth, release, &demand)
        } else {
            release.proposal(truth.config.clone())
        })
    })
    .await
}

/// Flags that are released, and the emergency that remains.
struct Release {
    flags: Vec<FlagName>,
    left: Option<Emergency>,
}

impl Release {
    /// Proposes the release of the flags at the shares that they have in a configuration.
    fn proposal(self, config: Config) -> Proposal {
        let Self { flags, left } = self;
        let flags: Vec<Value> = flags.iter().map(|name| returned(&config, name)).collect();
        Proposal {
            config,
            emergency: left.clone().map_or(EmergencyChange::Clear, EmergencyChange::Set),
            others: Vec::new(),
            answer: Box::new(move |_| (StatusCode::OK, json!({ "emergency": left, "returned": flags }))),
        }
    }
}

/// Proposes the release of flags at 0 %, in one change with the end of the emergency. A canary that is active is rolled back
/// and an experiment that is running is paused: they own their flags.
fn at_zero(truth: &Truth, release: Release, demand: &ChangeRequest) -> Proposal {
    let mut config = truth.config.clone();
    for name in &release.flags {
        if let Some(flag) = config.feature_flags.get_mut(name) {
            flag.rollout_percentage = PartsPerMillion::ZERO;
        }
        let owns = |experiment: &&mut Experiment| experiment.owned_flag() == Some(name);
        for experiment in config.ab_tests.values_mut().filter(owns) {
            experiment.state = ExperimentState::Paused;
        }
    }
    let why = demand.reason.as_deref().unwrap_or_default();
    let says = format!("rolled back by {}, with the end of an emergency: {why}", demand.caller.name);
    let runs = release.flags.iter().filter_map(|name| truth.active_run(name));
    let others =
        runs.map(|run| (format!("{RUNS}/{}", run.flag), run_write(truth, &run.rolled_back(None, &says))));
    let others = others.collect();
    Proposal { others, ..release.proposal(config) }
}

/// Decides which flags are released: those that are named, or all.
fn released(truth: &Truth, named: Option<&[FlagName]>) -> Result<Release, Problem> {
    let Some(emergency) = &truth.head.emergency else { return Err(not_held("no emergency is in force")) };
    must_exist(truth, named)?;
    let free = named.and_then(|named| named.iter().find(|flag| !emergency.covers(flag)));
    if let Some(free) = free {
        return Err(not_held(&format!("no emergency holds {free}")));
    }
    let known = || truth.config.feature_flags.keys();
    let is_released = |flag: &&FlagName| named.is_none_or(|named| named.contains(flag));
    let flags = known().filter(|flag| emergency.covers(flag)).filter(is_released).cloned().collect();
    let left = named.and_then(|named| emergency.without(named, known()));
    Ok(Release { flags, left })
}

/// Describes a released flag by the share that is in force from then on.
fn returned(config: &Config, name: &FlagName) -> Value {
    json!({ "name": name, "percentage": config.share_on_new(name) })
}

fn not_held(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "no_emergency", detail, "there is nothing to clear")
}

/// Refuses a list of flags that is empty.
fn must_name_one(flags: Option<&[FlagName]>, act: &str) -> Result<(), Problem> {
    if flags.is_some_and(<[FlagName]>::is_empty) {
        let hint = format!("name the flags, or leave the field out for all flags to be {act}");
        let detail = format!("the list is empty, so nothing would be {act}");
        return Err(Problem::invalid("flags", detail, hint));
    }
    Ok(())
}

/// Refuses flags that do not exist.
fn must_exist(truth: &Truth, flags: Option<&[FlagName]>) -> Result<(), Problem> {
    let mut flags = flags.unwrap_or_default().iter();
    match flags.find(|flag| !truth.config.feature_flags.contains_key(*flag)) {
        Some(unknown) => Err(missing_flag(&truth.config, unknown).in_field("flags")),
        None => Ok(()),
    }
}

fn said(reason: &str) -> Result<String, Problem> {
    // In one line: it is also a header of the request that a second person approves.
    let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let reason = reason.trim();
    if reason.is_empty() {
        let hint = "give a short reason; it is shown to everyone who investigates the emergency";
        return Err(Problem::invalid("reason", "the reason is empty", hint));
    }
    // An emergency is never refused for its reason, which stands in the head that everybody reads.
    Ok(reason.get(..reason.floor_char_boundary(MAX_REASON)).unwrap_or(reason).to_owned())
}

/// Longest reason of an emergency that is kept, in bytes.
const MAX_REASON: usize = 500;
