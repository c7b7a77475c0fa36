//! Publication: deriving the edge's document from the truth and writing it to Workers KV. It can fail at any
//! point and lose nothing; the schedule finds what is missing and does it again.

use crate::{
    kv::{Kv, KvError},
    store::{Store, StoreError},
};
use cutover_core::{Revision, Snapshot};
use std::time::{Duration, Instant};

/// How long a publisher goes after a head that keeps moving. Whoever moves it publishes too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Derives and writes the document.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    kv: Kv,
}

/// Why nothing, or not the newest, was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// KV did not take it.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The truth could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The document could not be written as text.
    #[error("the snapshot cannot be encoded: {0}")]
    Snapshot(#[from] cutover_core::snapshot::SnapshotError),
    /// The head was always ahead.
    #[error("the configuration changes faster than it can be published")]
    Outrun,
}

impl Publisher {
    /// Publishes from this table to this namespace.
    pub fn new(store: Store, kv: Kv) -> Self {
        Self { store, kv }
    }

    /// Publishes the head. Two publishers that race cannot leave an old document behind: each looks at the head
    /// again after its write, and the one that finds it moved writes once more.
    pub async fn publish(&self) -> Result<Revision, PublishError> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let state = self.store.state().await?;
            let revision = state.head.revision;
            let document = state.snapshot().encode()?;
            self.kv.put(document).await?;
            self.store.note_published(revision).await?;
            if self.store.head().await?.revision == revision {
                return Ok(revision);
            }
        }
        Err(PublishError::Outrun)
    }

    /// The revision that KV holds; `None` where it holds nothing that an edge would accept.
    pub async fn published(&self) -> Result<Option<Revision>, KvError> {
        Ok(self
            .kv
            .get()
            .await?
            .and_then(|text| Snapshot::decode(&text).ok())
            .map(|snapshot| snapshot.revision))
    }
}
