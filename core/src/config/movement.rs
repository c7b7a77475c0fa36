//! Users that a change of the configuration moves between the arms.

mod ownership;
mod routes;

use super::document::Config;
use crate::{
    rules::flag::Flag,
    vocabulary::{
        names::{ExperimentName, FlagName, RouteId},
        share::PartsPerMillion,
    },
};
use ownership::{Moved, Owner, moved};
use routes::{DeletedRoute, deleted};
use serde::Serialize;
use std::collections::BTreeSet;

/// The users of one flag that a change moves to the other arm, as far as its percentage, its switch, its salt, the experiment
/// that owns it and the deletion of a route decide.
/// All shares are in percent of the flag's users; those of a deleted route move with its requests only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Movement {
    /// The flag.
    pub flag: FlagName,
    /// The part of the change that moves them.
    pub cause: Cause,
    /// The experiment that begins or ends to decide the flag, or decides it in another way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentName>,
    /// The route that is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// Users on the new arm before the change.
    pub from: f64,
    /// Users on the new arm after the change.
    pub to: f64,
    /// Users who go back to legacy; at most so many if the experiment gets other conditions.
    pub back: f64,
    /// Users who go to the new backend; at most so many if the experiment gets other conditions.
    pub forward: f64,
    /// All of this as a sentence.
    pub summary: String,
}

/// The part of a change that moves users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Another percentage.
    Percentage,
    /// The flag is new.
    Created,
    /// The flag is deleted.
    Deleted,
    /// The flag is enabled.
    Enabled,
    /// The flag is disabled.
    Disabled,
    /// Another salt, which deals the users anew.
    Salt,
    /// An experiment that decides the flag for its users: it starts or ends, or has other users, weights or arms.
    Experiment,
    /// A route of the flag is deleted: its requests go to legacy, or where another route sends them.
    Route,
}

impl Cause {
    /// Returns the words after a percentage that explain it.
    const fn note(self) -> &'static str {
        match self {
            Self::Percentage => "",
            Self::Created => " (new)",
            Self::Deleted => " (deleted)",
            Self::Enabled => " (enabled)",
            Self::Disabled => " (disabled)",
            Self::Salt => " (another salt)",
            Self::Experiment => " (experiment)",
            Self::Route => " (route deleted)",
        }
    }
}

impl Movement {
    /// Creates a movement of these shares: before, after, back and forward. The sentence has a note behind the first two, and
    /// `extent` in front of the others: "about" or "up to".
    fn new(flag: &FlagName, cause: Cause, shares: [f64; 4], note: &str, extent: &str) -> Self {
        let [from, to, back, forward] = shares;
        let mut summary = format!("{flag}: {from} % -> {to} %{note}");
        for (share, words) in [(back, "go back to legacy"), (forward, "go to the new backend")] {
            if share > 0.0 {
                summary.push_str(&format!(", {extent} {share} % of users {words}"));
            }
        }
        Self { flag: flag.clone(), cause, experiment: None, route: None, from, to, back, forward, summary }
    }

    /// Creates the movement of the users of a deleted route.
    fn of_route(deleted: DeletedRoute<'_>) -> Self {
        let DeletedRoute { route, flag, from, to, moved } = deleted;
        let shares = [from, to, moved.back, moved.forward].map(percent);
        let note = format!(" (route {route} deleted)");
        Self { route: Some(route.clone()), ..Self::new(flag, Cause::Route, shares, &note, "about") }
    }

    /// Returns the path of the field that moves the users, such as `feature_flags.checkout.rollout_percentage`.
    pub fn field(&self) -> String {
        if let Some(experiment) = &self.experiment {
            return format!("ab_tests.{experiment}");
        }
        if let Some(route) = &self.route {
            return format!("routes.{route}");
        }
        let field = match self.cause {
            Cause::Percentage => ".rollout_percentage",
            Cause::Enabled | Cause::Disabled => ".enabled",
            Cause::Salt => ".salt",
            Cause::Created | Cause::Deleted | Cause::Experiment | Cause::Route => "",
        };
        format!("feature_flags.{}{field}", self.flag)
    }

    /// Returns the change of the file that leaves the users where they are.
    pub fn remedy(&self) -> String {
        match self.cause {
            Cause::Percentage => {
                format!(
                    "write rollout_percentage: {}, or leave it out to keep the one in force, as after a canary",
                    self.from
                )
            }
            Cause::Salt => {
                "write the salt that cutover export shows, with the percentage in force".to_owned()
            }
            Cause::Enabled | Cause::Disabled => "write enabled: true".to_owned(),
            Cause::Created | Cause::Deleted => "keep the flag in the file".to_owned(),
            Cause::Route => "keep the route in the file".to_owned(),
            Cause::Experiment => {
                "write the experiment as cutover export shows it; a state that is left out stays as it is"
                    .to_owned()
            }
        }
    }
}

/// Returns the users that a change moves, by flag, and behind them those of deleted routes. A flag without a salt of its own
/// deals users by the salt of its newest run, or else by its name. Lists and conditions of flags are not considered: the users
/// that they concern cannot be counted here. Those of an experiment that gets other conditions are counted as if all of them
/// could move.
pub fn movements<'s>(
    before: &Config,
    after: &Config,
    run_salt: impl Fn(&FlagName) -> Option<&'s str>,
) -> Vec<Movement> {
    let names: BTreeSet<&FlagName> = before.feature_flags.keys().chain(after.feature_flags.keys()).collect();
    let moved = |name: &FlagName| {
        let flags = Flags {
            before: before.feature_flags.get(name),
            after: after.feature_flags.get(name),
            owners: [Owner::of(before, name), Owner::of(after, name)],
        };
        flags.movement(name, run_salt(name))
    };
    let of_flags = names.into_iter().filter_map(moved);
    of_flags.chain(deleted(before, after).into_iter().map(Movement::of_route)).collect()
}

