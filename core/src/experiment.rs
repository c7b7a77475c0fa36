//! Experiments: named variants with weights, and which of them a user belongs to.

use crate::json::read_fields;
use crate::{
    bucket::{Bucket, Purpose},
    names::ExperimentName,
    rate::PartsPerMillion,
    sorted::Sorted,
};
use serde::{Deserialize, Serialize};

/// An experiment over all users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// What the experiment is called in reports.
    pub name: String,
    /// The variants by key. Their shares add up to 100 percent.
    pub variants: Sorted<ExperimentName, Variant>,
}

/// One variant of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// What the variant is called in reports.
    pub name: String,
    /// The share of users that see it.
    pub traffic_percentage: PartsPerMillion,
}

impl Experiment {
    /// The variant of a user: the variants in the order of their keys divide the buckets among them.
    ///
    /// `None` only where the shares add up to less than everybody and the user falls into the rest.
    pub fn assign(&self, key: &ExperimentName, user_id: &str) -> Option<&ExperimentName> {
        let place = u64::from(Bucket::of(Purpose::Variant, key.as_str(), user_id).get());
        let mut upper = 0_u64;
        self.variants.iter().find_map(|(variant, settings)| {
            upper += u64::from(settings.traffic_percentage.get());
            (place < upper).then_some(variant)
        })
    }
}

read_fields!(Experiment { name, variants });
read_fields!(Variant { name, traffic_percentage });
