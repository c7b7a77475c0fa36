//! The scheduled reconciliation of Workers KV with the table. It compares the head with the
//! document in KV, not only with the recorded revision: a publisher that dies between its write and
//! its second look at the head leaves a wrong record.

use crate::{platform::Platform, publication::publish::PublishError};
use serde::Serialize;

/// Summary of a tick.
#[derive(Debug, Serialize)]
pub struct Tick {
    /// Revision of the head.
    pub revision: u64,
    /// Revision in KV when the tick began; `None` if KV held no usable document.
    pub found: Option<u64>,
    /// True if this tick published.
    pub published: bool,
}

/// Runs one tick. Running it twice, late or concurrently does no harm, because publishing is
/// idempotent.
///
/// # Errors
///
/// Fails if the head or KV cannot be read, or the publication fails.
pub async fn tick(platform: &Platform) -> Result<Tick, PublishError> {
    let (head, noted) = tokio::try_join!(platform.store.head(), platform.store.published())?;
    let found = platform.publisher.published().await?;
    let healthy = noted == head.revision && found == Some(head.stamp());
    if !healthy {
        let revision = platform.publisher.republish().await?;
        tracing::warn!(head = head.revision.0, noted = noted.0, published = revision.0, "publication healed");
    }
    Ok(Tick { revision: head.revision.0, found: found.map(|found| found.revision.0), published: !healthy })
}
