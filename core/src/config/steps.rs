//! The order of changes of one section: a large file is applied in parts, and what is in force between two of them must be
//! valid.

use super::{document::Config, experiment::Taken};
use crate::{
    rules::experiment::document::Experiment,
    values::{document::ValueFlag, prerequisites::is_bounded},
    vocabulary::names::FlagName,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An object of the configuration, by its section and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    /// Section of the object.
    pub(super) section: &'static str,
    /// Name of the object.
    pub(super) name: String,
}

/// Experiments and flags with values between two configurations.
pub(super) struct Steps<'c> {
    before: &'c Config,
    after: &'c Config,
    experiments: BTreeMap<&'c str, &'c Experiment>,
    flags: BTreeMap<FlagName, ValueFlag>,
    /// Flags of routes. They are there before all flags with values, and after all of them.
    routing: BTreeSet<&'c FlagName>,
    /// For each flag with values those that name it as a prerequisite and those that it names, before or after.
    neighbours: BTreeMap<&'c str, BTreeSet<&'c str>>,
}

impl<'c> Steps<'c> {
    /// Begins with the objects of `before`.
    pub(super) fn new(before: &'c Config, after: &'c Config) -> Self {
        let mut neighbours: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, flag) in before.flags.iter().chain(after.flags.iter()) {
            for needed in &flag.prerequisites {
                neighbours.entry(name.as_str()).or_default().insert(needed.flag.as_str());
                neighbours.entry(needed.flag.as_str()).or_default().insert(name.as_str());
            }
        }
        Self {
            before,
            after,
            experiments: before.ab_tests.iter().map(|(name, held)| (name.as_str(), held)).collect(),
            flags: before.flags.clone(),
            routing: before.feature_flags.keys().chain(after.feature_flags.keys()).collect(),
            neighbours,
        }
    }

    /// Orders changes so that each is valid after those before it. One that is not valid yet is tried again after the change of
    /// an object that concerns its own. Changes that exchange something have no such order, and come last.
    pub(super) fn in_valid_order<C>(&mut self, changes: Vec<C>, object_of: impl Fn(&C) -> Object) -> Vec<C> {
        let mut ordered = Vec::with_capacity(changes.len());
        let mut queue: VecDeque<Object> = changes.iter().map(&object_of).collect();
        let mut waiting: BTreeMap<Object, C> =
            changes.into_iter().map(|change| (object_of(&change), change)).collect();
        let mut refused: BTreeSet<Object> = BTreeSet::new();
        loop {
            let count = ordered.len();
            while let Some(object) = queue.pop_front() {
                if !self.try_step(&object) {
                    refused.insert(object);
                    continue;
                }
                let concerned = self.concerned_by(&object);
                queue.extend(concerned.into_iter().filter_map(|other| refused.take(&other)));
                ordered.extend(waiting.remove(&object));
            }
            if ordered.len() == count {
                ordered.extend(waiting.into_values());
                return ordered;
            }
            // Those that wait for the end of a longer circle, of which no neighbour has to change.
            queue.extend(std::mem::take(&mut refused));
        }
    }

    /// Returns the objects whose changes may be valid after that of an object, and were not before it.
    fn concerned_by(&self, changed: &Object) -> Vec<Object> {
        let object = |name: &str| Object { section: changed.section, name: name.to_owned() };
        match changed.section {
            "ab_tests" => {
                let Some(left) = self.before.ab_tests.get(changed.name.as_str()) else { return Vec::new() };
                let takes = |wanted: &Experiment| !Taken::of(wanted, left).is_nothing();
                let takers = self.after.ab_tests.iter().filter(|(_, wanted)| takes(wanted));
                takers.map(|(name, _)| object(name.as_str())).collect()
            }
            "flags" => {
                let neighbours = self.neighbours.get(changed.name.as_str()).into_iter().flatten();
                neighbours.copied().map(object).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Makes the change of an object if it is valid now. Returns true if it was made.
    fn try_step(&mut self, object: &Object) -> bool {
        match object.section {
            "ab_tests" => self.try_experiment(&object.name),
            "flags" => self.try_flag(&object.name),
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
        let wanted = self.after.flags.get(&name);
        // Most flags that are tried too early lack something, which is known before they are changed.
        if wanted.is_some_and(|wanted| !self.has_prerequisites(wanted)) {
            return false;
        }
        let held = match wanted {
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
        let is_valid = |other: &str| {
            let Some((other, flag)) = self.flags.get_key_value(other) else { return true };
            let is_concerned = other == name || names_it(flag);
            !is_concerned || (self.has_prerequisites(flag) && is_bounded(&self.flags, other))
        };
        let mut neighbours = self.neighbours.get(name.as_str()).into_iter().flatten().copied();
        is_valid(name.as_str()) && neighbours.all(is_valid)
    }

    fn has_prerequisites(&self, flag: &ValueFlag) -> bool {
        flag.prerequisites.iter().all(|needed| match self.flags.get(&needed.flag) {
            Some(other) => other.variants.iter().any(|variant| variant.key == needed.variant),
            None => self.routing.contains(&needed.flag),
        })
    }
}
