//! The ledgers, the cursor and the lease, written by conditional transactions.

use crate::{arrivals::Tally, setup::Rules};
use cutover_core::measurement::log::Positions;
use std::collections::BTreeMap;

/// A ledger, as it is read, and as it is written on condition of the version that was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Ledger {
    pub version: u32,
    pub own: Positions,
    pub content: Tally,
}

/// The cursor with the parked ledgers, as it is read, and as it is written on condition of the version that was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Cursor {
    pub version: u32,
    pub positions: Positions,
    pub parked: BTreeMap<String, Positions>,
}

/// The object that a transaction writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// The ledger of the flag with this index.
    Ledger(usize, Ledger),
    Cursor(Cursor),
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Write {
    /// Term of the process that writes.
    pub term: u32,
    pub change: Change,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Table {
    /// Term of the lease.
    pub term: u32,
    pub cursor: Cursor,
    pub ledgers: Vec<Ledger>,
}

impl Table {
    /// Creates a table with an empty ledger for each flag.
    pub fn new(flags: usize) -> Self {
        Self { term: 0, cursor: Cursor::default(), ledgers: vec![Ledger::default(); flags] }
    }

    /// Writes, if the conditions hold. Returns true if they did.
    pub fn commit(&mut self, write: Write, rules: Rules) -> bool {
        if write.term != self.term && rules != Rules::WithoutTerms {
            return false;
        }
        let held = match &write.change {
            Change::Ledger(flag, ledger) => (self.ledgers[*flag].version, ledger.version),
            Change::Cursor(cursor) => (self.cursor.version, cursor.version),
        };
        if held.0 != held.1 && rules != Rules::WithoutVersions {
            return false;
        }
        let version = held.0 + 1;
        match write.change {
            Change::Ledger(flag, ledger) => self.ledgers[flag] = Ledger { version, ..ledger },
            Change::Cursor(cursor) => self.cursor = Cursor { version, ..cursor },
        }
        true
    }
}
