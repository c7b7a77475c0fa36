//! Positions in the log of batches, and the rules by which ledgers hold what lies before them.
//!
//! The log consists of shards, each a sequence of records. A ledger is written together with its positions: a record
//! counts in it exactly once, however often the log is read, and by whomever. The *cursor* has positions too: every
//! ledger that is not parked holds everything up to them, so that a ledger without anything new need not be written.
//!
//! Three rules keep this true, and each has a test in `core/tests/log_model` that fails without it:
//!
//! 1. The cursor is read before the ledgers ([`Fold::begin`]). A ledger that was read before it may lack what it promises.
//!    The order of the real calls is watched by `tests/tests/end_to_end/ledgers.rs`.
//! 2. A ledger that cannot be written is *parked* at its own positions before the cursor moves past them, and it is
//!    unparked only by a cursor that its own positions have reached in every shard ([`Fold::cursor`]).
//! 3. Both are written on condition that nobody has written them since they were read.

use serde::{Deserialize, Serialize};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// Time for which the end of a shard is remembered after it was reached, in milliseconds. The log keeps records for 24
/// hours, so a shard that is listed again after this time brings nothing twice.
const END_KEPT_MS: i64 = 30 * 60 * 60 * 1_000;

/// Sequence number of a record in its shard: up to 40 decimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(String);

impl Position {
    /// Creates a position from a sequence number.
    pub fn new(number: &str) -> Self {
        Self(number.trim_start_matches('0').to_owned())
    }

    /// Returns the sequence number.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Progress in one shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Everything up to this record, and itself.
    Through(Position),
    /// Everything: the shard was read to its end at this time, in milliseconds since 1970.
    End(i64),
}

impl Progress {
    /// Returns true if the shard ended so long before `now` that none of its records is kept any more.
    fn has_expired(&self, now: i64) -> bool {
        matches!(self, Self::End(at) if now.saturating_sub(*at) >= END_KEPT_MS)
    }
}

/// Progress in all shards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positions(BTreeMap<String, Progress>);

impl Positions {
    /// Returns the progress in a shard; `None` before its first record.
    pub fn of(&self, shard: &str) -> Option<&Progress> {
        self.0.get(shard)
    }

    /// Returns true if a record lies before these positions.
    pub fn hold(&self, shard: &str, position: &Position) -> bool {
        match self.0.get(shard) {
            Some(Progress::Through(held)) => position <= held,
            Some(Progress::End(_)) => true,
            None => false,
        }
    }

    /// Notes progress in a shard. Less than what is noted changes nothing, and of two ends the first stays: a ledger that has
    /// reached another's end in a shard has nothing to write.
    pub fn note(&mut self, shard: &str, progress: Progress) {
        match self.0.get_mut(shard) {
            Some(Progress::End(_)) => {}
            Some(held) if *held >= progress => {}
            Some(held) => *held = progress,
            None => {
                self.0.insert(shard.to_owned(), progress);
            }
        }
    }

    /// Takes the further progress in each shard.
    pub fn raise(&mut self, other: &Self) {
        for (shard, progress) in &other.0 {
            self.note(shard, progress.clone());
        }
    }

    /// Returns true if these positions are at least as far as `other` in every shard.
    pub fn reach(&self, other: &Self) -> bool {
        other.0.iter().all(|(shard, theirs)| self.reach_in(shard, theirs))
    }

    /// Returns true if these positions are at least as far as `theirs` in one shard.
    fn reach_in(&self, shard: &str, theirs: &Progress) -> bool {
        match (self.0.get(shard), theirs) {
            (Some(Progress::End(_)), _) => true,
            (Some(Progress::Through(ours)), Progress::Through(theirs)) => ours >= theirs,
            (Some(Progress::Through(_)) | None, _) => false,
        }
    }

    /// Forgets the shards that ended long before `now` and that are not listed any more. A fold forgets with
    /// [`Fold::forget`], which keeps what its parked ledgers lack.
    pub fn forget(&mut self, listed: &BTreeSet<String>, now: i64) {
        self.0.retain(|shard, progress| listed.contains(shard) || !progress.has_expired(now));
    }

    /// Returns these positions, or none if they were written so long before `now` that no record before them is kept: then
    /// nothing could be counted twice without them. For ledgers that are not parked. A ledger at rest would otherwise keep
    /// the shards of its last day for ever, because nobody reads them to their end for it.
    #[must_use]
    pub fn unless_expired(self, written: i64, now: i64) -> Self {
        if Progress::End(written).has_expired(now) { Self::default() } else { self }
    }

