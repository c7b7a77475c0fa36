//! `GET /stale-flags`: the flags of both kinds that have done their work, or have not changed for long.

use crate::{
    access::auth::Caller,
    api::{
        extract::{Page, Parameters},
        flags,
        object_list::object_list,
        value_flags,
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::State as Truth,
};
use axum::{extract::State, response::Response};
use cutover_core::{
    FlagName, Timestamp,
    values::stale::{Stale, StaleAfter, stale, stale_switch},
};
use serde_json::{Value, json};

/// A flag of the report.
struct Finding<'t> {
    flag: &'t FlagName,
    /// Kind of the flag: `routes` or `values`.
    kind: &'static str,
    stale: Stale,
    changed: Timestamp,
}

impl Finding<'_> {
    fn json(&self) -> Value {
        let (reason, variant, days) = match &self.stale {
            Stale::Settled { variant, days } => ("settled", Some(variant), days),
            Stale::Old { days } => ("old", None, days),
        };
        json!({
            "flag": self.flag,
            "decides": self.kind,
            "reason": reason,
            "variant": variant,
            "days": days,
            "updated_at": self.changed,
        })
    }
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let found = findings(&state, clock::now());
    let found = found.iter().map(|finding| (finding.flag.as_str(), finding));
    object_list(&page, &state, "stale_flags", found, Finding::json)
}

/// Returns the stale flags at `now`. A flag of routes that a run, an experiment or an emergency decides has its work ahead.
fn findings(state: &Truth, now: Timestamp) -> Vec<Finding<'_>> {
    let after = StaleAfter::default();
    let of_values = state.config.flags.iter().filter_map(|(name, flag)| {
        let changed = state.meta(value_flags::SECTION, name.as_str())?.updated_at;
        let stale = stale(flag, now, changed, after)?;
        Some(Finding { flag: name, kind: "values", stale, changed })
    });
    let is_decided = |name: &FlagName| {
        state.active_run(name).is_some() || state.owner(name).is_some() || state.is_held(name)
    };
    let of_routes = state.config.feature_flags.iter().filter_map(|(name, flag)| {
        let changed = state.meta(flags::SECTION, name.as_str())?.updated_at;
        let stale = stale_switch(flag, now, changed, after).filter(|_| !is_decided(name))?;
        Some(Finding { flag: name, kind: "routes", stale, changed })
    });
    of_values.chain(of_routes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_has_the_variant_that_all_users_have() {
        let finding = |stale: Stale| {
            let flag: FlagName = "f".parse().unwrap();
            let changed = "2026-01-01T00:00:00Z".parse().unwrap();
            Finding { flag: &flag, kind: "values", stale, changed }.json()
        };
        let settled = finding(Stale::Settled { variant: "on".into(), days: 8 });
        assert_eq!(
            settled,
            json!({
                "flag": "f", "decides": "values", "reason": "settled", "variant": "on", "days": 8,
                "updated_at": "2026-01-01T00:00:00Z",
            })
        );
        let old = finding(Stale::Old { days: 90 });
        assert_eq!((&old["reason"], &old["variant"]), (&json!("old"), &Value::Null));
    }
}
