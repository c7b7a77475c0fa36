//! Reports of isolates about origins that fail. They are written only if they change what others are told, so that an
//! outage that all isolates see costs a few writes.

use crate::{
    clock,
    store::{Store, StoredHealth, error::StoreError},
};
use cutover_core::measurement::health::OpenOrigin;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Attempts to write a report while other processes write theirs.
const ATTEMPTS: usize = 3;

/// Writes of one process within [`WRITES_WITHIN`].
const MAX_WRITES: usize = 3;

/// Time in which there are so many writes at most: one a second.
const WRITES_WITHIN: Duration = Duration::from_secs(3);

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
