//! One record of the audit log: its item, its digest, and its changes, which may be larger than an
//! item.

use crate::{
    observe::hex::hex,
    store::{
        Role,
        audit::{place::AuditPlace, tail::AuditTail},
        error::StoreError,
        item::{Item, MAX_TEXT, NewItem, split_text},
        keys,
        keys::Key,
    },
};
use cutover_core::{Epoch, Revision, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Place of a record in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditLink {
    /// Position in the log, from 1.
    pub position: u64,
    /// Digest of the record before it.
    pub previous: String,
    /// Digest of this record.
    pub digest: String,
}

/// One entry of the audit log: the author, time, reason and content of a change.
#[derive(Debug, Clone, Serialize)]
pub struct AuditRecord {
    /// Place in the log, which is set when the record is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AuditPlace>,
    /// Revision that the change created, or at which a record without a change was written.
    pub revision: Revision,
    /// Epoch of that revision, which is set when the record is stored.
    #[serde(skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// Time of the change.
    pub at: Timestamp,
    /// Name of the caller who requested the change.
    pub actor: String,
    /// Role of that caller.
    pub role: Role,
    /// Operation, such as `flag.rollout`.
    pub action: String,
    /// Reason given for the change.
    pub reason: Option<String>,
    /// Name of the second person, if the change needed approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Changed objects, as `section/name`.
    pub objects: Vec<String>,
    /// Changes, field by field; null if they are stored in parts.
    pub changes: Value,
    /// Number of parts in which the changes are stored; `None` if they are in the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_parts: Option<u64>,
    /// Place in the chain; `None` for a record of an earlier version.
    #[serde(flatten)]
    pub link: Option<AuditLink>,
}

/// Returns the SHA-256 of a text in hexadecimal digits.
pub(super) fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// The items of a record that is the next one of the log.
pub(in crate::store) struct SealedRecord {
    /// The record itself.
    pub(in crate::store) item: NewItem,
    /// Digest of the record.
    pub(in crate::store) digest: String,
    /// Parts of changes that are too large for the record.
    pub(in crate::store) parts: Vec<NewItem>,
}

impl AuditRecord {
    /// Object of an emergency.
    pub const EMERGENCY: &'static str = "emergency";

    /// Object of a change that concerns every flag.
    pub const ALL_FLAGS: &'static str = "feature_flags/*";

    /// Creates a record without changes. Its revision is set on commit.
    pub fn new(at: Timestamp, actor: &str, role: Role, action: &str, reason: Option<String>) -> Self {
        Self {
            id: None,
            revision: Revision::default(),
            epoch: Epoch::default(),
            at,
            actor: actor.to_owned(),
            role,
            action: action.to_owned(),
            reason,
            approved_by: None,
            objects: Vec::new(),
            changes: Value::Null,
            changes_parts: None,
            link: None,
        }
    }

    /// Adds the changes.
    pub fn with_changes(mut self, mut objects: Vec<String>, changes: Value) -> Self {
        // An object may be touched twice, but is listed once.
        let mut seen = BTreeSet::new();
        objects.retain(|object| seen.insert(object.clone()));
        self.objects = objects;
        self.changes = changes;
        self
    }

    /// Returns the digest of the record as the next one after `previous`. It is the SHA-256 of a JSON
    /// array, which everybody can make again (docs/api.md).
    pub(super) fn digest(&self, position: u64, previous: &str, changes_digest: &str) -> String {
        // DynamoDB keeps a set without its order.
        let objects: BTreeSet<&String> = self.objects.iter().collect();
        let mut fields = json!([
            previous,
            position,
            self.revision,
            self.at,
            self.actor,
            self.role.as_str(),
            self.action,
            self.reason,
            self.approved_by,
            objects,
            changes_digest,
        ]);
        if let Some(fields) = fields.as_array_mut().filter(|_| !self.epoch.is_first()) {
            // Records from before the first restore have the digest that they had before epochs were known.
            fields.push(json!(self.epoch));
        }
        sha256(&fields.to_string())
    }

    /// Builds the items of the record as the next one of the log.
    pub(in crate::store) fn sealed(
        &self,
        place: AuditPlace,
        tail: &AuditTail,
    ) -> Result<SealedRecord, StoreError> {
        let changes = self.changes.to_string();
        let changes_digest = sha256(&changes);
        let position = tail.count + 1;
        let record = Self { revision: place.revision, epoch: tail.epoch, ..self.clone() };
        let digest = record.digest(position, &tail.digest, &changes_digest);
        let mut item = NewItem::new(&place.key())
            .number("revision", place.revision.0)
            .number(keys::EPOCH, tail.epoch.0)
            .text("at", self.at.to_string())
            .text("actor", self.actor.clone())
            .text("role", self.role.as_str())
            .text("action", self.action.clone())
            .texts("objects", self.objects.clone())
            .number("position", position)
            .text("previous", tail.digest.clone())
            .text("digest", digest.clone());
        for (name, value) in [("reason", &self.reason), ("approved_by", &self.approved_by)] {
            if let Some(value) = value {
                item = item.text(name, value.clone());
            }
        }
        if changes.len() <= MAX_TEXT {
            return Ok(SealedRecord { item: item.text("changes", changes), digest, parts: Vec::new() });
        }
        let parts = (0..)
            .zip(split_text(&changes))
            .map(|(part, text)| NewItem::new(&Key::audit_changes(&changes_digest, part)).text("data", text));
        let parts: Vec<NewItem> = parts.collect();
        let item = item.text("changes_digest", changes_digest).number("parts", parts.len() as u64);
        Ok(SealedRecord { item, digest, parts })
    }

    /// Reads a record.
    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let unexpected = |error: &dyn std::fmt::Display| StoreError::Item(format!("audit record: {error}"));
        let changes_parts = item.optional_number("parts");
        let link = item.optional_text("digest").map(|digest| -> Result<AuditLink, StoreError> {
            Ok(AuditLink {
                position: item.number("position")?,
                previous: item.text("previous")?.to_owned(),
                digest: digest.to_owned(),
            })
        });
        Ok(Self {
            id: AuditPlace::of_sort(item.text(keys::SORT)?),
            revision: Revision(item.number("revision")?),
            epoch: item.epoch(),
            at: item.text("at")?.parse().map_err(|error| unexpected(&error))?,
            actor: item.text("actor")?.to_owned(),
            role: item.text("role")?.parse().map_err(|error| unexpected(&error))?,
            action: item.text("action")?.to_owned(),
            reason: item.optional_text("reason").map(str::to_owned),
            approved_by: item.optional_text("approved_by").map(str::to_owned),
            objects: item.texts("objects"),
            changes: if changes_parts.is_none() { item.json("changes")? } else { Value::Null },
            changes_parts,
            link: link.transpose()?,
        })
    }
}

