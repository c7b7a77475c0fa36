//! A process that folds: it takes the lease, reads the cursor and then the ledgers, reads pages of the log, writes the
//! ledgers that have changed, and moves the cursor. Each step is one call, which can fail in several ways.

use crate::{
    arrivals::{Log, Shard, counts},
    setup::{FLAGS, Rules, Setup},
    table::{Change, Cursor, Ledger, Table, Write},
};
use cutover_core::measurement::log::{Fold, Positions, Progress};

/// Everything outside of the processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outside {
    pub setup: Setup,
    /// The time, in milliseconds.
    pub now: i64,
    pub log: Log,
    pub table: Table,
    /// Writes that their processes took for failed, and that may still take effect.
    pub late: Vec<Write>,
    /// Flags whose ledgers cannot be written for a while.
    pub blocked: [bool; FLAGS.len()],
}

/// The fate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has its effect, and the process learns of it.
    Done,
    /// A page is short, or empty, although more follows.
    Short,
    /// A write has no effect, and nothing is heard of it.
    Lost,
    /// A write has its effect, and nothing is heard of it.
    Unanswered,
    /// Nothing is heard of a write, which may have its effect later.
    Late,
}

/// The next call of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stage {
    /// None: the process does not run.
    #[default]
    Idle,
    ReadCursor,
    /// Reads the ledger of the flag with this index.
    ReadLedger(usize),
    /// Reads a page of the shard with this index.
    ReadPage(usize),
    /// Reads the parked ledger of the flag with this index, and the log after its positions.
    ReadApart(usize),
    /// Writes this parked ledger.
    WriteApart(usize),
    /// Writes the first ledger that has changed.
    WriteLedger,
    WriteCursor,
}

impl Outside {
    /// Sends a write. Returns true if it took effect, false if it was refused, and `None` if nothing is heard of it.
    fn write(&mut self, write: Write, outcome: Outcome) -> Option<bool> {
        if let Change::Ledger(flag, _) = &write.change
            && self.blocked[*flag]
        {
            return None;
        }
        match outcome {
            Outcome::Done | Outcome::Short => Some(self.table.commit(write, self.setup.rules)),
            Outcome::Lost => None,
            Outcome::Unanswered => {
                self.table.commit(write, self.setup.rules);
                None
            }
            Outcome::Late => {
                self.late.push(write);
                None
            }
        }
    }

    /// Returns the positions as a process writes them.
    fn written(&self, positions: &Positions) -> Positions {
        if self.setup.rules != Rules::ForgetsUnlisted {
            return positions.clone();
        }
        let (listed, mut written) = (self.log.listed(), Positions::default());
        for (shard, progress) in positions.iter().filter(|(shard, _)| listed.contains(*shard)) {
            written.note(shard, progress.clone());
        }
        written
    }
}

/// A process that folds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Process {
    pub stage: Stage,
    term: u32,
    /// The cursor as it was read or last written.
    cursor: Cursor,
    /// The ledgers in memory, by flag; `None` if the ledger must be read again.
    ledgers: Vec<Option<Ledger>>,
    fold: Fold,
    /// Positions that a parked ledger holds in memory.
    apart: Positions,
    /// Failed writes of each ledger in a row.
    failures: [u8; FLAGS.len()],
}

impl Process {
    /// Takes the lease.
    pub fn start(&mut self, outside: &mut Outside) {
        outside.table.term += 1;
        self.begin(outside.table.term, outside.setup);
    }

    /// Forgets everything but the term.
    fn begin(&mut self, term: u32, setup: Setup) {
        let stage = match setup.rules {
            Rules::LedgersFirst => Stage::ReadLedger(0),
            _ => Stage::ReadCursor,
        };
        *self = Self { stage, term, ledgers: vec![None; setup.flags], ..Self::default() };
    }

    /// Returns true if the next call is a write.
    pub fn writes(&self) -> bool {
        matches!(self.stage, Stage::WriteApart(_) | Stage::WriteLedger | Stage::WriteCursor)
    }

