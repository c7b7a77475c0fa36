//! The configuration: the unit that people keep in git, read from YAML or JSON with every mistake at once.

mod adapter;
mod canary;
mod compare;
mod diff;
mod flag;
mod load;
mod node;
mod reader;
mod references;
mod traffic;

pub use adapter::{Adapter, COMPILED};
pub use diff::{Action, Change, diff};
pub use node::Node;
pub use reader::Problem;

use crate::{
    emergency::Emergency,
    experiment::Experiment,
    flag::Flag,
    names::{AdapterName, ExperimentName, FlagName, OriginName},
    origin::Origin,
    plan::CanaryPlan,
    route::Route,
    snapshot::{Revision, Snapshot},
    sorted::Sorted,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Everything that people configure. The field names are the keys of the file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Config {
    /// The flags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_flags: BTreeMap<FlagName, Flag>,
    /// The plan of the canary of a flag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub canary_deployments: BTreeMap<FlagName, CanaryPlan>,
    /// The experiments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ab_tests: BTreeMap<ExperimentName, Experiment>,
    /// The origins.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<OriginName, Origin>,
    /// The adapters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapters: BTreeMap<AdapterName, Adapter>,
    /// The routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

impl Config {
    /// Reads a file. YAML 1.2; JSON is a part of it.
    pub fn from_yaml(text: &str) -> Result<Self, Vec<Problem>> {
        Self::from_yaml_with(text, &no_files)
    }

    /// Reads a file that may name others, which `files` finds the texts of.
    pub fn from_yaml_with(
        text: &str,
        files: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        Node::from_yaml(text).map_err(|problem| vec![problem]).and_then(|node| load::config(&node, files))
    }

    /// Reads a JSON value; problems carry the field and no line.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, Vec<Problem>> {
        load::config(&Node::from_json(value), &no_files)
    }

    /// The configuration in the shape of the file: without what adapters were compiled to.
    pub fn written(&self) -> serde_json::Result<serde_json::Value> {
        let mut value = serde_json::to_value(self)?;
        if let Some(adapters) = value.get_mut("adapters").and_then(serde_json::Value::as_object_mut) {
            for adapter in adapters.values_mut().filter_map(serde_json::Value::as_object_mut) {
                adapter.remove(COMPILED);
            }
        }
        Ok(value)
    }

    /// Checks a configuration that was put together from parts, with the rules that a file is held to.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        match serde_json::to_value(self) {
            Ok(value) => Self::from_json(&value).map(|_| ()),
            Err(error) => Err(vec![Problem::whole(error.to_string())]),
        }
    }

    /// The document that the edge reads.
    pub fn snapshot(self, revision: Revision, emergency: Option<Emergency>) -> Snapshot {
        Snapshot {
            revision,
            emergency,
            flags: self.feature_flags.into_iter().collect(),
            origins: self.origins.into_iter().collect(),
            routes: self.routes,
            experiments: self.ab_tests.into_iter().collect(),
            adapters: self
                .adapters
                .into_iter()
                .map(|(name, held)| (name, Arc::clone(held.program())))
                .collect(),
            canaries: Sorted::default(),
        }
    }

    /// One object as JSON, by the names that [`diff`] uses.
    pub fn object(&self, section: &str, name: &str) -> Option<serde_json::Value> {
        match section {
            "feature_flags" => serde_json::to_value(self.feature_flags.get(name)?).ok(),
            "canary_deployments" => serde_json::to_value(self.canary_deployments.get(name)?).ok(),
            "ab_tests" => serde_json::to_value(self.ab_tests.get(name)?).ok(),
            "origins" => serde_json::to_value(self.origins.get(name)?).ok(),
            "adapters" => serde_json::to_value(self.adapters.get(name)?).ok(),
            "routes" => {
                serde_json::to_value(self.routes.iter().find(|route| route.id.as_str() == name)?).ok()
            }
            _ => None,
        }
    }

    /// This configuration with what the other names put over it. What the other does not name stays, unless
    /// `prune` takes it away.
    pub fn merged(&self, wanted: &Self, prune: bool) -> Self {
        if prune {
            return wanted.clone();
        }
        let mut merged = self.clone();
        merged.feature_flags.extend(wanted.feature_flags.clone());
        merged.canary_deployments.extend(wanted.canary_deployments.clone());
        merged.ab_tests.extend(wanted.ab_tests.clone());
        merged.origins.extend(wanted.origins.clone());
        merged.adapters.extend(wanted.adapters.clone());
        merged.routes.retain(|held| wanted.routes.iter().all(|route| route.id != held.id));
        merged.routes.extend(wanted.routes.clone());
        merged.routes.sort_by(|a, b| a.id.cmp(&b.id));
        merged
    }
}

fn no_files(_: &str) -> Result<String, String> {
    Err("files can only be named where `cutover` reads them; write the text itself here".to_owned())
}

/// Reads one flag from a request body.
pub fn flag_from_json(name: &FlagName, value: &serde_json::Value) -> Result<Flag, Vec<Problem>> {
    let node = Node::from_json(value);
    let mut reader = reader::Reader::default();
    let flag = flag::read(&mut reader, name, &node, "");
    reader.finish(flag)
}
