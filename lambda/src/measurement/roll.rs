//! The roll of isolates: when each was last heard of, and by when it promised its next batch. One that is overdue has died
//! with what it had counted since its last batch.

use crate::store::{FleetRevisions, RollPart};
use cutover_core::{Stamp, measurement::batch::Batch};
use std::collections::{BTreeMap, BTreeSet};

/// Time after its last batch for which an isolate counts as part of the fleet, in milliseconds.
pub(super) const ACTIVE_MS: i64 = 2 * 60_000;

/// Time for which a lost isolate can still report, and for which it counts as lost lately, in milliseconds.
const LATELY_MS: i64 = 60 * 60_000;

/// Time after its last batch for which the revision of an isolate counts, in milliseconds: a minute, which is the longest
/// interval of reports, and the way of a report.
pub(super) const REPORTING_MS: i64 = 63_000;

/// Bytes of an isolate in the packed roll.
const PACKED: usize = 34;

/// Most revisions that the entries of a part can refer to. Isolates with older ones count as if they held none.
const MAX_STAMPS: usize = 32;

/// State of one isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Arrival of its newest batch, in milliseconds since 1970.
    seen: i64,
    /// Time by which the next one is due, in milliseconds since 1970; 0 if none is.
    due: i64,
    /// Age of its snapshot then, in milliseconds.
    age_ms: u32,
    /// Revision of its snapshot then; the first one of all if it had none, or if it is not known.
    held: Stamp,
    is_lost: bool,
}

/// The isolates that were heard of lately.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roll(BTreeMap<u128, Entry>);

impl Roll {
    /// Notes a batch that arrived at `at`, and waits at most `patience_ms` for the next one. Returns true if the isolate had
    /// been counted as lost.
    pub fn note(&mut self, batch: &Batch, at: i64, patience_ms: i64) -> bool {
        let Ok(isolate) = u128::from_str_radix(&batch.isolate, 16) else { return false };
        let promised = batch.promised_ms().and_then(|promised| i64::try_from(promised).ok());
        let due = promised.map_or(0, |promised| at.saturating_add(promised.min(patience_ms)));
        let age_ms = u32::try_from(batch.age_ms).unwrap_or(u32::MAX);
        let entry = Entry { seen: at, due, age_ms, held: batch.stamp(), is_lost: false };
        match self.0.get_mut(&isolate) {
            Some(held) if held.seen > at => false,
            Some(held) => std::mem::replace(held, entry).is_lost,
            None => {
                self.0.insert(isolate, entry);
                false
            }
        }
    }

    /// Returns the number of isolates that are overdue at `now`, each once, and forgets those that were last heard of long
    /// ago.
    pub fn find_lost(&mut self, now: i64) -> u64 {
        let mut lost = 0;
        for entry in self.0.values_mut() {
            if !entry.is_lost && entry.due > 0 && entry.due < now {
                entry.is_lost = true;
                lost += 1;
            }
        }
        self.0.retain(|_, entry| {
            let kept = if entry.is_lost || entry.due > 0 { LATELY_MS } else { ACTIVE_MS };
            now.saturating_sub(entry.seen) <= kept
        });
        lost
    }

    /// Returns the number of isolates that were found lost in the last hour.
    pub fn lost_lately(&self) -> u64 {
        self.0.values().filter(|entry| entry.is_lost).count() as u64
    }

    /// Returns the number of isolates that reported in the two minutes before `now`, and the age of the oldest of their
    /// snapshots in milliseconds.
    pub fn active(&self, now: i64) -> (u64, Option<u64>) {
        let active = || self.0.values().filter(|entry| now.saturating_sub(entry.seen) <= ACTIVE_MS);
        let ages = active().map(|entry| u64::from(entry.age_ms));
        (active().count() as u64, ages.max())
    }

    /// Returns the revisions of the isolates that reported in the minute before `now`, in milliseconds since 1970, and are not
    /// lost.
    pub fn revisions(&self, now: i64) -> FleetRevisions {
        let is_reporting = |entry: &&Entry| !entry.is_lost && now.saturating_sub(entry.seen) <= REPORTING_MS;
        FleetRevisions::of(self.0.values().filter(is_reporting).map(|entry| entry.held), now)
    }

    /// Returns the roll in parts of at most `size` bytes, and the revisions that they refer to.
    pub fn pack(&self, size: usize) -> Vec<RollPart> {
        let entries: Vec<(u128, Entry)> = self.0.iter().map(|(isolate, entry)| (*isolate, *entry)).collect();
        entries.chunks((size / PACKED).max(1)).map(pack_part).collect()
    }

    /// Adds a part of a packed roll. What cannot be read is left out: a lost roll is made anew from the next batches.
    pub fn unpack(&mut self, part: &RollPart) {
        for bytes in part.entries.chunks_exact(PACKED) {
            let Some(entry) = read(bytes, &part.stamps) else { return };
            self.0.insert(entry.0, entry.1);
        }
    }
}

/// Packs entries. The last byte of each, which earlier versions neither set nor read, is the position of its revision from 1
/// on; 0 stands for no known revision.
fn pack_part(entries: &[(u128, Entry)]) -> RollPart {
    let held: BTreeSet<Stamp> = entries.iter().map(|(_, entry)| entry.held).collect();
    let known = held.into_iter().rev().filter(|stamp| *stamp != Stamp::default());
    let stamps: Vec<Stamp> = known.take(MAX_STAMPS).collect();
    let mut bytes = Vec::with_capacity(entries.len() * PACKED);
    for (isolate, entry) in entries {
        let position = stamps.iter().position(|stamp| *stamp == entry.held);
        let position = position.and_then(|position| u8::try_from(position + 1).ok()).unwrap_or_default();
        bytes.extend(isolate.to_be_bytes());
        bytes.extend(entry.seen.to_be_bytes().get(2..).unwrap_or_default());
        bytes.extend(entry.due.to_be_bytes().get(2..).unwrap_or_default());
        bytes.extend(entry.age_ms.to_be_bytes());
        bytes.extend([u8::from(entry.is_lost), position]);
    }
    RollPart { entries: bytes, stamps }
}

