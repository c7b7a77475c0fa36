//! A configuration together with what its file leaves open, and warnings about it.

use super::{contradiction::exclude_each_other, document::Config, reading::Problem};
use crate::{
    rules::{
        condition::{compiled::CompiledCondition, document::Condition},
        flag::Flag,
    },
    vocabulary::{
        names::{ExperimentName, FlagName},
        timestamp::Timestamp,
    },
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Number of flags that one warning names.
const NAMED_FLAGS: usize = 5;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The line, from 1; 0 if the file was not read from text.
    pub(super) line: usize,
    /// The column, from 1; 0 if the file was not read from text.
    pub(super) column: usize,
}

/// A configuration as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    /// The configuration, with 0 for each percentage that the file leaves out, and running experiments for states.
    pub config: Config,
    /// Flags whose percentage the file leaves out.
    pub(super) open_shares: BTreeSet<FlagName>,
    /// Experiments whose state the file leaves out.
    pub(super) open_states: BTreeSet<ExperimentName>,
    /// Places of flags and conditions, by their paths.
    pub(super) places: BTreeMap<String, Place>,
}

impl ConfigFile {
    /// Returns true if the file has the flag without its percentage, which then stays as it is.
    pub fn leaves_share_open(&self, flag: &FlagName) -> bool {
        self.open_shares.contains(flag)
    }

    /// Returns the file as JSON: without the compiled adapters, and with everything else that it leaves open left open.
    ///
    /// # Errors
    ///
    /// Returns an error if a value cannot be represented as JSON.
    pub fn written(&self) -> serde_json::Result<Value> {
        let mut written = self.config.written()?;
        leave_open(&mut written, "feature_flags", &self.open_shares, "rollout_percentage");
        leave_open(&mut written, "ab_tests", &self.open_states, "state");
        Ok(written)
    }

    /// Returns a live configuration with the objects of the file added or replaced, as [`Config::merged`] does. A percentage
    /// that the file leaves out is that of the live flag, and 0 for a new one; so is the state of an experiment, of which a
    /// new one is running.
    pub fn merged_into(&self, live: &Config, prune: bool) -> Config {
        let mut merged = live.merged(&self.config, prune);
        for name in &self.open_shares {
            let held = live.feature_flags.get(name);
            if let (Some(flag), Some(held)) = (merged.feature_flags.get_mut(name), held) {
                flag.rollout_percentage = held.rollout_percentage;
            }
        }
        for name in &self.open_states {
            let held = live.ab_tests.get(name);
            if let (Some(experiment), Some(held)) = (merged.ab_tests.get_mut(name), held) {
                experiment.state = held.state;
                // It belongs to the state.
                experiment.outcome.clone_from(&held.outcome);
            }
        }
        merged
    }

    /// Returns a problem of the file at the place of a path, or at that of the nearest path around it.
    pub fn problem(&self, field: String, message: String, hint: String) -> Problem {
        let mut path = field.as_str();
        let place = loop {
            if let Some(place) = self.places.get(path) {
                break *place;
            }
            match path.rsplit_once('.') {
                Some((around, _)) => path = around,
                None => break Place::default(),
            }
        };
        let Place { line, column } = place;
        Problem { file: String::new(), line, column, field, message, hint }
    }

    /// Returns warnings about the flags of the file: conditions that never hold from `now` on, and flags without a route in
    /// the configuration that the file makes.
    pub fn warnings(&self, merged: &Config, now: Timestamp) -> Vec<String> {
        let flags = &self.config.feature_flags;
        let never = |(name, flag): (&FlagName, &Flag)| -> Vec<String> {
            let warning = |(index, message): (usize, String)| {
                let field = format!("feature_flags.{name}.conditions[{index}]");
                self.problem(field, message, String::new()).to_string()
            };
            never_holding(&flag.conditions, now).into_iter().map(warning).collect()
        };
        let mut warnings: Vec<String> = flags.iter().flat_map(never).collect();
        let used: BTreeSet<&FlagName> = merged.routes.iter().map(|route| &route.flag).collect();
        let unused: Vec<&str> =
            flags.keys().filter(|name| !used.contains(name)).map(FlagName::as_str).collect();
        warnings.extend(without_route(&unused));
        warnings
    }
}

/// Removes a field from objects of a section.
fn leave_open<K: AsRef<str>>(written: &mut Value, section: &str, names: &BTreeSet<K>, field: &str) {
    let Some(objects) = written.get_mut(section).and_then(Value::as_object_mut) else { return };
    for name in names {
        if let Some(object) = objects.get_mut(name.as_ref()).and_then(Value::as_object_mut) {
            object.remove(field);
        }
    }
}

/// Returns the conditions that never hold from `now` on, by their index, each with the reason.
fn never_holding(conditions: &[Condition], now: Timestamp) -> Vec<(usize, String)> {
    const RESULT: &str = "so only the users of its whitelist are on the new arm";
    // A condition that cannot be compiled is a mistake of the file, and no file with mistakes comes this far.
    let compiled: Vec<CompiledCondition> =
        conditions.iter().map(CompiledCondition::new).collect::<Result<_, _>>().unwrap_or_default();
    let mut never = Vec::new();
    for (index, condition) in compiled.iter().enumerate() {
        if let CompiledCondition::TimeWindow { end: Some(end), .. } = condition
            && *end <= now
        {
            never.push((index, format!("the time window ended at {end}, {RESULT}")));
        } else if let Some(other) =
            compiled.iter().take(index).position(|other| exclude_each_other(condition, other))
        {
            never.push((index, format!("it never holds together with conditions[{other}], {RESULT}")));
        }
    }
    never
}

/// Returns the warning about flags that no route uses; `None` if there are none.
fn without_route(flags: &[&str]) -> Option<String> {
    let named = flags.iter().take(NAMED_FLAGS).copied().collect::<Vec<_>>().join(", ");
    match flags.len() {
        0 => None,
        1 => Some(format!("no route uses the flag {named}, so it decides nothing")),
        count if count <= NAMED_FLAGS => {
            Some(format!("no route uses the flags {named}, so they decide nothing"))
        }
        count => {
            let more = count - NAMED_FLAGS;
            Some(format!("no route uses the flags {named} and {more} more, so they decide nothing"))
        }
    }
}
