//! Reports of isolates about origins that fail. They are written only if they change the word to others, so that an
//! outage that all isolates see costs a few writes.

use crate::{
    clock,
    store::{Store, StoredHealth, error::StoreError},
};
use cutover_core::measurement::health::OpenOrigin;
use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Mutex;

/// Time for which an answer waits for the health of origins to be read, and for a report to be written.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// Time after a read that failed, or was not done in time, for which there is no other one.
const PAUSE: Duration = Duration::from_secs(5);

/// Attempts to write a report while other processes write theirs.
const ATTEMPTS: usize = 3;

/// Writes of one process within [`WRITES_WITHIN`].
const MAX_WRITES: usize = 3;

/// Time in which there are so many writes at most: one a second.
const WRITES_WITHIN: Duration = Duration::from_secs(3);

/// The health of origins as a process knows it.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldHealth {
    /// The health as it was last read or written.
    pub(super) stored: StoredHealth,
    /// Time of the last read if that failed.
    failed_at: Option<SystemTime>,
}

impl HeldHealth {
    /// Returns the health as it is read now; as it was known if that fails or takes too long, or did a moment ago: no
    /// answer waits for it, and not each one for a part of the table that hangs.
    pub(super) async fn renewed(
        self,
        reading: impl Future<Output = Result<StoredHealth, StoreError>>,
        now: SystemTime,
    ) -> Self {
        let age = self.failed_at.and_then(|failed_at| now.duration_since(failed_at).ok());
        if age.is_some_and(|age| age < PAUSE) {
            return self;
        }
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(stored)) => return Self { stored, failed_at: None },
            Ok(Err(error)) => tracing::warn!(%error, "the health of origins could not be read"),
            Err(_) => tracing::warn!("the health of origins could not be read in time"),
        }
        Self { failed_at: Some(now), ..self }
    }
}

/// The writes of one process, which are limited.
#[derive(Debug, Default)]
pub(super) struct HealthWriter(Mutex<VecDeque<Instant>>);

impl HealthWriter {
    /// Writes the origins that an isolate holds open beside the reports that were read. Returns the reports as they are
    /// stored now; `None` if there is nothing to write, or no write left.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or written.
    pub(super) async fn write(
        &self,
        store: &Store,
        known: StoredHealth,
        isolate: &str,
        open: &[OpenOrigin],
    ) -> Result<Option<StoredHealth>, StoreError> {
        let mut health = known;
        for _ in 0..ATTEMPTS {
            let now = clock::now().millis();
            if !health.reports.report(isolate, open, now) || !self.has_write_left().await {
                return Ok(None);
            }
            if store.write_health(&mut health, now).await? {
                let origins: Vec<&str> = open.iter().map(|open| open.origin.as_str()).collect();
                tracing::warn!(event = "origins_open", ?origins, isolate, "an isolate holds origins open");
                return Ok(Some(health));
            }
            health = store.health(true).await?;
        }
        Ok(None)
    }

    async fn has_write_left(&self) -> bool {
        let mut writes = self.0.lock().await;
        let now = Instant::now();
        writes.retain(|at| now.duration_since(*at) < WRITES_WITHIN);
        let is_left = writes.len() < MAX_WRITES;
        if is_left {
            writes.push_back(now);
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> StoredHealth {
        let mut health = StoredHealth::default();
        let open = [OpenOrigin { origin: "rest".parse().unwrap(), open_for_ms: 60_000 }];
        assert!(health.reports.report("a", &open, 0));
        health
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_waited_for_once_in_some_seconds() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let known = HeldHealth { stored: stored(), failed_at: None };
        let begun = Instant::now();
        let held = known.renewed(std::future::pending(), now).await;
        assert!(begun.elapsed() >= PATIENCE);
        assert_eq!(held.stored.reports, stored().reports, "what was known is told");
        let empty = async || Ok(StoredHealth::default());
        let held = held.renewed(empty(), now + PAUSE - Duration::from_millis(1)).await;
        assert!(!held.stored.reports.is_empty(), "it is not read again at once");
        let held = held.renewed(empty(), now + PAUSE).await;
        assert!(held.stored.reports.is_empty() && held.failed_at.is_none());
    }
}
