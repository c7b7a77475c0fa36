//! Places of records in the audit log.

use crate::store::keys::Key;
use cutover_core::Revision;
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Most digits of a number in a place, which the sort keys have room for.
const MAX_DIGITS: usize = 12;

/// Place of a record in the audit log: `12` for the change that created revision 12, and `12.40` for
/// the 40th record of the log, which was written at revision 12 and created none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPlace {
    /// Revision at which the record was written.
    pub revision: Revision,
    /// Position in the log of a record that created no revision.
    pub note: Option<u64>,
}

impl AuditPlace {
    /// Returns the place of a change.
    pub fn change(revision: Revision) -> Self {
        Self { revision, note: None }
    }

    /// Returns the key of the record.
    pub fn key(self) -> Key {
        match self.note {
            None => Key::audit(self.revision),
            Some(position) => Key::audit_note(self.revision, position),
        }
    }

    /// Parses the sort key of a record.
    pub(super) fn of_sort(sort: &str) -> Option<Self> {
        match sort.split_once('#') {
            None => Some(Self::change(Revision(sort.parse().ok()?))),
            Some((revision, note)) => {
                Some(Self { revision: Revision(revision.parse().ok()?), note: Some(note.parse().ok()?) })
            }
        }
    }
}

impl fmt::Display for AuditPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.note {
            None => write!(f, "{}", self.revision),
            Some(position) => write!(f, "{}.{position}", self.revision),
        }
    }
}

impl FromStr for AuditPlace {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let number = |digits: &str| -> Result<u64, InvalidPlace> {
            let is_number = digits.len() <= MAX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_number).ok_or(InvalidPlace)
        };
        let (revision, note) = match text.split_once('.') {
            None => (text, None),
            Some((revision, note)) => (revision, Some(number(note)?)),
        };
        Ok(Self { revision: Revision(number(revision)?), note })
    }
}

impl Serialize for AuditPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no place in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the id of a record, such as 12 or 12.40")]
pub struct InvalidPlace;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written_and_sort_as_their_keys() {
        let places: Vec<AuditPlace> =
            ["9", "12", "12.13", "12.114", "13"].iter().map(|text| text.parse().unwrap()).collect();
        let keys: Vec<String> = places.iter().map(|place| place.key().sort).collect();
        assert!(places.is_sorted() && keys.is_sorted(), "{keys:?}");
        for (place, key) in places.iter().zip(&keys) {
            assert_eq!(place.to_string().parse(), Ok(*place));
            assert_eq!(AuditPlace::of_sort(key), Some(*place));
        }
        for bad in ["", "x", "12.", ".1", "1.2.3", "-1", "+1", "1234567890123"] {
            assert_eq!(bad.parse::<AuditPlace>(), Err(InvalidPlace), "{bad}");
        }
    }
}
