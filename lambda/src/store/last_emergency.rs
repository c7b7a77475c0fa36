//! The emergency of the head that a request has read last. Nearly every request reads the head, so its response can tell of
//! an emergency without a read of its own.

use cutover_core::Emergency;
use std::cell::RefCell;

tokio::task_local! {
    static LAST: RefCell<LastEmergency>;
}

/// Emergency of the last head that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastEmergency {
    /// True if a head was read.
    pub is_known: bool,
    /// Emergency in force, if any.
    pub emergency: Option<Emergency>,
}

impl LastEmergency {
    /// Returns the emergency that the work of this task has read so far.
    pub fn so_far() -> Self {
        LAST.try_with(|last| last.borrow().clone()).unwrap_or_default()
    }

    /// Runs work, and returns its result with the emergency that it has read last.
    pub async fn of<W: Future>(work: W) -> (W::Output, Self) {
        let noting = async {
            let result = work.await;
            (result, Self::so_far())
        };
        LAST.scope(RefCell::default(), noting).await
    }

    /// Notes the emergency of a head, if it was read for work whose emergency is of interest.
    pub(super) fn note(emergency: Option<&Emergency>) {
        let _ = LAST.try_with(|last| {
            *last.borrow_mut() = Self { is_known: true, emergency: emergency.cloned() };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{Timestamp, rules::emergency::Declaration};

    #[tokio::test]
    async fn the_last_head_of_a_request_tells_of_the_emergency() {
        let (by, since) = ("ann".to_owned(), Timestamp::from_millis(0));
        let emergency = Emergency::from(Declaration { flags: None, reason: "why".to_owned(), by, since });
        let (_, nothing) = LastEmergency::of(async {}).await;
        assert!(!nothing.is_known);
        let read = async {
            LastEmergency::note(None);
            tokio::task::yield_now().await;
            LastEmergency::note(Some(&emergency));
        };
        let (_, last) = LastEmergency::of(read).await;
        assert_eq!(last, LastEmergency { is_known: true, emergency: Some(emergency.clone()) });
        let (_, over) = LastEmergency::of(async { LastEmergency::note(None) }).await;
        assert_eq!(over, LastEmergency { is_known: true, emergency: None });
        // Work that nobody asks about is not in the way.
        LastEmergency::note(Some(&emergency));
        assert!(!LastEmergency::so_far().is_known);
    }
}
