//! The lease of a fold, which must last while it works.

use crate::{
    clock,
    measurement::{fold::Folding, roll::REPORTING_MS},
    store::error::StoreError,
};
use std::time::{Duration, Instant};

/// Time after which long work renews the lease, which must last while a backlog is read.
const RENEWAL: Duration = Duration::from_secs(3);

impl Folding<'_> {
    /// Renews the lease. Returns false if somebody else has taken it.
    pub(in crate::measurement) async fn renew_lease(&mut self) -> Result<bool, StoreError> {
        let sent = Instant::now();
        let is_mine = self.write_lease(false).await?;
        self.renewed = sent;
        self.is_superseded |= !is_mine;
        Ok(!self.is_superseded)
    }

    /// Gives the lease up.
    pub(in crate::measurement) async fn end_lease(&self) -> Result<(), StoreError> {
        self.write_lease(true).await?;
        Ok(())
    }

    /// Renews the lease, or gives it up, with the revisions of the isolates whose batches were read, if these are all that
    /// reported lately.
    async fn write_lease(&self, is_over: bool) -> Result<bool, StoreError> {
        let is_whole = self.through.saturating_sub(self.cursor.roll_since) >= REPORTING_MS;
        let fleet = is_whole.then(|| self.roll.revisions(self.through));
        let now = clock::now().millis();
        self.platform.store.renew_lease_with(self.lease, now, is_over, fleet.as_ref()).await
    }

    /// Renews the lease if it is time. Whoever has lost it finds that out by the next write.
    pub(in crate::measurement) async fn keep_lease(&mut self) -> Result<(), StoreError> {
        if self.renewed.elapsed() >= RENEWAL {
            self.renew_lease().await?;
        }
        Ok(())
    }

    /// Returns true if somebody else has taken the lease.
    pub(super) async fn has_lost_lease(&mut self) -> bool {
        match self.renew_lease().await {
            Ok(is_mine) => !is_mine,
            Err(_) => self.is_superseded,
        }
    }
}
