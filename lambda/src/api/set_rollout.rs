//! `PUT /flags/{name}/rollout`: sets the rollout percentage of a flag.

use crate::{
    api::{canary_guard, experiment_guard, extract::FlagPath, put_flag::edit_flag},
    change::{commit::change, demand::ChangeRequest, operation::Operation, proposal::ChangeResponse},
    platform::Platform,
    problem::Problem,
    store::Role,
};
use axum::extract::State;
use cutover_core::PartsPerMillion;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    percentage: f64,
}

pub(super) async fn handle(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let Body { percentage } = demand.shape()?;
    let share = PartsPerMillion::from_percent(percentage).map_err(|error| {
        Problem::invalid(
            "percentage",
            error.to_string(),
            "use a number from 0 to 100 with at most four decimals, such as 2.5",
        )
    })?;
    change(&platform, &demand, Operation::FlagRollout, |truth| {
        canary_guard::may_have(truth, &name, share)?;
        experiment_guard::may_have(truth, &name, share)?;
        edit_flag(truth, &demand, &name, |flag| flag.rollout_percentage = share)
    })
    .await
}
