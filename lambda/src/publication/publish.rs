//! Publication: deriving the document that the edge reads, and writing it to Workers KV. It can
//! fail at any point without loss; the scheduled reconciliation detects the gap and publishes
//! again.

use crate::{
    publication::kv::{Kv, KvError},
    store::{error::StoreError, table::Store},
};
use cutover_core::{Revision, Ruleset, Snapshot, Stamp, decision::compile::UnusableDocument};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Time for which a publisher waits for KV, and follows a head that keeps moving. Every change
/// that moves it publishes too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause after KV refused a write for coming too soon, if it did not say how long to wait.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest random addition to a pause, in milliseconds, so that processes that collided do not
/// collide again.
const MAX_JITTER_MS: u64 = 250;

/// Most writes of one publication whose response is lost.
const MAX_LOST: u32 = 2;

/// Publisher of the document that the edge reads.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    kv: Kv,
    /// Shortest time between two writes of this process.
    interval: Duration,
    /// Time of this process' last write. Whoever holds the lock is its only writer.
    written: Mutex<Option<Instant>>,
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
    /// Other writes took the time that a request may wait.
    #[error("Workers KV takes one write a second, and others were first")]
    Outrun,
}

impl PublishError {
    /// Returns the reason in words for clients, without internal text.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Outrun | Self::Kv(KvError::Busy { .. }) => {
                "Workers KV takes one write a second, and others were first"
            }
            Self::Kv(_) => "Workers KV could not be reached or rejected the document",
            Self::Store(_) => "the configuration store could not be reached or read",
            Self::Snapshot(_) | Self::Unusable(_) => "the edge could not use the document",
        }
    }
}

/// Sleeps until `time`. Returns false, at once, if that is later than `deadline`.
async fn wait_until(time: Instant, deadline: Instant) -> bool {
    if time > deadline {
        return false;
    }
    tokio::time::sleep(time.saturating_duration_since(Instant::now())).await;
    true
}

fn jitter() -> Duration {
    Duration::from_millis(getrandom::u64().unwrap_or_default() % MAX_JITTER_MS)
}

impl Publisher {
    /// Creates a publisher from a table to a namespace, which writes at most once in `interval`.
    pub fn new(store: Store, kv: Kv, interval: Duration) -> Self {
        Self { store, kv, interval, written: Mutex::new(None) }
    }

    /// Publishes the head, unless it is recorded as published, and returns the revision in KV.
    ///
    /// # Errors
    ///
    /// Fails if the state cannot be read or encoded, or KV cannot be written in time.
    pub async fn publish(&self) -> Result<Revision, PublishError> {
        self.write(false).await
    }

    /// Publishes the head, also if it is recorded as published, and returns the revision in KV.
    ///
    /// # Errors
    ///
    /// Fails as [`Self::publish`] does.
    pub async fn republish(&self) -> Result<Revision, PublishError> {
        self.write(true).await
    }

    /// Writes the newest document until the head no longer moves. Two publishers that race cannot
    /// leave an old document behind: each reads the head again after its write, and the one that
    /// finds it moved writes once more.
    async fn write(&self, mut is_due: bool) -> Result<Revision, PublishError> {
        let deadline = Instant::now() + PATIENCE;
        let lock = tokio::time::timeout(PATIENCE, self.written.lock()).await;
        let mut written = lock.map_err(|_| PublishError::Outrun)?;
        let mut ready = written.map_or_else(Instant::now, |at| at + self.interval);
        let mut last: Option<Stamp> = None;
        let mut lost = 0;
        let mut error = PublishError::Outrun;
        loop {
            let head = self.store.head().await?;
            if last == Some(head.stamp()) || (!is_due && self.store.published().await? >= head.revision) {
                return Ok(head.revision);
            }
            if !wait_until(ready, deadline).await {
                return last.map(|last| last.revision).ok_or(error);
            }
            // Read after the wait: the changes of that time are published together.
            let state = self.store.state().await?;
            let (revision, stamp) = (state.head.revision, state.head.stamp());
            if !is_due && state.published >= revision {
                return Ok(revision);
            }
            let document = state.snapshot().encode()?;
            Ruleset::from_document(&document)?;
            let sent = self.kv.put(document).await;
            let now = Instant::now();
            *written = Some(now);
            ready = now + self.interval;
            let is_held = match sent {
                Ok(()) => true,
                Err(KvError::Busy { retry_after }) => {
                    ready = now + retry_after.unwrap_or(PAUSE).max(self.interval) + jitter();
                    error = KvError::Busy { retry_after }.into();
                    false
                }
                // The write may have been made, may be made later, or never.
                Err(failure @ KvError::Unreachable(_)) => {
                    lost += 1;
                    let is_held = self.published().await.is_ok_and(|held| held == Some(stamp));
                    if !is_held && lost >= MAX_LOST {
                        return Err(failure.into());
                    }
                    error = failure.into();
                    is_held
                }
                Err(failure) => return Err(failure.into()),
            };
            if is_held {
                self.store.note_published(revision).await?;
                last = Some(stamp);
                // A head that has moved since then is written again, even if it is recorded as
                // published: this write may have come after that of the other publisher.
                is_due = true;
            }
        }
    }

    /// Returns the revision in KV with its epoch; `None` if KV holds no document that an edge would accept.
    ///
    /// # Errors
    ///
    /// Fails if KV cannot be read.
    pub async fn published(&self) -> Result<Option<Stamp>, KvError> {
        Ok(self
            .kv
            .get()
            .await?
            .and_then(|text| Snapshot::decode(&text).ok())
            .map(|snapshot| snapshot.stamp()))
    }
}
