//! Experiments and holdouts, as operators write them.

use crate::{
    rules::{
        condition::document::Condition,
        experiment::{
            analysis::StoppingRules,
            metric::{MAX_METRICS, Metric, Role},
        },
    },
    vocabulary::{
        arm::Arm,
        names::{ExperimentName, FlagName, HoldoutName, LayerName, VariantKey},
        share::PartsPerMillion,
    },
};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Most experiments that run at once. An isolate holds the users of each of them.
pub const MAX_RUNNING: usize = 32;

/// A comparison of variants on users who are assigned to them by their ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Display name of the experiment in reports.
    pub name: String,
    /// Purpose of the experiment, in the operator's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// State of the experiment. Users are assigned only while it is running.
    #[serde(default)]
    pub state: ExperimentState,
    /// Salt that users are bucketed with; defaults to the name under which the experiment is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Number of the phase, from 1. Measurements of two phases are not added up.
    #[serde(default = "first_phase", skip_serializing_if = "is_first_phase")]
    pub phase: u32,
    /// Flag that the variants decide, if they name arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<FlagName>,
    /// Share of the users who take part, of those whom layer, holdout and conditions admit.
    #[serde(default = "everybody", skip_serializing_if = "is_everybody")]
    pub traffic_percentage: PartsPerMillion,
    /// Part of a layer that the experiment has to itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerRange>,
    /// Holdout whose users take no part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<HoldoutName>,
    /// Conditions that all must hold for a request to take part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Variants in the operator's order. Their shares add up to 100 percent.
    #[serde(deserialize_with = "variants")]
    pub variants: Vec<Variant>,
    /// Division of the buckets among the variants, if it is not the one in order: see
    /// [`division`](super::division::division).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    /// Names of metrics in the established form, as they were written: see [`Metric::of_success_metrics`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_metrics: Vec<String>,
    /// Metrics by which the experiment is judged, beside those that `success_metrics` stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Rules by which the experiment is judged and ends.
    #[serde(default, skip_serializing_if = "StoppingRules::is_default")]
    pub analysis: StoppingRules,
    /// True if clients are told the variants of their users, as the backends are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub send_to_client: bool,
    /// Outcome that an operator has recorded for a stopped experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ExperimentOutcome>,
}

/// The end of an experiment as an operator records it. It changes nothing: whoever rolls the winner out starts its canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentOutcome {
    /// Decision in the operator's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decision: String,
    /// Key of the variant that won; `None` if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<VariantKey>,
}

/// State of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentState {
    /// Not started yet: everything can change, and no user is assigned.
    Draft,
    /// Users are assigned.
    #[default]
    Running,
    /// No user is assigned until it runs again, with the same assignment.
    Paused,
    /// The experiment has ended; its part of a layer is free.
    Stopped,
}

impl ExperimentState {
    /// All states by their names in documents.
    pub const ALL: [(&'static str, Self); 4] = [
        ("draft", Self::Draft),
        ("running", Self::Running),
        ("paused", Self::Paused),
        ("stopped", Self::Stopped),
    ];
}

/// Part of a layer: the users whose bucket in the layer is at least `from` and below `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRange {
    /// Name of the layer, by which its users are bucketed.
    pub name: LayerName,
    /// Start of the range, inclusive.
    pub from: PartsPerMillion,
    /// End of the range, exclusive.
    pub to: PartsPerMillion,
}

impl LayerRange {
    /// Returns true if both are parts of one layer and have users in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.name == other.name && self.from < other.to && other.from < self.to
    }
}

/// One variant of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Key of the variant, unique in its experiment.
    pub key: VariantKey,
    /// Display name of the variant in reports.
    pub name: String,
    /// Weight of the variant: its share of the experiment's users.
    pub traffic_percentage: PartsPerMillion,
    /// Arm of the experiment's flag that serves the users of the variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<Arm>,
    /// Value of the variant, for backends and clients that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Range of the buckets of [`Purpose::Variant`](crate::Purpose::Variant), and the variant that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Start of the range, inclusive.
    pub from: PartsPerMillion,
    /// End of the range, exclusive.
    pub to: PartsPerMillion,
    /// Key of the variant.
    pub variant: VariantKey,
}

/// Users who take part in none of the experiments that name the holdout. Its own name is their salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdout {
    /// Share of all users.
    pub percentage: PartsPerMillion,
}

impl Experiment {
    /// Returns the salt in force. `name` is that under which the experiment is configured.
    pub fn salt_or<'e>(&'e self, name: &'e ExperimentName) -> &'e str {
        self.salt.as_deref().unwrap_or(name.as_str())
    }

    /// Returns true while users are assigned.
    pub fn is_running(&self) -> bool {
        self.state == ExperimentState::Running
    }

    /// Returns the flag that the experiment decides for its users while it runs; `None` if it only gives out values.
    pub fn owned_flag(&self) -> Option<&FlagName> {
        let has_arms = || self.variants.iter().any(|variant| variant.arm.is_some());
        self.flag.as_ref().filter(|_| self.is_running() && has_arms())
    }

    /// Returns every metric of the experiment: `metrics`, then those that `success_metrics` stand for and that have other
    /// names, [`MAX_METRICS`] at most. If one of `metrics` is primary, none of the others is.
    pub fn all_metrics(&self) -> Vec<Metric> {
        let mut all = self.metrics.clone();
        let has_primary = all.iter().any(|metric| metric.role == Role::Primary);
        for mut metric in Metric::of_success_metrics(&self.success_metrics) {
            if all.iter().any(|held| held.name == metric.name) {
                continue;
            }
            if has_primary && metric.role == Role::Primary {
                metric.role = Role::Secondary;
            }
            all.push(metric);
        }
        all.truncate(MAX_METRICS);
        all
    }
}

fn first_phase() -> u32 {
    1
}

fn is_first_phase(phase: &u32) -> bool {
    *phase == first_phase()
}

fn everybody() -> PartsPerMillion {
    PartsPerMillion::ALL
}

fn is_everybody(share: &PartsPerMillion) -> bool {
    *share == PartsPerMillion::ALL
}

/// The variants of a document: a list, or the map of versions before, whose order was that of the keys.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenVariants {
    List(Vec<Variant>),
    ByKey(BTreeMap<VariantKey, KeyedVariant>),
}

/// A variant without its key.
#[derive(Deserialize)]
struct KeyedVariant {
    name: String,
    traffic_percentage: PartsPerMillion,
}

fn variants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Variant>, D::Error> {
    let variant = |(key, KeyedVariant { name, traffic_percentage })| Variant {
        key,
        name,
        traffic_percentage,
        arm: None,
        value: None,
    };
    Ok(match WrittenVariants::deserialize(deserializer)? {
        WrittenVariants::List(variants) => variants,
        WrittenVariants::ByKey(variants) => variants.into_iter().map(variant).collect(),
    })
}
