//! The names of the ledgers. Each ledger is a partition of its own, which no query finds, so that those of deleted flags are
//! found by their names, and removed.

use crate::store::{
    error::{CommitError, StoreError},
    item::{NewItem, pack, unpack},
    keys,
    keys::Key,
    lease::Lease,
    ledger::layout::{DATA, bytes_of},
    table::Store,
    transaction::build,
};
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time for which a deleted flag is remembered, in milliseconds. An isolate sends a batch again for a day at most, by a clock
/// that may differ.
const REMEMBERED_MS: i64 = 26 * 60 * 60 * 1_000;

/// Most ledgers that are removed at once, so that a checkpoint does not take long.
const MAX_REMOVED: usize = 32;

/// Most items that one transaction removes. DynamoDB accepts 100; the check of the lease is one of them.
const MAX_DELETES: usize = 90;

/// Flags that have a ledger, and those whose ledger was removed because the flag was deleted, with that time in milliseconds
/// since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KnownLedgers(BTreeMap<String, Option<i64>>);

impl KnownLedgers {
    /// Notes that a configured flag has a ledger.
    pub fn note(&mut self, flag: &str) {
        self.0.entry(flag.to_owned()).or_default();
    }

    /// Returns true if this ledger exists, as far as it is known.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Option::is_none)
    }

    /// Returns the names of the ledgers that exist.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, removed)| removed.is_none()).map(|(name, _)| name.as_str())
    }

    /// Returns true if the ledger of a flag was removed in the last day.
    pub fn is_removed(&self, flag: &str) -> bool {
        self.0.get(flag).is_some_and(Option::is_some)
    }

    /// Returns the names at `now`, and those among them whose ledger is to be removed: some of the flags that are not
    /// configured any more. Those that were removed long ago are forgotten.
    pub fn after_removal(&self, is_configured: impl Fn(&str) -> bool, now: i64) -> (Self, Vec<String>) {
        let (mut known, mut removed) = (BTreeMap::new(), Vec::new());
        for (flag, since) in &self.0 {
            let since = match since {
                _ if is_configured(flag) => None,
                None if removed.len() < MAX_REMOVED => {
                    removed.push(flag.clone());
                    Some(now)
                }
                None => None,
                Some(since) if now.saturating_sub(*since) >= REMEMBERED_MS => continue,
                Some(since) => Some(*since),
            };
            known.insert(flag.clone(), since);
        }
        (Self(known), removed)
    }
}

impl Store {
    /// Returns the names of the ledgers.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or the item cannot be decoded.
    pub async fn known_ledgers(&self) -> Result<KnownLedgers, StoreError> {
        let Some(item) = self.get(&Key::ledgers()).await? else { return Ok(KnownLedgers::default()) };
        unpack(&bytes_of(&item, DATA)?)
    }

    /// Writes the names of the ledgers, by the holder of a lease.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if somebody else has taken the lease, and fails if the table cannot be written.
    pub async fn write_known_ledgers(&self, known: &KnownLedgers, lease: Lease) -> Result<(), CommitError> {
        let item = NewItem::new(&Key::ledgers()).bytes(DATA, pack(known)?);
        let put = Put::builder().table_name(&self.table).set_item(Some(item.into_attributes()));
        let put = TransactWriteItem::builder().put(build(put.build())?).build();
        self.transact(vec![put, self.check_lease(lease)?]).await
    }

    /// Removes the ledger of a flag with its evidence, whatever is left of it, by the holder of a lease.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if somebody else has taken the lease, and fails if the table cannot be read or written.
    pub async fn remove_ledger(&self, flag: &str, lease: Lease) -> Result<(), CommitError> {
        let rows = self.rows(&keys::ledger(flag), " ", "\u{7f}").await?;
        let sorts = rows.iter().filter_map(|row| row.get(keys::SORT)?.as_s().ok().cloned());
        let mut sorts: Vec<String> = sorts.collect();
        // The head first: parts without one are nobody's.
        sorts.sort_by_key(|sort| sort != keys::HEAD);
        for part in sorts.chunks(MAX_DELETES) {
            let mut items = vec![self.check_lease(lease)?];
            for sort in part {
                let key = Key::ledger_part(flag, sort).attributes();
                let delete = Delete::builder().table_name(&self.table).set_key(Some(key));
                items.push(TransactWriteItem::builder().delete(build(delete.build())?).build());
            }
            self.transact(items).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(flags: &[(&str, Option<i64>)]) -> KnownLedgers {
        KnownLedgers(flags.iter().map(|(flag, since)| ((*flag).to_owned(), *since)).collect())
    }

    #[test]
    fn a_deleted_flag_is_removed_once_and_remembered_for_a_day() {
        let mut names = known(&[("kept", None)]);
        names.note("gone");
        let is_configured = |flag: &str| flag == "kept";
        let (names, removed) = names.after_removal(is_configured, 1_000);
        assert_eq!(
            (&names, removed),
            (&known(&[("gone", Some(1_000)), ("kept", None)]), vec!["gone".to_owned()])
        );
        assert!(names.is_removed("gone") && !names.is_removed("kept") && !names.is_removed("unknown"));
        assert!(names.has("kept") && !names.has("gone") && !names.has("unknown"));
        assert_eq!(names.names().collect::<Vec<_>>(), ["kept"]);
        // A late batch does not make it known again.
        let mut later = names.clone();
        later.note("gone");
        assert_eq!(later, names);
        assert_eq!(names.after_removal(is_configured, REMEMBERED_MS), (names.clone(), Vec::new()));
        let forgotten = names.after_removal(is_configured, 1_000 + REMEMBERED_MS);
        assert_eq!(forgotten, (known(&[("kept", None)]), Vec::new()));
    }

    #[test]
    fn a_flag_that_is_configured_again_has_a_ledger_again() {
        let (names, removed) = known(&[("f", Some(5))]).after_removal(|_| true, 6);
        assert_eq!((names, removed), (known(&[("f", None)]), Vec::new()));
    }

    #[test]
    fn many_deleted_flags_are_removed_in_turns() {
        let flags: Vec<String> = (0..MAX_REMOVED + 3).map(|index| format!("f{index:03}")).collect();
        let mut names = KnownLedgers::default();
        flags.iter().for_each(|flag| names.note(flag));
        let (names, first) = names.after_removal(|_| false, 1);
        let (_, second) = names.after_removal(|_| false, 2);
        assert_eq!((first.len(), [first, second].concat()), (MAX_REMOVED, flags));
    }
}
