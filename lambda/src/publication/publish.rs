//! Publication: deriving the document that the edge reads, and writing it to Workers KV. It can
//! fail at any point without loss; the scheduled reconciliation detects the gap and publishes
//! again.

use crate::{
    publication::kv::{Kv, KvError},
    store::{error::StoreError, table::Store},
};
use cutover_core::{Revision, Ruleset, Snapshot, decision::compile::UnusableDocument};
use std::time::{Duration, Instant};

/// Time for which a publisher follows a head that keeps moving. Every change that moves it
/// publishes too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Publisher of the document that the edge reads.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    kv: Kv,
}

/// Failure to publish the newest revision.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Workers KV could not be reached or rejected the document.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The document could not be encoded.
    #[error("the snapshot cannot be encoded: {0}")]
    Snapshot(#[from] cutover_core::snapshot::SnapshotError),
    /// No edge could use the document.
    #[error("the snapshot cannot be used by the edge: {0}")]
    Unusable(#[from] UnusableDocument),
    /// The head kept moving.
    #[error("the configuration changes faster than it can be published")]
    Outrun,
}

impl Publisher {
    /// Creates a publisher from a table to a namespace.
    pub fn new(store: Store, kv: Kv) -> Self {
        Self { store, kv }
    }

    /// Publishes the head and returns its revision. Two publishers that race cannot leave an old
    /// document behind: each reads the head again after its write, and the one that finds it moved
    /// writes once more.
    ///
    /// # Errors
    ///
    /// Fails if the state cannot be read or encoded, KV cannot be written, or the head keeps
    /// moving.
    pub async fn publish(&self) -> Result<Revision, PublishError> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let state = self.store.state().await?;
            let revision = state.head.revision;
            let document = state.snapshot().encode()?;
            Ruleset::from_document(&document)?;
            self.kv.put(document).await?;
            self.store.note_published(revision).await?;
            if self.store.head().await?.revision == revision {
                return Ok(revision);
            }
        }
        Err(PublishError::Outrun)
    }

    /// Returns the revision in KV; `None` if KV holds no document that an edge would accept.
    ///
    /// # Errors
    ///
    /// Fails if KV cannot be read.
    pub async fn published(&self) -> Result<Option<Revision>, KvError> {
        Ok(self
            .kv
            .get()
            .await?
            .and_then(|text| Snapshot::decode(&text).ok())
            .map(|snapshot| snapshot.revision))
    }
}
