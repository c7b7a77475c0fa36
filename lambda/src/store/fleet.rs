//! The revisions that isolates hold, as their batches say. Evaluation writes them into the item of its lease, which it renews in
//! any case.

use crate::store::{error::StoreError, keys::Key, table::Store};
use cutover_core::{Epoch, Revision, Stamp, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most revisions that are kept apart: the item stays below 1 KB, which is one write unit.
const MAX_REVISIONS: usize = 10;

/// Age beyond which nothing is known of the isolates any more, in milliseconds.
const RECENT_MS: i64 = 60_000;

/// Attribute of the lease's item.
pub(super) const ATTRIBUTE: &str = "fleet";

/// Revisions of the isolates that reported lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRevisions {
    /// Arrival time up to which all batches were read.
    pub as_of: Timestamp,
    /// Number of isolates that reported in the last minute before it.
    pub reporting: u64,
    /// Number of these by the revision that they hold, newest first.
    pub revisions: Vec<RevisionCount>,
}

/// Number of isolates that hold a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionCount {
    /// Epoch of the revision.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// Revision of the snapshot; 0 if they have none.
    pub revision: Revision,
    /// Number of isolates.
    pub isolates: u64,
}

impl FleetRevisions {
    /// Counts isolates by the revisions that they hold, as of a time in milliseconds since 1970. Beyond ten revisions the
    /// older ones are counted as the oldest.
    pub fn of(held: impl Iterator<Item = Stamp>, as_of: i64) -> Self {
        let mut counts: BTreeMap<Stamp, u64> = BTreeMap::new();
        held.for_each(|stamp| *counts.entry(stamp).or_default() += 1);
        let reporting = counts.values().sum();
        let mut revisions: Vec<RevisionCount> = Vec::new();
        for (Stamp { epoch, revision }, isolates) in counts.into_iter().rev() {
            let is_full = revisions.len() == MAX_REVISIONS;
            let merged = if is_full { revisions.pop().map_or(0, |count| count.isolates) } else { 0 };
            revisions.push(RevisionCount { epoch, revision, isolates: isolates + merged });
        }
        Self { as_of: Timestamp::from_millis(as_of), reporting, revisions }
    }

    /// Returns true if the batches were read up to a minute before `now`, or further.
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now.millis().saturating_sub(self.as_of.millis()) <= RECENT_MS
    }
}

impl Store {
    /// Returns the revisions of the isolates that reported lately; `None` if evaluation never wrote them, does not know them, or
    /// wrote them in a form that this version does not know.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read.
    pub async fn fleet_revisions(&self) -> Result<Option<FleetRevisions>, StoreError> {
        let item = self.get(&Key::lease()).await?;
        let text = item.as_ref().and_then(|item| item.optional_text(ATTRIBUTE));
        // They are `null` while they are not known.
        Ok(text.and_then(|text| serde_json::from_str(text).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(epoch: u64, revision: u64) -> Stamp {
        Stamp { epoch: Epoch(epoch), revision: Revision(revision) }
    }

    #[test]
    fn isolates_are_counted_by_revision_newest_first() {
        let held = [stamp(0, 7), stamp(9, 3), stamp(0, 8), stamp(0, 7), stamp(0, 0)];
        let fleet = FleetRevisions::of(held.into_iter(), 1_000);
        let expected = serde_json::json!({
            "as_of": "1970-01-01T00:00:01Z",
            "reporting": 5,
            "revisions": [
                { "epoch": 9, "revision": 3, "isolates": 1 },
                { "revision": 8, "isolates": 1 },
                { "revision": 7, "isolates": 2 },
                { "revision": 0, "isolates": 1 },
            ],
        });
        assert_eq!(serde_json::to_value(&fleet).unwrap(), expected);
        assert_eq!(serde_json::from_value::<FleetRevisions>(expected).unwrap(), fleet);
    }

    /// The item of the lease is renewed every two seconds, and a second write unit would cost as much as the first.
    #[test]
    fn the_revisions_of_a_fleet_fit_into_a_write_unit() {
        let held = (0..500).map(|index| stamp(1_767_225_600, 1_000_000 + index / 5));
        let fleet = FleetRevisions::of(held, 1_767_225_600_000);
        assert!(serde_json::to_string(&fleet).unwrap().len() < 900);
        let counted: u64 = fleet.revisions.iter().map(|count| count.isolates).sum();
        assert_eq!((fleet.revisions.len(), fleet.reporting, counted), (MAX_REVISIONS, 500, 500));
        let oldest = fleet.revisions.last().unwrap();
        assert_eq!(
            (oldest.revision, oldest.isolates),
            (Revision(1_000_000), 500 - 9 * 5),
            "none is made newer"
        );
    }

    #[test]
    fn isolates_are_unknown_a_minute_after_their_batches_were_last_read() {
        let fleet = FleetRevisions::of(std::iter::empty(), 1_000);
        let now = |ms: i64| Timestamp::from_millis(ms);
        assert!(fleet.is_recent(now(0)) && fleet.is_recent(now(61_000)) && !fleet.is_recent(now(61_001)));
    }
}
