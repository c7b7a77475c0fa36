//! `PUT /config?dry_run=&prune=`: applies a configuration file.

use crate::{
    api::{canary_guard, extract::Parameters, respond::json_response},
    change::{
        commit::{change_on, rehearse},
        demand::ChangeRequest,
        operation::Operation,
        proposal::Proposal,
    },
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, LedgerParts, Role, State as Truth},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cutover_core::{
    FlagName,
    config::{Config, diff},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Reports the changes without making them.
    #[serde(default)]
    dry_run: bool,
    /// Also removes objects that the file does not contain.
    #[serde(default)]
    prune: bool,
}

pub(super) async fn handle(
    State(platform): State<Platform>,
    Parameters(query): Parameters<Query>,
    demand: ChangeRequest,
) -> Result<Response, Problem> {
    demand.caller.must_be(match query {
        Query { dry_run: true, .. } => Role::Viewer,
        Query { prune: true, .. } => Role::Admin,
        Query { .. } => Role::Operator,
    })?;
    let wanted = read(&demand)?;
    let planned: Vec<_> = wanted.canary_deployments.keys().map(Some).collect();
    let ledgers = platform.store.ledgers_of(&planned, LedgerParts::None).await?.into_iter();
    let traffic: Traffic = ledgers
        .filter_map(|(flag, ledger)| Some((flag?, canary_guard::requests_per_second(&ledger)?)))
        .collect();
    if query.dry_run {
        let truth = platform.store.state().await?;
        let merged = merged(&truth, &wanted, query.prune)?;
        let changes = diff(&truth.config, &merged);
        rehearse(&truth, &merged, &changes)?;
        let body = json!({
            "dry_run": true,
            "revision": truth.head.revision,
            "changes": changes,
            "warnings": warnings(&truth, &wanted, &merged, &traffic),
        });
        return Ok(json_response(StatusCode::OK, &body));
    }
    let unchanged = |truth: &Truth| demand.precondition.check("the configuration", Some(truth.head.stamp()));
    let changed = change_on(&platform, &demand, Operation::ConfigApply, unchanged, |truth| {
        let config = merged(truth, &wanted, query.prune)?;
        let warnings = warnings(truth, &wanted, &config, &traffic);
        Ok(Proposal {
            config,
            emergency: EmergencyChange::Keep,
            others: Vec::new(),
            answer: Box::new(move |outcome| {
                let body = json!({ "dry_run": false, "changes": outcome.changes, "warnings": warnings });
                (StatusCode::OK, body)
            }),
        })
    });
    Ok(changed.await?.into_response())
}

fn read(demand: &ChangeRequest) -> Result<Config, Problem> {
    if demand.content_type == "application/json" {
        return Config::from_json(&demand.json()?).map_err(Problem::invalid_document);
    }
    let text = std::str::from_utf8(&demand.body).map_err(|_| {
        let hint = "save the file as UTF-8 and send it again";
        Problem::new(StatusCode::BAD_REQUEST, "body_not_text", "the body is not UTF-8", hint)
    })?;
    Config::from_yaml(text).map_err(Problem::invalid_document)
}

/// Returns the configuration after applying the file. The result must pass the same checks as the
/// file.
fn merged(truth: &Truth, wanted: &Config, prune: bool) -> Result<Config, Problem> {
    let mut merged = truth.config.merged(wanted, prune);
    canary_guard::may_remove(truth, &merged)?;
    // A running canary owns its flag's share; the file holds the flag's initial share.
    for (name, flag) in &mut merged.feature_flags {
        if let Some(held) = truth.active_run(name).and_then(|_| truth.config.feature_flags.get(name)) {
            flag.rollout_percentage = held.rollout_percentage;
        }
    }
    for (name, flag) in &mut merged.feature_flags {
        canary_guard::may_deal(truth, name, flag)?;
        canary_guard::keep_dealt(truth, name, flag);
    }
    merged.check().map_err(Problem::invalid_document)?;
    Ok(merged)
}

/// Measured requests per second of each flag.
type Traffic = BTreeMap<FlagName, f64>;

/// Returns warnings about a valid file, and about the configuration that it makes.
fn warnings(truth: &Truth, wanted: &Config, merged: &Config, traffic: &Traffic) -> Vec<String> {
    let mut warnings = merged.warnings();
    for (name, plan) in &wanted.canary_deployments {
        if truth.config.canary_deployments.get(name) != Some(plan) {
            let measured = traffic.get(name).copied();
            warnings.extend(canary_guard::slow_steps(name, plan, measured, false));
            warnings.extend(canary_guard::stricter_than_limits(name, plan, measured));
            warnings.extend(canary_guard::own_traffic(name, plan, measured));
        }
    }
    for (name, flag) in &wanted.feature_flags {
        let held = truth.active_run(name).and_then(|_| truth.config.feature_flags.get(name));
        if let Some(held) = held.filter(|held| held.rollout_percentage != flag.rollout_percentage) {
            warnings.push(format!(
                "{name} stays at {}: its canary is running, so the file's {} is not applied",
                held.rollout_percentage, flag.rollout_percentage
            ));
        }
    }
    warnings
}