    /// Returns the shards that are neither listed nor read to their end. A listing may omit a shard for a while, so their
    /// records have expired unread only if the log also refuses to read on after these positions.
    pub fn missing(&self, listed: &BTreeSet<String>) -> Vec<String> {
        let is_missing = |(shard, progress): &(&String, &Progress)| {
            matches!(progress, Progress::Through(_)) && !listed.contains(*shard)
        };
        self.0.iter().filter(is_missing).map(|(shard, _)| shard.clone()).collect()
    }

    /// Returns the shards with their progress.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Progress)> {
        self.0.iter().map(|(shard, progress)| (shard.as_str(), progress))
    }
}

/// Knowledge of a fold about one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Standing {
    /// Positions that the ledger was written with.
    own: Positions,
    /// True if the positions of the cursor say nothing about the ledger.
    is_parked: bool,
}

/// One reader of the log: from the positions of the cursor on, for the ledgers that it has read. A write is noted
/// ([`Self::wrote`], [`Self::wrote_cursor`]) before anything else is read, for both take it to have written what was read so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Fold {
    /// Positions of the cursor as it was read or last written.
    cursor: Positions,
    /// Positions up to which this fold has read, at least the cursor's.
    read: Positions,
    ledgers: BTreeMap<String, Standing>,
    /// Ledgers that hold in memory what they do not hold in the table.
    changed: BTreeSet<String>,
}

impl Fold {
    /// Begins at the positions of the cursor, with the positions of the parked ledgers. The ledgers must be read after the
    /// cursor was.
    pub fn begin(cursor: Positions, parked: impl IntoIterator<Item = (String, Positions)>) -> Self {
        let parked = parked.into_iter().map(|(name, own)| (name, Standing { own, is_parked: true }));
        Self { read: cursor.clone(), cursor, ledgers: parked.collect(), changed: BTreeSet::new() }
    }

    /// Notes the positions of a ledger that was read.
    pub fn has_ledger(&mut self, name: &str, own: &Positions) {
        self.ledgers.entry(name.to_owned()).or_default().own.raise(own);
    }

    /// Returns the positions from which the log is read.
    pub fn read(&self) -> &Positions {
        &self.read
    }

    /// Returns true if a record is to be counted in a ledger: if the ledger is not parked, and does not hold it.
    pub fn takes(&self, name: &str, shard: &str, position: &Position) -> bool {
        if self.read.hold(shard, position) {
            return false;
        }
        match self.ledgers.get(name) {
            Some(standing) => !standing.is_parked && !standing.own.hold(shard, position),
            None => true,
        }
    }

    /// Notes that a record was counted in a ledger.
    pub fn counted(&mut self, name: &str) {
        self.changed.insert(name.to_owned());
    }

    /// Notes that a shard was read up to here, by all ledgers that take part.
    pub fn has_read(&mut self, shard: &str, progress: Progress) {
        self.read.note(shard, progress);
    }

    /// Returns the positions that a ledger that is not parked is written with.
    pub fn positions_of(&self, name: &str) -> Positions {
        let mut positions = self.ledgers.get(name).map(|standing| standing.own.clone()).unwrap_or_default();
        positions.raise(&self.read);
        positions
    }

    /// Notes that a ledger was written with [`Self::positions_of`].
    pub fn wrote(&mut self, name: &str) {
        let own = self.positions_of(name);
        self.ledgers.entry(name.to_owned()).or_default().own = own;
        self.changed.remove(name);
    }

    /// Returns the ledgers that hold in memory what they do not hold in the table.
    pub fn changed(&self) -> Vec<String> {
        self.changed.iter().cloned().collect()
    }

    /// Parks a ledger that cannot be read or written: from now on its own positions alone say what it holds. Returns them.
    pub fn park(&mut self, name: &str) -> Positions {
        let standing = self.ledgers.entry(name.to_owned()).or_default();
        if !standing.is_parked {
            // What the cursor promised so far is true of this ledger too.
            standing.own.raise(&self.cursor);
            standing.is_parked = true;
        }
        self.changed.remove(name);
        standing.own.clone()
    }

    /// Returns the own positions of a ledger. A parked one is read apart from them on, up to [`Self::read`].
    pub fn own(&self, name: &str) -> Positions {
        self.ledgers.get(name).map(|standing| standing.own.clone()).unwrap_or_default()
    }

    /// Returns true if a ledger is parked.
    pub fn is_parked(&self, name: &str) -> bool {
        self.ledgers.get(name).is_some_and(|standing| standing.is_parked)
    }