    /// Makes the next call.
    pub fn step(&mut self, outside: &mut Outside, outcome: Outcome) {
        match self.stage {
            Stage::Idle => {}
            Stage::ReadCursor => {
                self.cursor = outside.table.cursor.clone();
                if self.ledgers.iter().all(Option::is_some) {
                    self.begin_fold();
                } else {
                    self.stage = Stage::ReadLedger(0);
                }
            }
            Stage::ReadLedger(flag) => {
                self.ledgers[flag] = Some(outside.table.ledgers[flag].clone());
                if flag + 1 < outside.setup.flags {
                    self.stage = Stage::ReadLedger(flag + 1);
                } else if outside.setup.rules == Rules::LedgersFirst {
                    self.stage = Stage::ReadCursor;
                } else {
                    self.begin_fold();
                }
            }
            Stage::ReadPage(index) => self.read_page(outside, index, outcome),
            Stage::ReadApart(flag) => self.read_apart(outside, flag, outcome),
            Stage::WriteApart(flag) => self.write_apart(outside, flag, outcome),
            Stage::WriteLedger => self.write_ledger(outside, outcome),
            Stage::WriteCursor => self.write_cursor(outside, outcome),
        }
    }

    fn begin_fold(&mut self) {
        self.fold = Fold::begin(self.cursor.positions.clone(), self.cursor.parked.clone());
        for (name, ledger) in FLAGS.iter().zip(self.ledgers.iter().flatten()) {
            self.fold.has_ledger(name, &ledger.own);
        }
        self.stage = Stage::ReadPage(0);
    }

    fn read_page(&mut self, outside: &Outside, index: usize, outcome: Outcome) {
        let shard = &outside.log.shards[index];
        let is_ended = matches!(self.fold.read().of(&shard.name), Some(Progress::End(_)));
        if shard.is_listed && !is_ended {
            let from = shard.held(self.fold.read());
            let whole = shard.len().min(from + outside.setup.page);
            let to = if outcome == Outcome::Short { from + (whole - from) / 2 } else { whole };
            for record in from..to {
                self.count(shard, record, outside.setup.flags);
            }
            if let Some(progress) = shard.progress(from, to, outside.now) {
                self.fold.has_read(&shard.name, progress);
            }
        }
        if index + 1 < outside.log.shards.len() {
            self.stage = Stage::ReadPage(index + 1);
        } else {
            self.fold.forget(&outside.log.listed(), outside.now);
            self.catch_up_or_write(outside, 0);
        }
    }

    /// Counts a record in the ledgers that take it.
    fn count(&mut self, shard: &Shard, record: usize, flags: usize) {
        let position = Shard::position(record);
        for (flag, name) in FLAGS.iter().enumerate().take(flags) {
            let Some(counts) = counts(shard.batch(record), flag) else { continue };
            if self.fold.takes(name, &shard.name, &position) {
                self.fold.counted(name);
                let ledger = self.ledgers[flag].as_mut();
                ledger.expect("a ledger that is not parked is in memory").content.add(counts);
            }
        }
    }

    /// Goes on with the next parked ledger from a flag on, or else with the ledgers that have changed.
    fn catch_up_or_write(&mut self, outside: &Outside, flag: usize) {
        let parked = (flag..outside.setup.flags).find(|flag| self.fold.is_parked(FLAGS[*flag]));
        match parked {
            Some(flag) => self.stage = Stage::ReadApart(flag),
            None => self.write_or_read(outside),
        }
    }

    /// Goes on with a ledger that has changed, with the cursor after the last, and with the next pass if nothing is new.
    fn write_or_read(&mut self, outside: &Outside) {
        self.stage = match self.next_cursor(outside) {
            None => Stage::WriteLedger,
            Some(next) if next != self.cursor => Stage::WriteCursor,
            Some(_) => Stage::ReadPage(0),
        };
    }

    /// Returns the cursor to be written; `None` while a ledger has changed.
    fn next_cursor(&self, outside: &Outside) -> Option<Cursor> {
        let (positions, parked) = self.fold.cursor()?;
        Some(Cursor { version: self.cursor.version, positions: outside.written(&positions), parked })
    }