/// One flag before and after a change.
struct Flags<'f> {
    before: Option<&'f Flag>,
    after: Option<&'f Flag>,
    /// The experiments that own the flag before and after the change.
    owners: [Option<Owner<'f>>; 2],
}

impl Flags<'_> {
    /// Returns the movement of the flag's users; `None` if nobody moves.
    fn movement(&self, name: &FlagName, run_salt: Option<&str>) -> Option<Movement> {
        let (from, to) = (share_in_force(self.before), share_in_force(self.after));
        let is_dealt_anew = self.is_dealt_anew(name, run_salt);
        let (back, forward) = if is_dealt_anew {
            // Two salts choose independently of each other.
            (product(from, PartsPerMillion::ALL.get() - to), product(to, PartsPerMillion::ALL.get() - from))
        } else {
            (from.saturating_sub(to), to.saturating_sub(from))
        };
        let is_owned = self.owners.iter().any(Option::is_some);
        let shares = [from, to, back, forward].map(|share| f64::from(share) / 10_000.0);
        let [from, to, back, forward] = if is_owned { self.with_owners(shares) } else { shares };
        if back == 0.0 && forward == 0.0 {
            return None;
        }
        let (cause, experiment) = self.cause(is_dealt_anew);
        let [held, wanted] = self.owners;
        let (note, extent) = if Owner::differ_in_conditions(held, wanted) && cause == Cause::Experiment {
            (" (experiment: other conditions)", "up to")
        } else {
            (cause.note(), "about")
        };
        let movement = Movement::new(name, cause, [from, to, back, forward], note, extent);
        Some(Movement { experiment, ..movement })
    }

    /// Returns the shares on the new arm and those that move, in percent, with the users of the experiments. `shares` are
    /// those of users who take part in none.
    fn with_owners(&self, shares: [f64; 4]) -> [f64; 4] {
        let [from, to, back, forward] = shares.map(|share| share / 100.0);
        let [before, after] = self.owners;
        let Moved { back, forward } = moved(before, after, [from, to], Moved { back, forward });
        [Owner::on_new_arm(before, from), Owner::on_new_arm(after, to), back, forward].map(percent)
    }

    /// Returns true if another salt chooses the users.
    fn is_dealt_anew(&self, name: &FlagName, run_salt: Option<&str>) -> bool {
        let (Some(before), Some(after)) = (self.before, self.after) else { return false };
        let [held, wanted] =
            [before, after].map(|flag| flag.salt.as_deref().or(run_salt).unwrap_or(name.as_str()));
        held != wanted
    }

    /// Returns the cause of a movement, with the experiment if it is one.
    fn cause(&self, is_dealt_anew: bool) -> (Cause, Option<ExperimentName>) {
        let [before, after] = self.owners;
        if !Owner::is_alike(before, after)
            && let Some(owner) = after.or(before)
            && self.before.is_some_and(|flag| flag.enabled) == self.after.is_some_and(|flag| flag.enabled)
        {
            return (Cause::Experiment, Some(owner.name.clone()));
        }
        (self.cause_in_flag(is_dealt_anew), None)
    }

    fn cause_in_flag(&self, is_dealt_anew: bool) -> Cause {
        let is_on = |flag: &Flag| flag.enabled;
        match (self.before.map(is_on), self.after.map(is_on)) {
            (None, _) => Cause::Created,
            (_, None) => Cause::Deleted,
            (Some(true), Some(false)) => Cause::Disabled,
            (Some(false), Some(true)) => Cause::Enabled,
            _ if is_dealt_anew => Cause::Salt,
            _ => Cause::Percentage,
        }
    }
}

impl Config {
    /// Returns the share of a flag's users on the new arm while no emergency holds the flag: that of the flag, or of the running
    /// experiment that owns it together with the flag's for users outside. Conditions admit everybody here.
    pub fn share_on_new(&self, flag: &FlagName) -> PartsPerMillion {
        let share = self.feature_flags.get(flag).map(Flag::enabled_share).unwrap_or_default();
        match Owner::of(self, flag) {
            None => share,
            owner => {
                let on_new = Owner::on_new_arm(owner, f64::from(share.get()) / 1e6);
                // Between 0 and 1, as every part of it.
                PartsPerMillion::of_parts((on_new * 1e6).round() as u32)
            }
        }
    }
}

/// Returns a fraction in percent, to the last digit that a share can have, and without a negative zero.
fn percent(fraction: f64) -> f64 {
    (fraction * 1_000_000.0).round() / 10_000.0 + 0.0
}

/// Returns the share of users on the new arm, in parts per million.
fn share_in_force(flag: Option<&Flag>) -> u32 {
    flag.map_or(0, |flag| flag.enabled_share().get())
}

/// Multiplies two shares in parts per million.
fn product(one: u32, other: u32) -> u32 {
    let product = u64::from(one) * u64::from(other) / u64::from(PartsPerMillion::ALL.get());
    u32::try_from(product).unwrap_or(u32::MAX)
}
