//! Verification of the audit log: every digest is computed again, and the first record that is
//! missing, altered or out of order is named.

use crate::{
    observe::hex::hex,
    store::{
        audit::{
            log::{END, PATIENCE},
            place::AuditPlace,
            record::{AuditRecord, changes_digest},
            tail::GENESIS,
        },
        error::StoreError,
        item::Item,
        keys,
        page::PageRoom,
        table::Store,
    },
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::time::Instant;

/// Most records of one part of a verification.
const MAX_RECORDS: usize = 2_000;

/// A record of which somebody has kept position and digest, outside of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRecord {
    /// Position in the log.
    pub position: u64,
    /// Digest that the record had.
    pub digest: String,
}

/// The first fault of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditFault {
    /// Record at which the fault was found; `None` at the end of the log.
    pub id: Option<AuditPlace>,
    /// Position at which it was found.
    pub position: u64,
    /// Description of the fault.
    pub detail: String,
}

/// Result of verifying a part of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditCheck {
    /// Number of records in this part that are in order.
    pub checked: u64,
    /// Number of records in this part from before there was a chain.
    pub unchained: u64,
    /// Position of the last record that is in order.
    pub position: u64,
    /// Digest of that record.
    pub digest: String,
    /// First fault, if there is one.
    pub fault: Option<AuditFault>,
    /// Record after which the next part begins; `None` if the log ends here, or is at fault.
    #[serde(rename = "next_after")]
    pub next: Option<AuditPlace>,
}

impl AuditCheck {
    fn begin(position: u64, digest: &str) -> Self {
        Self { checked: 0, unchained: 0, position, digest: digest.to_owned(), fault: None, next: None }
    }

    fn fail(&mut self, id: Option<AuditPlace>, detail: impl Into<String>) {
        self.fault = Some(AuditFault { id, position: self.position + 1, detail: detail.into() });
    }

    /// Verifies the next record of the log, without changes that are stored in parts.
    fn follow(&mut self, record: &AuditRecord, changes_digest: &str) {
        let Some(link) = &record.link else {
            if self.position == 0 {
                self.unchained += 1;
            } else {
                self.fail(record.id, "the record is not in the chain");
            }
            return;
        };
        let expected = self.position + 1;
        if link.position > expected {
            let last = link.position - 1;
            self.fail(record.id, format!("the records at the positions {expected} to {last} are missing"));
        } else if link.position < expected {
            self.fail(record.id, format!("the record has the position {} of another one", link.position));
        } else if link.previous != self.digest {
            self.fail(record.id, "the record does not follow the one before it, which was replaced");
        } else if record.digest(expected, &self.digest, changes_digest) != link.digest {
            self.fail(record.id, "the record was altered");
        } else {
            self.checked += 1;
            self.position = expected;
            self.digest.clone_from(&link.digest);
        }
    }

    /// Compares a record with the one that was known before.
    fn compare(&mut self, record: &AuditRecord, known: &KnownRecord) {
        if self.position == known.position && self.digest != known.digest && self.fault.is_none() {
            self.fail(
                record.id,
                "the record has another digest than the known one: the log was written anew",
            );
        }
    }
}

