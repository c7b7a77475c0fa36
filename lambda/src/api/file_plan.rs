//! The plan of a configuration file: the configuration that it makes of a state, the users that it moves, and its warnings.

use crate::{
    api::{
        canary_guard,
        experiment_save::{begin_above_earlier, must_be_valid},
        recent_traffic::RecentTraffic,
        respond::json_response,
    },
    change::commit::rehearse,
    problem::Problem,
    store::State as Truth,
};
use axum::{http::StatusCode, response::Response};
use cutover_core::{
    Flag, FlagName, PartsPerMillion, Timestamp,
    config::{Config, ConfigFile, Movement, diff, movements},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Query parameters of `PUT /config`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Reports the changes without making them.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Also removes objects that the file does not contain.
    #[serde(default)]
    pub(super) prune: bool,
    /// Allows the file to move users back to legacy.
    #[serde(default)]
    pub(super) allow_moving_users: bool,
}

/// Measured traffic of each flag.
pub(super) type Traffic = BTreeMap<FlagName, RecentTraffic>;

/// A file that is to be applied.
#[derive(Debug)]
pub(super) struct FilePlan {
    /// The file.
    pub(super) file: ConfigFile,
    /// Parameters of the request.
    pub(super) query: Query,
    /// Traffic of the flags that have a canary in the file.
    pub(super) traffic: Traffic,
    /// Time of the request.
    pub(super) now: Timestamp,
}

impl FilePlan {
    /// Returns the configuration after applying the file. The result must pass the same checks as the
    /// file.
    pub(super) fn merged(&self, truth: &Truth) -> Result<Config, Problem> {
        let mut merged = self.file.merged_into(&truth.config, self.query.prune);
        canary_guard::may_remove(truth, &merged)?;
        // A running canary owns its flag's share, and so does an experiment that goes on; the file holds the flag's initial share.
        let kept = owned_shares(truth, &merged);
        for (name, owned) in kept {
            if let Some(flag) = merged.feature_flags.get_mut(&name) {
                flag.rollout_percentage = owned.share;
            }
        }
        for (name, flag) in &mut merged.feature_flags {
            canary_guard::may_deal(truth, name, flag)?;
            canary_guard::keep_dealt(truth, name, flag);
        }
        for (name, flag) in &merged.feature_flags {
            canary_guard::may_raise(truth, name, flag)?;
        }
        begin_above_earlier(truth, &mut merged);
        must_be_valid(truth, &merged)?;
        Ok(merged)
    }

    /// Returns the users that the file moves.
    pub(super) fn movements(&self, truth: &Truth, merged: &Config) -> Vec<Movement> {
        movements(&truth.config, merged, |name| truth.run_salt(name))
    }

    /// Refuses a file that takes users back to legacy, unless the request allows that: a file from before the end of a canary
    /// undoes it.
    pub(super) fn may_move(&self, movements: &[Movement]) -> Result<(), Problem> {
        let back: Vec<&Movement> = movements.iter().filter(|movement| movement.back > 0.0).collect();
        let detail = match back.as_slice() {
            _ if self.query.allow_moving_users => return Ok(()),
            [] => return Ok(()),
            [only] => format!("the file would move users: {}; nothing was changed", only.summary),
            many => format!(
                "the file would move users of {} flags back to legacy; nothing was changed",
                many.len()
            ),
        };
        let hint =
            "correct the file, or repeat the request with allow_moving_users=true if they are to go back";
        let error = |movement: &&Movement| {
            self.file.problem(movement.field(), movement.summary.clone(), movement.remedy())
        };
        let errors = back.iter().map(error).collect();
        Err(Problem { errors, ..Problem::new(StatusCode::CONFLICT, "moves_users_back", detail, hint) })
    }

