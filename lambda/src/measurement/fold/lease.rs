//! The lease of a fold, which must last while it works.

use crate::{clock, measurement::fold::Folding, store::error::StoreError};
use std::time::{Duration, Instant};

/// Time after which a reading renews the lease, which must last while a backlog is read.
const RENEWAL: Duration = Duration::from_secs(3);

impl Folding<'_> {
    /// Renews the lease if it is time. Whoever has lost it finds that out by the next write.
    pub(in crate::measurement) async fn keep_lease(&mut self) -> Result<(), StoreError> {
        if self.renewed.elapsed() >= RENEWAL {
            self.renewed = Instant::now();
            let renewed = self.platform.store.renew_lease(self.lease, clock::now().millis(), false).await?;
            self.is_superseded |= !renewed;
        }
        Ok(())
    }

    /// Returns true if somebody else has taken the lease.
    pub(super) async fn has_lost_lease(&mut self) -> bool {
        let renewed = self.platform.store.renew_lease(self.lease, clock::now().millis(), false).await;
        self.is_superseded |= matches!(renewed, Ok(false));
        self.is_superseded
    }
}
