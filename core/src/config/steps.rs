//! The order of changes of one section: a large file is applied in parts, and what is in force between two of them must be
//! valid.

use super::{document::Config, experiment::Taken};
use crate::{
    rules::experiment::document::Experiment,
    values::{document::ValueFlag, prerequisites::is_bounded},
    vocabulary::names::FlagName,
};
use std::collections::{BTreeMap, BTreeSet};

/// Orders changes so that each is valid after those before it. `try_step` makes a change if it is valid now, and returns true
/// if it was made. Changes that exchange something have no such order, and come last.
pub(super) fn in_valid_order<C>(changes: Vec<C>, mut try_step: impl FnMut(&C) -> bool) -> Vec<C> {
    let (mut ordered, mut waiting) = (Vec::with_capacity(changes.len()), changes);
    loop {
        let count = waiting.len();
        let (made, left): (Vec<C>, Vec<C>) = waiting.into_iter().partition(&mut try_step);
        ordered.extend(made);
        if left.len() == count {
            ordered.extend(left);
            return ordered;
        }
        waiting = left;
    }
}

/// Experiments and flags with values between two configurations.
pub(super) struct Steps<'c> {
    after: &'c Config,
    experiments: BTreeMap<&'c str, &'c Experiment>,
    flags: BTreeMap<FlagName, ValueFlag>,
    /// Flags of routes. They are there before all flags with values, and after all of them.
    routing: BTreeSet<&'c FlagName>,
}

impl<'c> Steps<'c> {
    /// Begins with the objects of `before`.
    pub(super) fn new(before: &'c Config, after: &'c Config) -> Self {
        Self {
            after,
            experiments: before.ab_tests.iter().map(|(name, held)| (name.as_str(), held)).collect(),
            flags: before.flags.clone(),
            routing: before.feature_flags.keys().chain(after.feature_flags.keys()).collect(),
        }
    }

    /// Makes the change of an object if it is valid now. Returns true if it was made.
    pub(super) fn try_step(&mut self, section: &str, name: &str) -> bool {
        match section {
            "ab_tests" => self.try_experiment(name),
            "flags" => self.try_flag(name),
            _ => true,
        }
    }

    fn try_experiment(&mut self, name: &str) -> bool {
        let Some((name, wanted)) = self.after.ab_tests.get_key_value(name) else {
            self.experiments.remove(name);
            return true;
        };
        let others = self.experiments.iter().filter(|(other, _)| **other != name.as_str());
        let is_free = others.map(|(_, held)| Taken::of(wanted, held)).all(|taken| taken.is_nothing());
        if is_free {
            self.experiments.insert(name.as_str(), wanted);
        }
        is_free
    }

    fn try_flag(&mut self, name: &str) -> bool {
        let Ok(name) = name.parse::<FlagName>() else { return true };
        let held = match self.after.flags.get(&name) {
            Some(wanted) => self.flags.insert(name.clone(), wanted.clone()),
            None => self.flags.remove(&name),
        };
        let is_valid = self.is_valid_around(&name);
        if !is_valid {
            match held {
                Some(held) => self.flags.insert(name, held),
                None => self.flags.remove(&name),
            };
        }
        is_valid
    }

    /// Returns true if a flag with values, and every flag that names it, has its prerequisites.
    fn is_valid_around(&self, name: &FlagName) -> bool {
        let names_it = |flag: &ValueFlag| flag.prerequisites.iter().any(|needed| needed.flag == *name);
        let mut around = self.flags.iter().filter(|(other, flag)| *other == name || names_it(flag));
        around.all(|(name, flag)| self.has_prerequisites(flag) && is_bounded(&self.flags, name))
    }

    fn has_prerequisites(&self, flag: &ValueFlag) -> bool {
        flag.prerequisites.iter().all(|needed| match self.flags.get(&needed.flag) {
            Some(other) => other.variants.iter().any(|variant| variant.key == needed.variant),
            None => self.routing.contains(&needed.flag),
        })
    }
}
