//! The scheduled look at publication. It compares the head with what KV really holds, not only with what was
//! noted: a publisher that died between its write and its second look leaves a note that is wrong.

use crate::{Platform, publish::PublishError};
use serde::Serialize;

/// What a tick found and did.
#[derive(Debug, Serialize)]
pub struct Tick {
    /// The head.
    pub revision: u64,
    /// The revision that KV held when the tick began; `None` where it held nothing usable.
    pub found: Option<u64>,
    /// Whether this tick published.
    pub published: bool,
}

/// Looks once. Delivered twice, late or concurrently, it does no harm: publishing is idempotent.
pub async fn tick(platform: &Platform) -> Result<Tick, PublishError> {
    let head = platform.store.head().await?;
    let found = platform.publisher.published().await?;
    let healthy = head.published == head.revision && found == Some(head.revision);
    if !healthy {
        let revision = platform.publisher.publish().await?;
        tracing::warn!(
            head = head.revision.0,
            noted = head.published.0,
            published = revision.0,
            "publication healed"
        );
    }
    Ok(Tick { revision: head.revision.0, found: found.map(|revision| revision.0), published: !healthy })
}
