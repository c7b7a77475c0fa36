//! `PUT /config?dry_run=&prune=&allow_moving_users=`: applies a configuration file.

use crate::{
    api::{
        extract::Parameters,
        file_plan::{FilePlan, Query, Traffic},
        recent_traffic::RecentTraffic,
    },
    change::{commit::change_on, demand::ChangeRequest, operation::Operation, proposal::Proposal},
    clock,
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, LedgerParts, Role, State as Truth},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cutover_core::config::{ConfigFile, Movement};
use serde_json::json;
use std::sync::{Mutex, PoisonError};

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
    let file = read(&demand)?;
    let planned: Vec<_> = file.config.canary_deployments.keys().map(Some).collect();
    // Before the ledgers: what the cursor promises is true of ledgers that are read after it.
    // Traffic that cannot be known is unknown, and refuses nothing.
    let cursor = platform.store.cursor().await.unwrap_or_default();
    let ledgers = platform.store.ledgers_of(&planned, LedgerParts::None).await?.into_iter();
    let now = clock::now();
    let traffic: Traffic = ledgers
        .filter_map(|(flag, ledger)| {
            let flag = flag?;
            let measured = RecentTraffic::of(&flag, &cursor, &ledger, now)?;
            Some((flag, measured))
        })
        .collect();
    let plan = FilePlan { file, query, traffic, now };
    if query.dry_run {
        return plan.trial(&platform.store.state().await?);
    }
    // Those of the whole file: its later parts are proposed on states in which the earlier ones have moved users already.
    let moved: Mutex<Option<Vec<Movement>>> = Mutex::default();
    let moved_now = || moved.lock().unwrap_or_else(PoisonError::into_inner);
    let first = |truth: &Truth| {
        *moved_now() = None;
        // It held when the file was sent. A change that is approved has to be the one that was shown, and nothing else.
        if demand.approved.is_some() {
            return Ok(());
        }
        demand.precondition.check("the configuration", Some(truth.head.stamp()))
    };
    let changed = change_on(&platform, &demand, Operation::ConfigApply, first, |truth| {
        let config = plan.merged(truth)?;
        let movements = plan.movements(truth, &config);
        plan.may_move(&movements)?;
        let moves = moved_now().get_or_insert(movements).clone();
        let warnings = plan.warnings(truth, &config);
        Ok(Proposal {
            config,
            emergency: EmergencyChange::Keep,
            others: Vec::new(),
            answer: Box::new(move |outcome| {
                let (changes, moves, warnings) = (&outcome.changes, &moves, &warnings);
                let body =
                    json!({ "dry_run": false, "changes": changes, "moves": moves, "warnings": warnings });
                (StatusCode::OK, body)
            }),
        })
    });
    Ok(changed.await?.into_response())
}

fn read(demand: &ChangeRequest) -> Result<ConfigFile, Problem> {
    if demand.content_type == "application/json" {
        return ConfigFile::from_json(&demand.json()?).map_err(Problem::invalid_document);
    }
    let text = std::str::from_utf8(&demand.body).map_err(|_| {
        let hint = "save the file as UTF-8 and send it again";
        Problem::new(StatusCode::BAD_REQUEST, "body_not_text", "the body is not UTF-8", hint)
    })?;
    ConfigFile::from_yaml(text).map_err(Problem::invalid_document)
}