/// Returns the digest of the changes of a stored record; for changes in parts, the one that it names.
pub(super) fn changes_digest(item: &Item) -> Result<String, StoreError> {
    match item.optional_text("changes_digest") {
        Some(digest) => Ok(digest.to_owned()),
        None => item.text("changes").map(sha256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::tail::GENESIS;

    fn record(changes: Value) -> AuditRecord {
        let at = Timestamp::from_millis(1_700_000_000_123);
        AuditRecord::new(at, "ann", Role::Operator, "flag.rollout", Some("slowly".to_owned()))
            .with_changes(vec!["feature_flags/b".to_owned(), "feature_flags/a".to_owned()], changes)
    }

    fn tail() -> AuditTail {
        AuditTail { revision: Revision(6), epoch: Epoch(0), count: 41, digest: GENESIS.to_owned() }
    }

    #[test]
    fn a_stored_record_has_the_digest_that_it_names() {
        let place = AuditPlace::change(Revision(7));
        let sealed = record(json!([{ "fields": { "a": [1, 2] } }])).sealed(place, &tail()).unwrap();
        assert!(sealed.parts.is_empty());
        let item = Item::new(sealed.item.into_attributes()).unwrap();
        let read = AuditRecord::read(&item).unwrap();
        let link = read.link.clone().unwrap();
        assert_eq!((link.position, link.previous.as_str(), &link.digest), (42, GENESIS, &sealed.digest));
        let changes = changes_digest(&item).unwrap();
        assert_eq!(read.digest(42, GENESIS, &changes), link.digest);
        for altered in [
            AuditRecord { actor: "bob".to_owned(), ..read.clone() },
            AuditRecord { reason: None, ..read.clone() },
            AuditRecord { approved_by: Some("ann".to_owned()), ..read.clone() },
            AuditRecord { objects: Vec::new(), ..read.clone() },
            AuditRecord { at: Timestamp::from_millis(0), ..read.clone() },
        ] {
            assert_ne!(altered.digest(42, GENESIS, &changes), link.digest, "{altered:?}");
        }
        assert_ne!(read.digest(42, GENESIS, &sha256("[]")), link.digest);
    }

    #[test]
    fn the_digest_of_a_record_covers_its_epoch() {
        let digest = |epoch: u64| {
            let tail = AuditTail { epoch: Epoch(epoch), ..tail() };
            let sealed = record(json!([])).sealed(AuditPlace::change(Revision(7)), &tail).unwrap();
            let read = AuditRecord::read(&Item::new(sealed.item.into_attributes()).unwrap()).unwrap();
            assert_eq!(read.epoch, Epoch(epoch));
            assert_eq!(read.digest(42, GENESIS, &sha256("[]")), sealed.digest);
            sealed.digest
        };
        assert_ne!(digest(0), digest(1_767_225_600));
    }

    #[test]
    fn large_changes_are_kept_whole_in_parts() {
        let changes = json!([{ "fields": { "description": ["é".repeat(400_000), "short"] } }]);
        let sealed = record(changes.clone()).sealed(AuditPlace::change(Revision(7)), &tail()).unwrap();
        assert_eq!(sealed.parts.len(), 3);
        let item = Item::new(sealed.item.into_attributes()).unwrap();
        let read = AuditRecord::read(&item).unwrap();
        assert_eq!((&read.changes, read.changes_parts), (&Value::Null, Some(3)));
        let parts = sealed.parts.into_iter().map(|part| Item::new(part.into_attributes()).unwrap());
        let text: String = parts.map(|part| part.text("data").unwrap().to_owned()).collect();
        assert_eq!(sha256(&text), changes_digest(&item).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), changes);
    }
}
