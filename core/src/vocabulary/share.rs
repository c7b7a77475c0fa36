//! Shares of traffic, exact to a ten-thousandth of a percent.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A share in parts per million, from 0 to 1 000 000.
///
/// Operators and documents use percent with at most four decimals; the two convert into each other
/// exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PartsPerMillion(u32);

/// Error for a number that is not a valid percentage.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidPercentage {
    /// Below 0, above 100, or not a number.
    #[error("{0} is not between 0 and 100 percent")]
    OutOfRange(f64),
    /// Finer than the ten-thousandth of a percent that a bucket can express.
    #[error("{0} has more than four decimals; the finest step is 0.0001 percent")]
    TooFine(f64),
}

impl PartsPerMillion {
    /// Share of 0 percent.
    pub const ZERO: Self = Self(0);
    /// Share of 100 percent.
    pub const ALL: Self = Self(1_000_000);

    /// Returns the share of a whole percentage, at most 100.
    pub const fn of_percent(percent: u32) -> Self {
        Self(if percent > 100 { 1_000_000 } else { percent * 10_000 })
    }

    /// Returns the share of this many parts per million, at most all of them.
    pub const fn of_parts(parts: u32) -> Self {
        Self(if parts > 1_000_000 { 1_000_000 } else { parts })
    }

    /// Converts a percentage from 0 to 100 with at most four decimals.
    ///
    /// # Errors
    ///
    /// Fails if the number is not between 0 and 100 or has more than four decimals.
    pub fn from_percent(percent: f64) -> Result<Self, InvalidPercentage> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(InvalidPercentage::OutOfRange(percent));
        }
        let scaled = percent * 10_000.0;
        let rounded = scaled.round();
        if (scaled - rounded).abs() > 1e-6 {
            return Err(InvalidPercentage::TooFine(percent));
        }
        // In range by the first check, and integral by the second.
        Ok(Self(rounded as u32))
    }

    /// Returns the share in percent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Returns the share in parts per million.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PartsPerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", self.percent()))
    }
}

impl Serialize for PartsPerMillion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.percent())
    }
}

impl<'de> Deserialize<'de> for PartsPerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_percent(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_survives_the_way_through_percent() {
        for ppm in 0..=1_000_000 {
            let share = PartsPerMillion(ppm);
            assert_eq!(PartsPerMillion::from_percent(share.percent()), Ok(share));
        }
    }

    #[test]
    fn refuses_what_a_bucket_cannot_express() {
        assert_eq!(PartsPerMillion::from_percent(100.1), Err(InvalidPercentage::OutOfRange(100.1)));
        assert_eq!(PartsPerMillion::from_percent(-0.1), Err(InvalidPercentage::OutOfRange(-0.1)));
        assert!(PartsPerMillion::from_percent(f64::NAN).is_err());
        assert_eq!(PartsPerMillion::from_percent(0.00001), Err(InvalidPercentage::TooFine(0.00001)));
        assert_eq!(PartsPerMillion::from_percent(0.0001), Ok(PartsPerMillion(1)));
    }
}