    /// Returns true if a record is to be counted in a parked ledger that is read apart, up to where this fold has read.
    pub fn takes_apart(&self, name: &str, shard: &str, position: &Position) -> bool {
        let own = self.ledgers.get(name).map(|standing| &standing.own);
        self.read.hold(shard, position) && own.is_none_or(|own| !own.hold(shard, position))
    }

    /// Returns the shards that are not listed, and that this fold has read further than a parked ledger. If the log also
    /// refuses to read them, their records have expired before they were counted in the ledger; whoever has recorded that
    /// gap closes it by [`Self::has_ledger`] with the progress of [`Self::read`] in them.
    pub fn missing_apart(&self, name: &str, listed: &BTreeSet<String>) -> Vec<String> {
        let shards = self.read.iter().map(|(shard, _)| shard);
        let missing = shards.filter(|shard| !listed.contains(*shard) && self.lacks(name, shard));
        missing.map(str::to_owned).collect()
    }

    /// Returns true if this fold has read a shard further than a parked ledger. In other shards nothing is missing, though the
    /// records behind the positions of a ledger have expired: it may have been at rest.
    pub fn lacks(&self, name: &str, shard: &str) -> bool {
        let own = self.ledgers.get(name).map(|standing| &standing.own);
        self.read.of(shard).is_some_and(|read| own.is_none_or(|own| !own.reach_in(shard, read)))
    }

    /// Forgets the shards that ended long before `now` and that are not listed any more, except those that a parked ledger
    /// has not reached the end of: without them it would be unparked with a hole that nobody has recorded.
    pub fn forget(&mut self, listed: &BTreeSet<String>, now: i64) {
        let Self { read, ledgers, .. } = self;
        let is_lacking = |shard: &str, progress: &Progress| {
            ledgers.values().any(|standing| standing.is_parked && !standing.own.reach_in(shard, progress))
        };
        read.0.retain(|shard, progress| {
            listed.contains(shard) || !progress.has_expired(now) || is_lacking(shard, progress)
        });
        // A ledger keeps a shard as long as the cursor does: otherwise a parked one would seem not to have reached its end.
        for standing in ledgers.values_mut() {
            standing.own.0.retain(|shard, progress| read.0.contains_key(shard) || !progress.has_expired(now));
        }
    }

    /// Returns the positions that the cursor may be written with, and the parked ledgers with their own. A parked ledger
    /// that has reached them in every shard is parked no longer. Returns `None` while a ledger has changed and is not written.
    pub fn cursor(&self) -> Option<(Positions, BTreeMap<String, Positions>)> {
        if !self.changed.is_empty() {
            return None;
        }
        let parked =
            self.ledgers.iter().filter(|(_, standing)| standing.is_parked && !standing.own.reach(&self.read));
        Some((
            self.read.clone(),
            parked.map(|(name, standing)| (name.clone(), standing.own.clone())).collect(),
        ))
    }