    fn read_apart(&mut self, outside: &Outside, flag: usize, outcome: Outcome) {
        let name = FLAGS[flag];
        let mut ledger = outside.table.ledgers[flag].clone();
        self.fold.has_ledger(name, &ledger.own);
        if outside.setup.rules == Rules::UnparkedTooSoon {
            let read = self.fold.read().clone();
            self.fold.has_ledger(name, &read);
        }
        self.apart = self.fold.own(name);
        for shard in &outside.log.shards {
            let from = shard.held(&self.apart);
            let whole = shard.held(self.fold.read()).max(from);
            let to = if outcome == Outcome::Short { from + (whole - from) / 2 } else { whole };
            for record in from..to {
                let position = Shard::position(record);
                if let Some(counts) = counts(shard.batch(record), flag)
                    && self.fold.takes_apart(name, &shard.name, &position)
                {
                    ledger.content.add(counts);
                }
            }
            let read = self.fold.read().of(&shard.name).cloned().filter(|_| to == whole);
            let progress = read.or_else(|| (to > from).then(|| Progress::Through(Shard::position(to - 1))));
            if let Some(progress) = progress {
                self.apart.note(&shard.name, progress);
            }
        }
        self.ledgers[flag] = Some(ledger);
        if self.apart == self.fold.own(name) {
            self.catch_up_or_write(outside, flag + 1);
        } else {
            self.stage = Stage::WriteApart(flag);
        }
    }

    fn write_apart(&mut self, outside: &mut Outside, flag: usize, outcome: Outcome) {
        let read = self.ledgers[flag].clone().expect("it was read");
        let ledger = Ledger { own: outside.written(&self.apart), ..read };
        match self.write(outside, Change::Ledger(flag, ledger), outcome) {
            Some(true) => {
                self.fold.has_ledger(FLAGS[flag], &self.apart);
                self.wrote(flag);
            }
            Some(false) => return self.begin(self.term, outside.setup),
            None => self.ledgers[flag] = None,
        }
        self.catch_up_or_write(outside, flag + 1);
    }

    fn write_ledger(&mut self, outside: &mut Outside, outcome: Outcome) {
        let changed = self.fold.changed();
        let flag = FLAGS.iter().position(|flag| changed.first().is_some_and(|name| name == flag));
        let flag = flag.expect("a ledger has changed");
        let read = self.ledgers[flag].clone().expect("it has changed in memory");
        let own = outside.written(&self.fold.positions_of(FLAGS[flag]));
        match self.write(outside, Change::Ledger(flag, Ledger { own, ..read }), outcome) {
            Some(true) => {
                self.fold.wrote(FLAGS[flag]);
                self.wrote(flag);
            }
            Some(false) => return self.begin(self.term, outside.setup),
            None => {
                self.failures[flag] += 1;
                if self.failures[flag] >= outside.setup.tries {
                    self.failures[flag] = 0;
                    self.fold.park(FLAGS[flag]);
                    self.ledgers[flag] = None;
                }
            }
        }
        self.write_or_read(outside);
    }

    fn write_cursor(&mut self, outside: &mut Outside, outcome: Outcome) {
        let cursor = self.next_cursor(outside).expect("all ledgers are written");
        match self.write(outside, Change::Cursor(cursor.clone()), outcome) {
            Some(true) => {
                self.fold.wrote_cursor();
                self.cursor = Cursor { version: cursor.version + 1, ..cursor };
            }
            Some(false) => return self.begin(self.term, outside.setup),
            None => {}
        }
        self.stage = Stage::ReadPage(0);
    }

    fn write(&self, outside: &mut Outside, change: Change, outcome: Outcome) -> Option<bool> {
        outside.write(Write { term: self.term, change }, outcome)
    }

    /// Notes that a ledger was written.
    fn wrote(&mut self, flag: usize) {
        self.failures[flag] = 0;
        if let Some(ledger) = &mut self.ledgers[flag] {
            ledger.version += 1;
        }
    }

    /// Checks that every ledger in memory from which a decision could be made holds exactly the records that it claims.
    ///
    /// # Errors
    ///
    /// Returns a description of the first that does not.
    pub fn check(&self, log: &Log) -> Result<(), String> {
        if matches!(self.stage, Stage::Idle | Stage::ReadCursor | Stage::ReadLedger(_)) {
            return Ok(());
        }
        for (flag, ledger) in self.ledgers.iter().enumerate() {
            if self.fold.is_parked(FLAGS[flag]) {
                continue;
            }
            let ledger = ledger.as_ref().ok_or_else(|| format!("ledger {flag} is not in memory"))?;
            let own = self.fold.own(FLAGS[flag]);
            let claimed = log.tally(flag, |shard| shard.held(&own).max(shard.held(self.fold.read())));
            if ledger.content != claimed {
                return Err(format!(
                    "ledger {flag} in memory: {:?} instead of {claimed:?}, own {own:?}, read {:?}",
                    ledger.content,
                    self.fold.read()
                ));
            }
        }
        Ok(())
    }
}
