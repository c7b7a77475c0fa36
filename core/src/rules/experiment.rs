//! Experiments: named variants with weights, and the assignment of users to them.

use crate::{
    rules::bucket::{Bucket, Purpose},
    vocabulary::{names::ExperimentName, share::PartsPerMillion},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An experiment over all users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Display name of the experiment in reports.
    pub name: String,
    /// Variants by key. Their shares add up to 100 percent.
    pub variants: BTreeMap<ExperimentName, Variant>,
}

/// One variant of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Display name of the variant in reports.
    pub name: String,
    /// Share of users that see the variant.
    pub traffic_percentage: PartsPerMillion,
}

impl Experiment {
    /// Returns the variant of a user. The variants divide the buckets among them in the order of
    /// their keys.
    ///
    /// `None` only if the shares add up to less than 100 percent and the user falls into the rest.
    pub fn assign(&self, key: &ExperimentName, user_id: &str) -> Option<&ExperimentName> {
        let place = u64::from(Bucket::of(Purpose::Variant, key.as_str(), user_id).get());
        let mut upper = 0_u64;
        self.variants.iter().find_map(|(variant, settings)| {
            upper += u64::from(settings.traffic_percentage.get());
            (place < upper).then_some(variant)
        })
    }
}