    /// Notes that the cursor was written with what [`Self::cursor`] returned.
    pub fn wrote_cursor(&mut self) {
        let Self { read, cursor, ledgers, .. } = self;
        for standing in ledgers.values_mut() {
            standing.is_parked = standing.is_parked && !standing.own.reach(read);
        }
        cursor.clone_from(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(shard: &str, number: u32) -> Positions {
        let mut positions = Positions::default();
        positions.note(shard, Progress::Through(Position::new(&number.to_string())));
        positions
    }

    #[test]
    fn sequence_numbers_are_ordered_as_numbers() {
        let of = Position::new;
        assert!(of("99") < of("100") && of("0099") == of("99"));
        assert!(of(&"9".repeat(39)) < of(&format!("1{}", "0".repeat(39))));
        assert!(Progress::Through(of(&"9".repeat(40))) < Progress::End(0));
    }

    #[test]
    fn progress_never_goes_back_and_ends_are_kept_as_long_as_records() {
        let mut positions = at("a", 7);
        positions.raise(&at("a", 3));
        assert!(positions.hold("a", &Position::new("7")) && !positions.hold("a", &Position::new("8")));
        positions.note("a", Progress::End(1_000));
        positions.raise(&at("a", 9));
        assert_eq!(positions.of("a"), Some(&Progress::End(1_000)));
        positions.note("a", Progress::End(2_000));
        assert_eq!(positions.of("a"), Some(&Progress::End(1_000)), "two folds read it to its end");
        let nothing = BTreeSet::new();
        positions.forget(&nothing, 24 * 60 * 60 * 1_000);
        assert!(positions.of("a").is_some(), "its records may still be listed");
        positions.forget(&nothing, 48 * 60 * 60 * 1_000);
        assert!(positions.of("a").is_none());
        assert_eq!(at("b", 1).missing(&nothing), ["b"]);
    }

    #[test]
    fn a_ledger_at_rest_does_not_keep_its_last_shards_for_ever() {
        let hour = 60 * 60 * 1_000;
        assert_eq!(at("a", 7).unless_expired(0, 24 * hour), at("a", 7), "its records may still be listed");
        assert_eq!(at("a", 7).unless_expired(0, 48 * hour), Positions::default());
    }

    #[test]
    fn the_end_of_a_shard_is_kept_until_every_parked_ledger_has_reached_it() {
        let (nothing, later) = (BTreeSet::new(), 48 * 60 * 60 * 1_000);
        let mut fold = Fold::begin(at("a", 1), []);
        fold.park("flag");
        // One shard ends after the ledger was parked in it, another begins and ends meanwhile.
        fold.has_read("a", Progress::End(1_000));
        fold.has_read("b", Progress::End(1_000));
        fold.wrote_cursor();
        assert_eq!(fold.missing_apart("flag", &nothing), ["a", "b"]);
        assert!(fold.missing_apart("flag", &BTreeSet::from(["a".to_owned(), "b".to_owned()])).is_empty());
        fold.forget(&nothing, later);
        let (positions, parked) = fold.cursor().unwrap();
        assert!(parked.contains_key("flag"), "unparked with a hole");
        // The gap was recorded, and is closed.
        fold.has_ledger("flag", &positions);
        assert!(fold.missing_apart("flag", &nothing).is_empty());
        fold.wrote_cursor();
        assert!(!fold.is_parked("flag"));
        fold.forget(&nothing, later);
        assert_eq!(fold.cursor().unwrap().0, Positions::default());
        assert_eq!(fold.own("flag"), Positions::default());
    }

    #[test]
    fn a_parked_ledger_that_was_at_rest_lacks_nothing_in_a_shard_that_the_cursor_has_forgotten() {
        let mut fold = Fold::begin(at("b", 1), []);
        fold.park("flag");
        fold.has_ledger("flag", &at("a", 7));
        fold.has_read("b", Progress::Through(Position::new("2")));
        assert_eq!(["a", "b", "c"].map(|shard| fold.lacks("flag", shard)), [false, true, false]);
    }

    #[test]
    fn a_shard_that_one_listing_omits_is_not_read_from_its_beginning_again() {
        let nothing = BTreeSet::new();
        let mut fold = Fold::begin(at("a", 5), []);
        fold.has_read("b", Progress::End(1_000));
        fold.forget(&nothing, 2_000);
        let position = Position::new("5");
        assert!(!fold.takes("flag", "a", &position) && !fold.takes("flag", "b", &position));
        let (positions, _) = fold.cursor().unwrap();
        assert!(positions.hold("a", &position) && positions.hold("b", &position));
    }

    #[test]
    fn a_ledger_that_is_ahead_of_the_cursor_takes_nothing_twice() {
        let mut fold = Fold::begin(at("a", 1), []);
        fold.has_ledger("flag", &at("a", 3));
        let takes = |number: u32| fold.takes("flag", "a", &Position::new(&number.to_string()));
        assert_eq!((takes(1), takes(3), takes(4)), (false, false, true));
        assert!(fold.takes("other", "a", &Position::new("2")));
    }

    #[test]
    fn a_parked_ledger_is_unparked_when_it_has_reached_the_cursor_in_every_shard() {
        let mut fold = Fold::begin(at("a", 1), []);
        assert_eq!(fold.park("flag"), at("a", 1));
        fold.has_read("a", Progress::Through(Position::new("5")));
        fold.has_read("b", Progress::Through(Position::new("2")));
        let (_, parked) = fold.cursor().unwrap();
        assert_eq!(parked["flag"], at("a", 1));
        fold.wrote_cursor();
        assert!(fold.is_parked("flag") && !fold.takes("flag", "a", &Position::new("9")));
        // It has caught up in one shard, but not in the other.
        fold.has_ledger("flag", &at("a", 5));
        fold.wrote_cursor();
        assert!(fold.is_parked("flag") && fold.takes_apart("flag", "b", &Position::new("2")));
        let mut own = fold.own("flag");
        own.raise(fold.read());
        fold.has_ledger("flag", &own);
        fold.wrote_cursor();
        assert!(!fold.is_parked("flag") && fold.takes("flag", "a", &Position::new("9")));
    }
}
