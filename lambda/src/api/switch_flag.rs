//! `POST /flags/{name}/enable` and `/disable`: turn a flag on or off.

use crate::{
    api::{canary_guard, extract::FlagPath, put_flag::edit_flag},
    change::{commit::change, demand::ChangeRequest, operation::Operation, proposal::ChangeResponse},
    platform::Platform,
    problem::Problem,
    store::Role,
};
use axum::extract::State;

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
    let operation = if on { Operation::FlagEnable } else { Operation::FlagDisable };
    change(platform, demand, operation, |truth| {
        if on {
            canary_guard::no_emergency(truth, &name)?;
        }
        edit_flag(truth, demand, &name, |flag| flag.enabled = on)
    })
    .await
}