fn read(bytes: &[u8], stamps: &[Stamp]) -> Option<(u128, Entry)> {
    let (isolate, rest) = bytes.split_first_chunk::<16>()?;
    let (seen, rest) = rest.split_first_chunk::<6>()?;
    let (due, rest) = rest.split_first_chunk::<6>()?;
    let (age_ms, rest) = rest.split_first_chunk::<4>()?;
    let time = |bytes: &[u8; 6]| bytes.iter().fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
    let position = rest.get(1).and_then(|position| usize::from(*position).checked_sub(1));
    let entry = Entry {
        seen: time(seen),
        due: time(due),
        age_ms: u32::from_be_bytes(*age_ms),
        held: position.and_then(|position| stamps.get(position)).copied().unwrap_or_default(),
        is_lost: rest.first() == Some(&1),
    };
    Some((u128::from_be_bytes(*isolate), entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::Revision;

    fn batch(isolate: u128, idle: bool) -> Batch {
        let due_ms = if idle { 0 } else { 60_000 };
        Batch { due_ms, age_ms: 700, ..Batch::empty(format!("{isolate:032x}"), 1) }
    }

    #[test]
    fn an_isolate_is_lost_once_and_found_again_by_a_later_batch() {
        let mut roll = Roll::default();
        roll.note(&batch(1, false), 1_000, 10_000);
        roll.note(&batch(2, true), 1_000, 10_000);
        assert_eq!(roll.find_lost(11_000), 0);
        assert_eq!((roll.find_lost(11_001), roll.find_lost(12_000)), (1, 0));
        assert_eq!((roll.lost_lately(), roll.active(12_000)), (1, (2, Some(700))));
        assert!(!roll.note(&batch(1, false), 900, 10_000), "an older batch that came late");
        assert!(roll.note(&batch(1, true), 20_000, 10_000));
        assert_eq!((roll.lost_lately(), roll.find_lost(60_000)), (0, 0));
    }

    #[test]
    fn a_packed_roll_is_small_and_the_same() {
        let mut roll = Roll::default();
        for isolate in 0..30_000_u128 {
            let batch = Batch {
                revision: Revision(isolate as u64 / 7_000),
                ..batch(isolate << 64, isolate % 3 == 0)
            };
            roll.note(&batch, 1_767_225_600_000 + isolate as i64, 60_000);
        }
        roll.find_lost(1_767_225_600_000 + 61_000);
        let parts = roll.pack(300_000);
        assert!(parts.iter().map(|part| part.entries.len()).sum::<usize>() <= 36 * 30_000);
        let mut read = Roll::default();
        parts.iter().for_each(|part| read.unpack(part));
        assert_eq!(read, roll);
    }

    /// The first isolate holds the change, the second one does not, and the third one fell silent long before.
    #[test]
    fn isolates_that_reported_lately_are_counted_by_their_revision() {
        let of = |isolate, revision| Batch { revision: Revision(revision), ..batch(isolate, true) };
        let mut roll = Roll::default();
        roll.note(&of(1, 8), 100_000, 10_000);
        roll.note(&of(2, 8), 100_000, 10_000);
        roll.note(&of(2, 7), 99_000, 10_000);
        roll.note(&of(3, 7), 36_000, 10_000);
        roll.note(&of(4, 7), 100_000, 10_000);
        let counts = |roll: &Roll, now| {
            let FleetRevisions { reporting, revisions, .. } = roll.revisions(now);
            let counts = revisions.iter().map(|count| (count.revision.0, count.isolates));
            (reporting, counts.collect::<Vec<_>>())
        };
        assert_eq!(counts(&roll, 100_000), (3, vec![(8, 2), (7, 1)]));
        assert_eq!(counts(&roll, 163_001), (0, vec![]));
        roll.note(&batch(5, false), 100_000, 10_000);
        roll.find_lost(110_001);
        assert_eq!(
            counts(&roll, 110_001),
            (3, vec![(8, 2), (7, 1)]),
            "an isolate that is lost confirms nothing"
        );
    }

    /// The version before writes 0 where the position of the revision is now, and does not read it.
    #[test]
    fn entries_of_the_version_before_have_no_known_revision() {
        let mut roll = Roll::default();
        roll.note(&Batch { revision: Revision(8), ..batch(1, true) }, 1_000, 10_000);
        let mut part = roll.pack(PACKED).remove(0);
        assert_eq!((part.entries.len(), part.stamps.len()), (PACKED, 1));
        *part.entries.last_mut().unwrap() = 0;
        part.stamps.clear();
        let mut read = Roll::default();
        read.unpack(&part);
        let revisions = read.revisions(1_000).revisions;
        assert_eq!(revisions.iter().map(|count| count.revision).collect::<Vec<_>>(), [Revision(0)]);
    }

    #[test]
    fn of_many_revisions_a_part_keeps_the_newest() {
        let mut roll = Roll::default();
        for isolate in 0..300_u128 {
            let batch = Batch { revision: Revision(isolate as u64 + 1), ..batch(isolate, true) };
            roll.note(&batch, 1_000, 10_000);
        }
        let part = roll.pack(300_000).remove(0);
        let mut read = Roll::default();
        read.unpack(&part);
        let held = |isolate: u128| read.0[&isolate].held.revision;
        assert_eq!((held(299), held(268), held(267)), (Revision(300), Revision(269), Revision(0)));
    }
}