impl Store {
    /// Verifies the part of the audit log after a record, from the first one if that is `None`.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn verify_audit(
        &self,
        after: Option<AuditPlace>,
        known: Option<&KnownRecord>,
    ) -> Result<AuditCheck, StoreError> {
        let started = Instant::now();
        // Before the records: those that are appended meanwhile are behind it.
        let tail = self.audit_tail().await?;
        let mut check = match after {
            None => AuditCheck::begin(0, GENESIS),
            Some(after) => self.verified_until(after).await?,
        };
        let from = after.map_or_else(|| "0".to_owned(), |after| after.key().sort);
        let mut room = PageRoom::new(MAX_RECORDS);
        let mut records = self.between(keys::AUDIT, &from, END).into_paginator().items().send();
        let mut last = after;
        while let Some(attributes) = records.next().await {
            let item = Item::new(attributes?)?;
            let record = AuditRecord::read(&item)?;
            if after.is_some() && record.id == after {
                continue;
            }
            let is_late = started.elapsed() > PATIENCE && last != after;
            if !room.take(item.size()) || is_late {
                check.next = last;
                return Ok(check);
            }
            let digest = changes_digest(&item)?;
            if let Some(parts) = record.changes_parts
                && !self.has_changes(&digest, parts).await?
            {
                check.fail(record.id, "a part of its changes was altered or is missing");
            } else {
                check.follow(&record, &digest);
            }
            if let Some(known) = known {
                check.compare(&record, known);
            }
            if check.fault.is_some() {
                return Ok(check);
            }
            last = record.id;
        }
        if check.position < tail.count {
            check.fail(None, format!("the records after it are missing, up to position {}", tail.count));
        } else if check.position == tail.count && check.digest != tail.digest {
            check.fail(None, "the last record is not the one that the head names");
        } else if let Some(known) = known.filter(|known| known.position > check.position) {
            check.fail(None, format!("the log once had a record at position {}", known.position));
        }
        Ok(check)
    }

    /// Returns the state of a verification after a record that was verified before.
    async fn verified_until(&self, place: AuditPlace) -> Result<AuditCheck, StoreError> {
        let item = self.get(&place.key()).await?;
        let link = item.as_ref().map(AuditRecord::read).transpose()?.and_then(|record| record.link);
        Ok(match link {
            Some(link) => AuditCheck::begin(link.position, &link.digest),
            None => AuditCheck::begin(0, GENESIS),
        })
    }

    /// Returns true if the parts of the changes of a record have the digest that it names.
    async fn has_changes(&self, digest: &str, parts: u64) -> Result<bool, StoreError> {
        let mut hasher = Sha256::new();
        for part in 0..parts {
            match self.changes_part(digest, part).await {
                Ok(text) => hasher.update(text.as_bytes()),
                Err(StoreError::Item(_) | StoreError::Later(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(hex(&hasher.finalize()) == digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Role,
        audit::{record::sha256, tail::AuditTail},
    };
    use cutover_core::{Epoch, Revision, Timestamp};

    /// Returns a log of four records, with the digest of the changes of each.
    fn log() -> Vec<(AuditRecord, String)> {
        let mut tail =
            AuditTail { revision: Revision(0), epoch: Epoch(0), count: 0, digest: GENESIS.to_owned() };
        let mut log = Vec::new();
        for number in 1..=4 {
            let at = Timestamp::from_millis(number);
            let record = AuditRecord::new(at, "ann", Role::Admin, "flag.put", None);
            let place = AuditPlace::change(Revision(tail.count + 1));
            let sealed = record.sealed(place, &tail).unwrap();
            let item = Item::new(sealed.item.into_attributes()).unwrap();
            log.push((AuditRecord::read(&item).unwrap(), changes_digest(&item).unwrap()));
            let (epoch, count) = (tail.epoch, tail.count + 1);
            tail = AuditTail { revision: place.revision, epoch, count, digest: sealed.digest };
        }
        log
    }

    fn check(log: &[(AuditRecord, String)]) -> AuditCheck {
        let mut check = AuditCheck::begin(0, GENESIS);
        for (record, changes) in log {
            if check.fault.is_none() {
                check.follow(record, changes);
            }
        }
        check
    }

    fn fault(log: &[(AuditRecord, String)]) -> (String, String) {
        let fault = check(log).fault.unwrap();
        (fault.id.map(|id| id.to_string()).unwrap_or_default(), fault.detail)
    }

    #[test]
    fn the_first_break_of_the_chain_is_named() {
        let whole = log();
        let good = check(&whole);
        assert_eq!((good.checked, good.position, good.fault), (4, 4, None));

        let mut altered = log();
        altered[1].0.actor = "bob".to_owned();
        assert_eq!(fault(&altered), ("2".to_owned(), "the record was altered".to_owned()));
        let mut altered = log();
        altered[1].1 = sha256("[1]");
        assert_eq!(fault(&altered).0, "2");

        let mut removed = log();
        removed.remove(1);
        let (id, detail) = fault(&removed);
        assert_eq!((id.as_str(), detail.contains("positions 2 to 2 are missing")), ("3", true), "{detail}");

        // A record that was replaced by one with a right digest of its own.
        let mut replaced = log();
        replaced[1].0.actor = "bob".to_owned();
        let digest = replaced[1].0.digest(2, &good_digest(&replaced, 0), &replaced[1].1);
        replaced[1].0.link.as_mut().unwrap().digest = digest;
        let (id, detail) = fault(&replaced);
        assert_eq!((id.as_str(), detail.contains("does not follow")), ("3", true), "{detail}");

        let mut unchained = log();
        unchained[0].0.link = None;
        assert_eq!(fault(&unchained).0, "2");
        unchained.iter_mut().for_each(|(record, _)| record.link = None);
        let old = check(&unchained);
        assert_eq!((old.checked, old.unchained, old.fault), (0, 4, None));
    }

    fn good_digest(log: &[(AuditRecord, String)], index: usize) -> String {
        log[index].0.link.clone().unwrap().digest
    }

    #[test]
    fn a_log_that_was_written_anew_does_not_have_the_known_digest() {
        let whole = log();
        let good = check(&whole[..2]);
        let known = |digest: &str| KnownRecord { position: 2, digest: digest.to_owned() };
        let mut same = good.clone();
        same.compare(&whole[1].0, &known(&good.digest));
        assert_eq!(same.fault, None);
        let mut other = good.clone();
        other.compare(&whole[1].0, &known(GENESIS));
        assert!(other.fault.unwrap().detail.contains("written anew"));
    }
}
