//! Revisions of the configuration, and the epochs that stand above them.

use crate::vocabulary::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Monotone number of the configuration. Every committed change increments it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// Returns the revision of the next committed change.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds that an epoch may be ahead of a reader's clock.
const MAX_AHEAD_MS: i64 = 24 * 60 * 60 * 1_000;

/// Unix second at which the table was last restored from a backup; 0 before the first restore. Revisions are counted anew from
/// the backup's, so only revisions of one epoch can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Returns the epoch of a restore at `now`: later than this one, also if a clock went backwards.
    pub fn restored(self, now: Timestamp) -> Self {
        let second = u64::try_from(now.millis() / 1_000).unwrap_or_default();
        Self(second.max(self.0.saturating_add(1)))
    }

    /// Returns the beginning of the epoch in milliseconds since 1970.
    pub fn millis(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX).saturating_mul(1_000)
    }

    /// Returns true if the epoch is more than a day ahead of `now` in milliseconds since 1970. Nothing later could follow it,
    /// so it is not followed itself.
    pub fn is_too_far_ahead(self, now: i64) -> bool {
        !self.is_first() && self.millis() > now.saturating_add(MAX_AHEAD_MS)
    }

    /// Returns true before the first restore. Documents leave that epoch out.
    pub fn is_first(&self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A revision together with its epoch, which stands above it: of two states of a deployment the one with the greater stamp is
/// the newer. It is written as `480`, and after a restore as `480e1767225600`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    /// The epoch.
    pub epoch: Epoch,
    /// The revision within the epoch.
    pub revision: Revision,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, revision } = self;
        if epoch.is_first() { revision.fmt(f) } else { write!(f, "{revision}e{epoch}") }
    }
}

/// Error for a string that is not a [`Stamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a revision, optionally followed by e and an epoch")]
pub struct InvalidStamp;

impl FromStr for Stamp {
    type Err = InvalidStamp;
    fn from_str(text: &str) -> Result<Self, InvalidStamp> {
        let number = |digits: &str| digits.parse().map_err(|_| InvalidStamp);
        let (revision, epoch) = match text.split_once('e') {
            None => (text, 0),
            Some((revision, epoch)) => (revision, number(epoch)?),
        };
        Ok(Self { epoch: Epoch(epoch), revision: Revision(number(revision)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(epoch: u64, revision: u64) -> Stamp {
        Stamp { epoch: Epoch(epoch), revision: Revision(revision) }
    }

    #[test]
    fn the_epoch_stands_above_the_revision() {
        assert!(stamp(1, 480) > stamp(0, 500) && stamp(1, 481) > stamp(1, 480));
        for (stamp, text) in [(stamp(0, 480), "480"), (stamp(1_767_225_600, 480), "480e1767225600")] {
            assert_eq!((stamp.to_string().as_str(), text.parse::<Stamp>()), (text, Ok(stamp)));
        }
        for text in ["", "e", "480e", "e1", "r480", "480e1e2"] {
            assert_eq!(text.parse::<Stamp>(), Err(InvalidStamp), "{text}");
        }
    }

    #[test]
    fn every_restore_has_a_later_epoch_and_none_of_the_far_future_is_followed() {
        let at = |second: i64| Timestamp::from_millis(second * 1_000 + 999);
        assert_eq!(Epoch(0).restored(at(1_767_225_600)), Epoch(1_767_225_600));
        assert_eq!(
            Epoch(1_767_225_600).restored(at(1_767_225_600)),
            Epoch(1_767_225_601),
            "twice in a second"
        );
        assert_eq!(Epoch(9).restored(at(-1)), Epoch(10), "a clock that is wrong");
        let day = Epoch(24 * 60 * 60);
        assert!(!day.is_too_far_ahead(0) && Epoch(day.0 + 1).is_too_far_ahead(0));
        assert!(Epoch(u64::MAX).is_too_far_ahead(i64::from(u32::MAX) * 1_000));
    }
}
