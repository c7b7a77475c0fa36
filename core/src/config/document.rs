//! The configuration as a value.

use super::adapter::{Adapter, COMPILED, MAX_BYTES};
use crate::{
    canary::plan::CanaryPlan,
    limit::LimitPolicy,
    rules::{
        emergency::Emergency,
        experiment::{
            document::{Experiment, Holdout},
            succession::next,
        },
        flag::Flag,
        origin::Origin,
        route::Route,
    },
    snapshot::Snapshot,
    values::{
        access::{Access, AccessToken, FlagPattern},
        document::{Segment, ValueFlag},
        succession::next as next_flag,
    },
    vocabulary::{
        names::{AdapterName, ExperimentName, FlagName, HoldoutName, LimitName, OriginName, SegmentName},
        revision::{Epoch, Revision},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Longest time limit of an origin, in milliseconds, at which every timeout is counted. The Worker's platform ends the
/// work of a request 30 s after its client has left; five seconds are for noticing that it has.
const LONGEST_WATCHED_MS: u32 = 25_000;

/// Name of the only object of a section that has no names.
pub(super) const SETTINGS: &str = "settings";

/// Everything that operators configure. The field names are the keys of the file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Config {
    /// The flags by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_flags: BTreeMap<FlagName, Flag>,
    /// The canary plans by the name of their flag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub canary_deployments: BTreeMap<FlagName, CanaryPlan>,
    /// The experiments by name, of both sections of a file that can hold them, `experiments` and `ab_tests`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ab_tests: BTreeMap<ExperimentName, Experiment>,
    /// The holdouts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holdouts: BTreeMap<HoldoutName, Holdout>,
    /// The flags with values by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<FlagName, ValueFlag>,
    /// The segments by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<SegmentName, Segment>,
    /// The callers that may evaluate flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ofrep: Option<Access>,
    /// The policies of rate limits by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LimitName, LimitPolicy>,
    /// The origins by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<OriginName, Origin>,
    /// The adapters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapters: BTreeMap<AdapterName, Adapter>,
    /// The routes, sorted by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

impl Config {
    /// Returns the running experiment that owns a flag: its variants decide the flag for the users who take part.
    pub fn owner(&self, flag: &FlagName) -> Option<(&ExperimentName, &Experiment)> {
        self.ab_tests.iter().find(|(_, experiment)| experiment.owned_flag() == Some(flag))
    }

    /// Returns the configuration as it is written in a file: without the compiled adapters.
    ///
    /// # Errors
    ///
    /// Returns an error if a value cannot be represented as JSON.
    pub fn written(&self) -> serde_json::Result<serde_json::Value> {
        let mut value = serde_json::to_value(self)?;
        if let Some(adapters) = value.get_mut("adapters").and_then(serde_json::Value::as_object_mut) {
            for adapter in adapters.values_mut().filter_map(serde_json::Value::as_object_mut) {
                adapter.remove(COMPILED);
            }
        }
        Ok(value)
    }

    /// Returns warnings about a valid configuration: origins behind a canary whose timeouts may go uncounted, adapters that
    /// have more than half of the size that they may have, or a mapping that may fail, segments that no rule names, limits
    /// that no route names, and tokens for flags that do not exist.
    pub fn warnings(&self) -> Vec<String> {
        let behind_canary =
            self.routes.iter().filter(|route| self.canary_deployments.contains_key(&route.flag));
        let names: BTreeSet<&OriginName> =
            behind_canary.flat_map(|route| [&route.legacy, &route.new]).collect();
        let warning = |name: &OriginName| {
            let timeout_ms = self.origins.get(name)?.timeout_ms;
            (timeout_ms > LONGEST_WATCHED_MS).then(|| {
                format!(
                    "origin {name}: its timeout_ms of {timeout_ms} is above {LONGEST_WATCHED_MS}: requests whose client leaves \
                     are counted as unknown, not as errors, beyond 30 s, and no canary sees them"
                )
            })
        };
        let large = |(name, adapter): (&AdapterName, &Adapter)| {
            let bytes = adapter.bytes();
            (bytes > MAX_BYTES / 2).then(|| {
                format!(
                    "adapter {name}: compiled, it has {bytes} of at most {MAX_BYTES} bytes; before it has more, split \
                     its routes into two adapters, and name both in adapt"
                )
            })
        };
        let adapters = self.adapters.iter();
        let of_mappings = adapters.clone().flat_map(|(name, adapter)| {
            adapter.warnings().iter().map(move |warning| format!("adapter {name}: {warning}"))
        });
        let warnings = names.into_iter().filter_map(warning).chain(adapters.filter_map(large));
        warnings
            .chain(of_mappings)
            .chain(self.unused_segments())
            .chain(self.unused_limits())
            .chain(self.idle_patterns())
            .collect()
    }

    /// Returns a warning about each segment that no rule names.
    fn unused_segments(&self) -> impl Iterator<Item = String> {
        let rules = self.flags.values().flat_map(|flag| &flag.rules);
        let used: BTreeSet<&SegmentName> = rules.filter_map(|rule| rule.segment.as_ref()).collect();
        let unused = self.segments.keys().filter(move |name| !used.contains(name));
        unused.map(|name| format!("segment {name}: no rule of a flag names it, so it decides nothing"))
    }

    /// Returns a warning about each rate limit that no route names.
    fn unused_limits(&self) -> impl Iterator<Item = String> {
        let used: BTreeSet<&LimitName> = self.routes.iter().flat_map(|route| &route.limit).collect();
        let unused = self.limits.keys().filter(move |name| !used.contains(name));
        unused.map(|name| format!("limit {name}: no route names it, so it limits nothing"))
    }

    /// Returns a warning about each pattern of a token that no flag has.
    fn idle_patterns(&self) -> impl Iterator<Item = String> {
        let has_flag = move |pattern: &FlagPattern| {
            let mut names = self.flags.keys().chain(self.feature_flags.keys());
            names.any(|name| pattern.matches(name.as_str()))
        };
        let of_token = move |token: &AccessToken| -> Vec<String> {
            let idle = token.flags.iter().filter(|pattern| !has_flag(pattern));
            idle.map(|pattern| format!("token {} of ofrep: no flag has the name {pattern}", token.name))
                .collect()
        };
        self.ofrep.iter().flat_map(|access| &access.tokens).flat_map(of_token)
    }

    /// Builds the document that the edge reads.
    pub fn snapshot(self, revision: Revision, emergency: Option<Emergency>) -> Snapshot {
        Snapshot {
            revision,
            emergency,
            flags: self.feature_flags,
            origins: self.origins,
            routes: self.routes,
            experiments: self.ab_tests,
            holdouts: self.holdouts,
            values: self.flags,
            segments: self.segments,
            ofrep: self.ofrep,
            limits: self.limits,
            adapters: self
                .adapters
                .into_iter()
                .map(|(name, adapter)| (name, Arc::clone(adapter.program())))
                .collect(),
            canaries: BTreeMap::new(),
            experiment_labels: BTreeMap::new(),
            epoch: Epoch::default(),
            deployment: None,
        }
    }

    /// Returns one object as JSON, by the section and name that [`diff()`](super::diff()) reports.
    pub fn object(&self, section: &str, name: &str) -> Option<serde_json::Value> {
        match section {
            "feature_flags" => serde_json::to_value(self.feature_flags.get(name)?).ok(),
            "canary_deployments" => serde_json::to_value(self.canary_deployments.get(name)?).ok(),
            "ab_tests" => serde_json::to_value(self.ab_tests.get(name)?).ok(),
            "holdouts" => serde_json::to_value(self.holdouts.get(name)?).ok(),
            "flags" => serde_json::to_value(self.flags.get(name)?).ok(),
            "segments" => serde_json::to_value(self.segments.get(name)?).ok(),
            "ofrep" if name == SETTINGS => serde_json::to_value(self.ofrep.as_ref()?).ok(),
            "limits" => serde_json::to_value(self.limits.get(name)?).ok(),
            "origins" => serde_json::to_value(self.origins.get(name)?).ok(),
            "adapters" => serde_json::to_value(self.adapters.get(name)?).ok(),
            "routes" => {
                serde_json::to_value(self.routes.iter().find(|route| route.id.as_str() == name)?).ok()
            }
            _ => None,
        }
    }

    /// Returns this configuration with the objects of `wanted` added or replaced. Objects that
    /// `wanted` does not contain are kept, or removed if `prune` is true. Experiments are replaced as [`next`] says, and flags
    /// with values as [`next_flag`] does.
    pub fn merged(&self, wanted: &Self, prune: bool) -> Self {
        let saved = |(name, wanted): (&ExperimentName, &Experiment)| {
            (name.clone(), next(name, self.ab_tests.get(name), wanted))
        };
        let ab_tests: BTreeMap<_, _> = wanted.ab_tests.iter().map(saved).collect();
        let saved = |(name, wanted): (&FlagName, &ValueFlag)| {
            (name.clone(), next_flag(name, self.flags.get(name), wanted))
        };
        let flags: BTreeMap<_, _> = wanted.flags.iter().map(saved).collect();
        if prune {
            return Self { ab_tests, flags, ..wanted.clone() };
        }
        let mut merged = self.clone();
        merged.feature_flags.extend(wanted.feature_flags.clone());
        merged.canary_deployments.extend(wanted.canary_deployments.clone());
        merged.ab_tests.extend(ab_tests);
        merged.holdouts.extend(wanted.holdouts.clone());
        merged.flags.extend(flags);
        merged.segments.extend(wanted.segments.clone());
        merged.ofrep = wanted.ofrep.clone().or(merged.ofrep);
        merged.limits.extend(wanted.limits.clone());
        merged.origins.extend(wanted.origins.clone());
        merged.adapters.extend(wanted.adapters.clone());
        merged.routes.retain(|kept| wanted.routes.iter().all(|route| route.id != kept.id));
        merged.routes.extend(wanted.routes.clone());
        merged.routes.sort_by(|a, b| a.id.cmp(&b.id));
        merged
    }
}
