//! The snapshot: the one document that the edge reads. All flags, routes, origins and experiments at one
//! revision, with a hash that tells a damaged copy from a whole one.
//!
//! Wire format, schema 1, or 2 where a route is adapted: `{"schema":1,"revision":N,"hash":"…","body":{…}}`. The hash is the xxh3-128 of
//! `schema LF revision LF body` with the body's bytes as they stand. Readers tolerate fields they do not know;
//! whatever changes the meaning of a field raises the schema number, which older readers refuse.

use crate::{
    adapter::Program,
    batch::CanaryLabel,
    emergency::Emergency,
    experiment::Experiment,
    flag::Flag,
    json::{FromJson, Json, Tape, Unfit, field},
    names::{AdapterName, ExperimentName, FlagName, OriginName},
    origin::Origin,
    route::Route,
    sorted::Sorted,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, sync::Arc};

/// The newest wire format that is read. A document is written in the oldest one that says all of it, so that Workers of before
/// go on reading what they understand.
pub const SCHEMA: u32 = 2;

/// The first format. A reader of it would send requests past their adapters.
const WITHOUT_ADAPTERS: u32 = 1;

/// The monotone number of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision that the next committed change gets.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All that is needed to decide, at one revision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// The revision; in the wire format it stands outside the body.
    #[serde(skip)]
    pub revision: Revision,
    /// The emergency in force, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Emergency>,
    /// The flags.
    #[serde(default)]
    pub flags: Sorted<FlagName, Flag>,
    /// The origins.
    #[serde(default)]
    pub origins: Sorted<OriginName, Origin>,
    /// The routes.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// The experiments.
    #[serde(default)]
    pub experiments: Sorted<ExperimentName, Experiment>,
    /// The adapters.
    #[serde(default, skip_serializing_if = "Sorted::is_empty")]
    pub adapters: Sorted<AdapterName, Arc<Program>>,
    /// Where the runs of canaries stand, as labels of what is counted.
    #[serde(default, skip_serializing_if = "Sorted::is_empty")]
    pub canaries: Sorted<FlagName, CanaryLabel>,
}

/// Why a text is not a snapshot that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not JSON, or not of this shape.
    #[error("not a snapshot document: {0}")]
    Malformed(#[from] Unfit),
    /// It cannot be written as JSON.
    #[error("the snapshot cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// Written in a format that this reader does not know.
    #[error("schema {0} is not supported; this reader knows schemas {WITHOUT_ADAPTERS} to {SCHEMA}")]
    Schema(u32),
    /// The body is not the one that was written.
    #[error("the hash does not fit the body: the document is damaged")]
    Hash,
}

#[derive(Serialize)]
struct Envelope<'a> {
    schema: u32,
    revision: Revision,
    hash: String,
    body: &'a RawValue,
}

impl Snapshot {
    /// Writes the document.
    pub fn encode(&self) -> Result<String, SnapshotError> {
        let body = serde_json::value::to_raw_value(self)?;
        let is_adapted = self.routes.iter().any(|route| !route.adapt.is_empty());
        let schema = if is_adapted { SCHEMA } else { WITHOUT_ADAPTERS };
        let hash = content_hash(schema, self.revision, body.get());
        Ok(serde_json::to_string(&Envelope { schema, revision: self.revision, hash, body: &body })?)
    }

    /// Reads a document and checks that it is whole.
    #[inline]
    pub fn decode(text: &str) -> Result<Self, SnapshotError> {
        let tape = Tape::read(text).map_err(Unfit::from)?;
        let member = |name: &str| tape.root().get(name).ok_or(Unfit::Shape);
        let (schema, revision) = (member("schema")?.to()?, member("revision")?.to()?);
        if !(WITHOUT_ADAPTERS..=SCHEMA).contains(&schema) {
            return Err(SnapshotError::Schema(schema));
        }
        let body = member("body")?;
        if member("hash")?.to::<String>()? != content_hash(schema, revision, body.raw()) {
            return Err(SnapshotError::Hash);
        }
        Ok(Self { revision, ..body.to()? })
    }
}

/// Tells one document from another without reading either.
pub fn digest(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

fn content_hash(schema: u32, revision: Revision, body: &str) -> String {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(format!("{schema}\n{revision}\n").as_bytes());
    hasher.update(body.as_bytes());
    format!("{:032x}", hasher.digest128())
}

impl FromJson for Revision {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        u64::from_json(json).map(Self)
    }
}

impl FromJson for Snapshot {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        Some(Self {
            // It stands outside.
            revision: Revision::default(),
            emergency: field(json, "emergency")?,
            flags: field(json, "flags")?,
            origins: field(json, "origins")?,
            routes: field(json, "routes")?,
            experiments: field(json, "experiments")?,
            adapters: field(json, "adapters")?,
            canaries: field(json, "canaries")?,
        })
    }
}
