//! `PUT /flags/{name}/rollout`.

use super::{canary_guard, extract::FlagPath, put_flag::edit_flag};
use crate::{
    Platform,
    change::{Changed, Demand, change},
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
    demand: Demand,
) -> Result<Changed, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let Body { percentage } = demand.shape()?;
    let share = PartsPerMillion::from_percent(percentage).map_err(|error| {
        Problem::invalid(
            "percentage",
            error.to_string(),
            "send 0 to 100 with at most four decimals, such as 2.5",
        )
    })?;
    change(&platform, &demand, "flag.rollout", |truth| {
        let held = truth.config.feature_flags.get(&name).map(|flag| flag.rollout_percentage);
        canary_guard::owns_share(truth, &name, share)?;
        if held.is_some_and(|held| share > held) {
            canary_guard::no_emergency(truth, &name)?;
        }
        edit_flag(truth, &demand, &name, |flag| flag.rollout_percentage = share)
    })
    .await
}
