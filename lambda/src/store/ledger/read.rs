//! Reads of ledgers. The items of one are read one after the other, so a reader compares the digests of its parts.

use crate::store::{
    error::StoreError,
    item::Item,
    keys,
    keys::Key,
    ledger::{
        layout::{DATA, LedgerParts, bytes_of, join, read_head},
        model::Ledger,
        subject::LedgerSubject,
    },
    table::Store,
};
use cutover_core::{FlagName, canary::Evidence};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinSet;

/// Number of attempts to read the items of a ledger while they keep changing.
const MAX_READS: usize = 4;

/// Parts of a ledger, by name.
type Parts = BTreeMap<String, Vec<u8>>;

/// Returns the name of a flag in keys.
fn name(flag: Option<&FlagName>) -> &str {
    flag.map(FlagName::as_str).unwrap_or_default()
}

/// Returns the flag of an item of a ledger, and the name of the part; `None` for the head.
fn place(item: &Item) -> Option<(&str, Option<&str>)> {
    let flag = item.text(keys::PARTITION).ok()?.strip_prefix(keys::LEDGER)?;
    Some((flag, item.text(keys::SORT).ok().filter(|part| *part != keys::HEAD)))
}

/// Heads and parts of ledgers, by flag.
#[derive(Default)]
struct Found {
    heads: BTreeMap<String, Ledger>,
    parts: BTreeMap<String, Parts>,
}

impl Found {
    /// Adds an item. One that cannot be decoded is left out. Heads name the wanted parts alone.
    fn add(&mut self, item: &Item, wanted: LedgerParts) {
        match place(item) {
            Some((flag, None)) => {
                if let Ok(mut head) = read_head(item) {
                    head.parts.retain(|part, _| wanted.has(part));
                    self.heads.insert(flag.to_owned(), head);
                }
            }
            Some((flag, Some(part))) => {
                if let Ok(data) = bytes_of(item, DATA) {
                    self.parts.entry(flag.to_owned()).or_default().insert(part.to_owned(), data);
                }
            }
            None => {}
        }
    }
}

impl Store {
    /// Returns the ledger of a flag; an empty one if it was never written.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read, an item cannot be decoded, or a part is not the one that the ledger names: with
    /// [`StoreError::Restless`] if another pass wrote both meanwhile.
    pub async fn ledger(&self, flag: Option<&FlagName>) -> Result<Ledger, StoreError> {
        self.ledger_named(name(flag)).await
    }

    async fn ledger_named(&self, name: &str) -> Result<Ledger, StoreError> {
        let mut versions = BTreeSet::new();
        for _ in 0..MAX_READS {
            let Some(item) = self.get(&Key::ledger(name)).await? else { return Ok(Ledger::default()) };
            let head = read_head(&item)?;
            let version = head.version;
            let parts = self.parts_of(name, &head).await?;
            if let Some(ledger) = join(head, &parts)? {
                return Ok(ledger);
            }
            versions.insert(version);
        }
        Err(unjoined("a part", &versions))
    }

    /// Reads the parts that a head names.
    async fn parts_of(&self, flag: &str, head: &Ledger) -> Result<Parts, StoreError> {
        let mut reading = JoinSet::new();
        for part in head.parts.keys() {
            let (store, key, part) = (self.clone(), Key::ledger_part(flag, part), part.clone());
            reading.spawn(async move { store.get(&key).await.map(|item| (part, item)) });
        }
        let mut parts = Parts::new();
        while let Some(read) = reading.join_next().await {
            let (part, item) = read.map_err(|error| StoreError::Call(error.to_string()))??;
            if let Some(item) = item {
                parts.insert(part, bytes_of(&item, DATA)?);
            }
        }
        Ok(parts)
    }

    /// Returns the ledgers of these flags that exist and can be decoded, with their heads and the wanted parts, to be shown and
    /// not to be written; `None` is the flag of the one for requests that no flag decided. One that cannot be decoded, or has
    /// another schema, does not hide the others; it is parked, and `evaluate` says so.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read.
    pub async fn ledgers_of(
        &self,
        flags: &[Option<&FlagName>],
        wanted: LedgerParts,
    ) -> Result<BTreeMap<Option<FlagName>, Ledger>, StoreError> {
        let mut found = Found::default();
        let heads = flags.iter().map(|flag| Key::ledger(name(*flag))).collect();
        let readable = |rows: Vec<_>| rows.into_iter().filter_map(|attributes| Item::new(attributes).ok());
        readable(self.get_many(heads).await?).for_each(|item| found.add(&item, wanted));
        let parts = found
            .heads
            .iter()
            .flat_map(|(flag, head)| head.parts.keys().map(move |part| Key::ledger_part(flag, part)));
        let parts = parts.collect();
        readable(self.get_many(parts).await?).for_each(|item| found.add(&item, wanted));
        let ledgers = self.joined(found).await?.into_iter();
        Ok(ledgers.map(|(name, ledger)| (name.parse().ok(), ledger)).collect())
    }

    /// Joins the items of ledgers. Those that were written meanwhile are read once more, each for itself.
    async fn joined(&self, found: Found) -> Result<Vec<(String, Ledger)>, StoreError> {
        let Found { heads, mut parts } = found;
        let mut ledgers = Vec::new();
        for (name, head) in heads {
            let flag = name.parse::<FlagName>().ok();
            let joined = match join(head, &parts.remove(&name).unwrap_or_default()) {
                Ok(Some(ledger)) => Ok(ledger),
                Ok(None) => self.ledger(flag.as_ref()).await,
                Err(error) => Err(error),
            };
            match joined {
                Ok(ledger) => ledgers.push((name, ledger)),
                Err(StoreError::Item(_) | StoreError::Later(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ledgers)
    }

    /// Returns the ledger of a subject and its evidence: of a flag's newest run, or of an experiment's newest phase.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read, an item cannot be decoded, or the evidence is not the one that the ledger names:
    /// with [`StoreError::Restless`] if another pass wrote both meanwhile.
    pub async fn ledger_with_evidence<E: DeserializeOwned>(
        &self,
        subject: LedgerSubject<'_>,
    ) -> Result<(Ledger, Option<E>), StoreError> {
        let name = subject.to_string();
        let mut versions = BTreeSet::new();
        for _ in 0..MAX_READS {
            let ledger = self.ledger_named(&name).await?;
            if ledger.evidence_version == 0 {
                return Ok((ledger, None));
            }
            if let Some(evidence) = self.evidence_of(&name, ledger.evidence_version).await? {
                return Ok((ledger, Some(evidence)));
            }
            versions.insert(ledger.version);
        }
        Err(unjoined("evidence", &versions))
    }

    /// Returns the evidence of the newest run of a flag; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails as [`Self::ledger_with_evidence`] does.
    pub async fn evidence(&self, flag: &FlagName) -> Result<Option<Evidence>, StoreError> {
        Ok(self.ledger_with_evidence(LedgerSubject::Flag(flag)).await?.1)
    }
}

/// Returns the error for items that were never read together. `versions` are those of the heads that were read.
fn unjoined(kind: &str, versions: &BTreeSet<u64>) -> StoreError {
    // All are written in one transaction: without one in all this time, they do not belong together.
    if versions.len() == 1 {
        return StoreError::Item(format!("{kind}: not the version that the ledger names"));
    }
    StoreError::Restless
}
