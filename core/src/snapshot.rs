//! The snapshot: the one document that the edge reads. It holds all flags, routes, origins and
//! experiments at one revision, with a hash that detects damaged copies.
//!
//! The wire format is `{"schema":1,"revision":N,"hash":"…","body":{…}}`, with schema 2 if a route
//! has an adapter, schema 3 if a field means something that readers of schema 2 would ignore, and schema 4
//! if a running experiment decides a flag. The body comes last. The hash is the xxh3-128 of `schema LF revision LF body`, over
//! the verbatim bytes of the body. Readers tolerate unknown fields; a change to the meaning of a field
//! raises the schema number, which older readers reject. Epoch and deployment are optional fields of the body: a reader that
//! does not know them compares revisions alone, as it did before. Flags with values, their segments and the access to them are
//! optional fields too: a reader that does not know them decides routes as before, and serves no values.

use crate::{
    adapter::Program,
    limit::LimitPolicy,
    measurement::label::{CanaryLabel, ExperimentLabel},
    rules::{
        emergency::Emergency,
        experiment::document::{Experiment, Holdout},
        flag::Flag,
        origin::Origin,
        route::Route,
    },
    values::{
        access::Access,
        document::{Segment, ValueFlag},
    },
    vocabulary::{
        names::{
            AdapterName, DeploymentId, ExperimentName, FlagName, HoldoutName, LimitName, OriginName,
            SegmentName,
        },
        revision::{Epoch, Revision, Stamp},
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Newest schema version that [`Snapshot::decode`] accepts. Snapshots are encoded with the lowest
/// version that can represent them, so that Workers deployed earlier keep accepting them.
pub const SCHEMA: u32 = 4;

/// First schema version. A Worker that knows only this one would send requests past their adapters.
const WITHOUT_ADAPTERS: u32 = 1;

/// Second schema version. A Worker that knows no later one would ignore conditions of an adapter's
/// routes, headers and entity tags, rules of comparisons, and the slow limits of single routes.
const WITH_ADAPTERS: u32 = 2;

/// Third schema version. A Worker that knows no later one would decide a flag by its percentage that an experiment owns.
const WITH_LATER_RULES: u32 = 3;

/// Everything needed to decide requests, at one revision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Revision of the configuration. The wire format has it outside the body.
    #[serde(skip)]
    pub revision: Revision,
    /// Epoch of the revision. Like the deployment it is left out by versions that know none, and ignored by their readers.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// Deployment whose configuration this is; `None` if its table has none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Emergency in force, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Emergency>,
    /// Flags by name.
    #[serde(default)]
    pub flags: BTreeMap<FlagName, Flag>,
    /// Origins by name.
    #[serde(default)]
    pub origins: BTreeMap<OriginName, Origin>,
    /// Routes, in any order.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Experiments by name. A Worker of the version before reads `experiments`, with another shape of variants, and would
    /// refuse the document; under a name that it does not know it ignores them, as it always did.
    #[serde(
        default,
        rename = "sliced_experiments",
        alias = "experiments",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub experiments: BTreeMap<ExperimentName, Experiment>,
    /// Holdouts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holdouts: BTreeMap<HoldoutName, Holdout>,
    /// Flags with values by name.
    #[serde(default, rename = "value_flags", skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<FlagName, ValueFlag>,
    /// Segments by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<SegmentName, Segment>,
    /// Callers that may evaluate flags; `None` if there is no endpoint for evaluations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ofrep: Option<Access>,
    /// Policies of rate limits by name. A Worker that does not know them limits nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LimitName, LimitPolicy>,
    /// Compiled adapters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapters: BTreeMap<AdapterName, Arc<Program>>,
    /// Labels of the active canary runs, by flag. The edge attaches them to its counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub canaries: BTreeMap<FlagName, CanaryLabel>,
    /// Labels of the running experiments whose users are counted. One without a label is assigned, and not counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub experiment_labels: BTreeMap<ExperimentName, ExperimentLabel>,
}

/// Error of encoding or decoding a [`Snapshot`].
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The document is not JSON or does not have the shape of a snapshot.
    #[error("not a snapshot document: {0}")]
    Malformed(serde_json::Error),
    /// The snapshot cannot be serialised as JSON.
    #[error("cannot serialise the snapshot: {0}")]
    Unwritable(serde_json::Error),
    /// The document has a schema version that this reader does not know.
    #[error("schema {0} is not supported; this reader knows schemas {WITHOUT_ADAPTERS} to {SCHEMA}")]
    Schema(u32),
    /// The hash does not match the body.
    #[error("the hash does not match the body: the document is damaged")]
    Hash,
}

/// The fields in front of the body. A later schema may have others, and is reported as such.
#[derive(Deserialize)]
struct Head {
    schema: u32,
    #[serde(default)]
    revision: Revision,
    #[serde(default)]
    hash: String,
}

