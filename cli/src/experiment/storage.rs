//! The storage that the evidence of an experiment takes, for people.

use cutover_core::experiment::EvidenceSize;
use std::fmt;

/// Largest item of evidence, in bytes.
const ITEM: u64 = 100_000;

/// Bytes for which a write takes two units, as part of a transaction.
const UNIT: u64 = 1_024;

/// Minutes of a month of 30 days, and list price of a million write units in dollars.
const MINUTES: f64 = 30.0 * 24.0 * 60.0;
const MILLION_UNITS: f64 = 0.625;

/// Storage of the evidence of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage {
    size: EvidenceSize,
}

impl Storage {
    /// Returns the storage of evidence that remembers these users, of whom the share `rate` converts.
    pub(super) fn of(users: u32, rate: f64) -> Self {
        Self { size: EvidenceSize::of(u64::from(users), rate) }
    }

    /// Returns the most storage of the hours of guardrails, beside evidence that remembers these users.
    pub(super) fn of_hours(users: u32) -> Self {
        Self { size: EvidenceSize::of_hours(users) }
    }

    /// Returns the number of items.
    fn items(self) -> u64 {
        self.size.stored.div_ceil(ITEM)
    }

    /// Returns the write units of one write. All of it is written.
    pub(super) fn write_units(self) -> u64 {
        2 * self.size.stored.div_ceil(UNIT)
    }

    /// Returns the dollars of a month in which there is news in every minute.
    fn dollars(self) -> f64 {
        self.write_units() as f64 * MINUTES * MILLION_UNITS / 1e6
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EvidenceSize { stored, in_memory } = self.size;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "some {:.1} MB in {} items, {} write units in a minute with news (up to ${:.0} a month), and {:.1} MB of the memory \
             of evaluate",
            megabytes(stored),
            self.items(),
            self.write_units(),
            self.dollars(),
            megabytes(in_memory)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_told_in_items_units_and_dollars() {
        let storage = Storage::of(44_000, 0.04);
        // 44 000 users of 19.44 bytes, and of 176 in memory.
        assert_eq!((storage.items(), storage.write_units()), (9, 1_672));
        let expected = "some 0.9 MB in 9 items, 1672 write units in a minute with news (up to $45 a month), and 7.7 MB of the memory \
                        of evaluate";
        assert_eq!(storage.to_string(), expected);
        // Two hours with 11 000 users of 10.6 bytes.
        assert_eq!(Storage::of_hours(44_000).write_units(), 456);
    }
}