    /// Returns warnings about the file, and about the configuration that it makes.
    pub(super) fn warnings(&self, truth: &Truth, merged: &Config) -> Vec<String> {
        let mut warnings = merged.warnings();
        let wanted = &self.file.config;
        for (name, plan) in &wanted.canary_deployments {
            if truth.config.canary_deployments.get(name) != Some(plan) {
                let measured = self.traffic.get(name).copied();
                warnings.extend(canary_guard::slow_steps(name, plan, measured, false));
                warnings.extend(canary_guard::stricter_than_limits(name, plan, measured));
                warnings.extend(canary_guard::own_traffic(name, plan, measured));
            }
        }
        let owned = owned_shares(truth, merged);
        for (name, flag) in wanted.feature_flags.iter().filter(|(name, _)| !self.file.leaves_share_open(name))
        {
            if let Some(owned) = owned.get(name).filter(|owned| owned.share != flag.rollout_percentage) {
                warnings.push(format!(
                    "{name} stays at {}: its {} is running, so the file's {} is not applied",
                    owned.share, owned.owner, flag.rollout_percentage
                ));
            }
        }
        let changed = |name: &FlagName| {
            let (held, wanted) = (truth.config.feature_flags.get(name)?, merged.feature_flags.get(name)?);
            uncounted(name, held, wanted)
        };
        warnings.extend(wanted.feature_flags.keys().filter_map(changed));
        warnings.extend(truth.config.feature_flags.iter().filter_map(|(name, held)| {
            let wanted = merged.feature_flags.get(name);
            let leaves = held.enabled && wanted.is_none_or(|wanted| !wanted.enabled);
            (leaves && !held.user_whitelist.is_empty()).then(|| {
                format!("{name}: the file sends the users on its whitelist to legacy, which are not counted")
            })
        }));
        warnings.extend(self.file.warnings(merged, self.now));
        warnings
    }

    /// Builds the response to a trial run: the changes, and whom they move.
    pub(super) fn trial(&self, truth: &Truth) -> Result<Response, Problem> {
        let merged = self.merged(truth)?;
        let changes = diff(&truth.config, &merged);
        rehearse(truth, &merged, &changes)?;
        let mut body = json!({
            "dry_run": true,
            "revision": truth.head.revision,
            "changes": changes,
            "moves": self.movements(truth, &merged),
            "warnings": self.warnings(truth, &merged),
        });
        let epoch = truth.head.stamp().epoch;
        if let Some(fields) = body.as_object_mut().filter(|_| !epoch.is_first()) {
            fields.insert("epoch".to_owned(), json!(epoch));
        }
        Ok(json_response(StatusCode::OK, &body))
    }
}

/// A share that a file leaves as it is.
struct OwnedShare {
    share: PartsPerMillion,
    /// Kind of the owner.
    owner: &'static str,
}

/// Returns the shares of flags whose canary is running, or whose experiment is running and goes on.
fn owned_shares(truth: &Truth, merged: &Config) -> BTreeMap<FlagName, OwnedShare> {
    let goes_on = |name: &FlagName| {
        let owner = truth.owner(name).and_then(|owner| merged.ab_tests.get(owner));
        owner.is_some_and(|owner| owner.owned_flag() == Some(name))
    };
    let owned = |(name, flag): (&FlagName, &Flag)| {
        let share = flag.rollout_percentage;
        let owner = if truth.active_run(name).is_some() {
            "canary"
        } else if goes_on(name) {
            "experiment"
        } else {
            return None;
        };
        Some((name.clone(), OwnedShare { share, owner }))
    };
    truth.config.feature_flags.iter().filter_map(owned).collect()
}

/// Returns a warning about a flag whose conditions or lists change: the users whom they move are not counted.
fn uncounted(name: &FlagName, held: &Flag, wanted: &Flag) -> Option<String> {
    let differ = [
        ("conditions", held.conditions != wanted.conditions),
        ("user_whitelist", held.user_whitelist != wanted.user_whitelist),
        ("user_blacklist", held.user_blacklist != wanted.user_blacklist),
    ];
    let fields: Vec<&str> =
        differ.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect();
    let fields = fields.join(" and ");
    (held.enabled && wanted.enabled && !fields.is_empty())
        .then(|| format!("{name}: the file changes {fields}, and the users whom that moves are not counted"))
}