/// The text between the head and the body.
const BODY: &str = ",\"body\":";

fn is_known(schema: u32) -> bool {
    (WITHOUT_ADAPTERS..=SCHEMA).contains(&schema)
}

impl Snapshot {
    /// Returns the revision with its epoch.
    pub fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, revision: self.revision }
    }

    /// Encodes the snapshot in the wire format.
    ///
    /// # Errors
    ///
    /// Fails if the snapshot cannot be serialised as JSON.
    pub fn encode(&self) -> Result<String, SnapshotError> {
        let body = serde_json::to_string(self).map_err(SnapshotError::Unwritable)?;
        let schema = self.schema();
        let revision = self.revision;
        let hash = content_hash(schema, revision, &body);
        Ok(format!("{{\"schema\":{schema},\"revision\":{revision},\"hash\":\"{hash}\"{BODY}{body}}}"))
    }

    /// Returns the lowest schema version that can represent the snapshot.
    fn schema(&self) -> u32 {
        if self.experiments.values().any(|experiment| experiment.owned_flag().is_some()) {
            return SCHEMA;
        }
        let has_later_rules = |route: &Route| {
            let rules = route.compare.iter().flat_map(|compare| &compare.rules);
            rules.into_iter().any(|rule| rule.exact || rule.path.starts_with("header "))
        };
        if self.adapters.values().any(|program| program.has_later_fields())
            || self.routes.iter().any(has_later_rules)
            || self.canaries.values().any(|label| !label.routes.is_empty())
        {
            return WITH_LATER_RULES;
        }
        let is_adapted = self.routes.iter().any(|route| !route.adapt.is_empty());
        if is_adapted { WITH_ADAPTERS } else { WITHOUT_ADAPTERS }
    }

    /// Decodes a document in the wire format and checks its hash.
    ///
    /// # Errors
    ///
    /// Fails if the document is malformed, has an unknown schema version, or does not match its
    /// hash.
    pub fn decode(text: &str) -> Result<Self, SnapshotError> {
        let fields = text.strip_suffix('}').unwrap_or(text);
        // A parser would have to read all of the body to find its end.
        let (head, body) = fields.split_once(BODY).unwrap_or((fields, ""));
        let Head { schema, revision, hash } =
            serde_json::from_str(&format!("{head}}}")).map_err(SnapshotError::Malformed)?;
        if !is_known(schema) {
            return Err(SnapshotError::Schema(schema));
        }
        if hash != content_hash(schema, revision, body) {
            return Err(SnapshotError::Hash);
        }
        let snapshot: Self = serde_json::from_str(body).map_err(SnapshotError::Malformed)?;
        Ok(Self { revision, ..snapshot })
    }
}

/// Returns a hash that identifies a document without parsing it.
pub fn digest(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

fn content_hash(schema: u32, revision: Revision, body: &str) -> String {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(format!("{schema}\n{revision}\n").as_bytes());
    hasher.update(body.as_bytes());
    format!("{:032x}", hasher.digest128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_carries_its_epoch_and_deployment_in_the_schema_that_earlier_readers_know() {
        let plain = Snapshot { revision: Revision(7), ..Snapshot::default() };
        let text = plain.encode().unwrap();
        assert!(!text.contains("epoch") && !text.contains("deployment"), "{text}");
        assert_eq!(Snapshot::decode(&text).unwrap(), plain);
        let deployment = Some("0123456789abcdef".parse().unwrap());
        let restored = Snapshot { epoch: Epoch(1_767_225_600), deployment, ..plain };
        let text = restored.encode().unwrap();
        assert!(text.starts_with(r#"{"schema":1,"revision":7,"#), "{text}");
        let read = Snapshot::decode(&text).unwrap();
        assert_eq!((read.stamp().to_string().as_str(), &read), ("7e1767225600", &restored));
        // The hash covers both.
        let altered = text.replace("1767225600", "1767225601");
        assert!(matches!(Snapshot::decode(&altered), Err(SnapshotError::Hash)));
    }

    #[test]
    fn labels_of_experiments_are_in_the_body_and_their_keys_in_no_debug_output() {
        let key = "000102030405060708090a0b0c0d0e0f";
        let label = ExperimentLabel { phase: 3, key: key.to_owned() };
        let name: ExperimentName = "checkout".parse().unwrap();
        let labels = BTreeMap::from([(name, label)]);
        let snapshot = Snapshot { experiment_labels: labels, ..Snapshot::default() };
        let text = snapshot.encode().unwrap();
        assert!(text.contains(r#""experiment_labels":{"checkout":{"phase":3,"#), "{text}");
        assert_eq!(Snapshot::decode(&text).unwrap(), snapshot);
        assert!(!format!("{snapshot:?}").contains(key), "the key is a secret");
    }
}
