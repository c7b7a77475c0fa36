//! All parts of the model together, the checks that hold at any time, and the end that everything comes to.

use crate::{
    arrivals::{Log, Shard},
    process::{Outcome, Outside, Process, Stage},
    setup::{FLAGS, Setup},
    table::Table,
};
use cutover_core::measurement::log::Progress;

/// Most calls of a fold that is left alone, before it must have read everything.
const PATIENCE: usize = 20_000;

/// Time after which every record has expired and every end may be forgotten, in milliseconds.
const LONG: i64 = 31 * 60 * 60 * 1_000;

/// The model.
#[derive(Debug, Clone)]
pub struct World {
    pub outside: Outside,
    pub processes: Vec<Process>,
}

impl World {
    /// Creates a model in which nothing has happened.
    pub fn new(setup: Setup) -> Self {
        let (log, table) = (Log::new(), Table::new(setup.flags));
        let outside = Outside { setup, now: 0, log, table, late: Vec::new(), blocked: Default::default() };
        Self { outside, processes: vec![Process::default(); setup.processes] }
    }

    /// Lets a process take the lease.
    pub fn start(&mut self, process: usize) {
        self.processes[process].start(&mut self.outside);
    }

    /// Ends a process, whatever it was about to do.
    pub fn kill(&mut self, process: usize) {
        self.processes[process] = Process::default();
    }

    /// Lets a process make its next call.
    ///
    /// # Errors
    ///
    /// Returns a description of the first ledger that does not hold what it claims.
    pub fn step(&mut self, index: usize, outcome: Outcome) -> Result<(), String> {
        let process = &mut self.processes[index];
        let writes = process.writes();
        process.step(&mut self.outside, outcome);
        // A ledger in memory is judged when all pages of a pass are read.
        if !matches!(process.stage, Stage::ReadPage(page) if page > 0) {
            process.check(&self.outside.log)?;
        }
        if writes { self.check() } else { Ok(()) }
    }

    /// Lets a late write take effect.
    ///
    /// # Errors
    ///
    /// Returns a description of the first ledger that does not hold what it claims.
    pub fn land(&mut self, index: usize) -> Result<(), String> {
        let write = self.outside.late.remove(index);
        self.outside.table.commit(write, self.outside.setup.rules);
        self.check()
    }

    /// Checks that every ledger in the table holds exactly the records that it claims: those before its own positions, and
    /// those before the cursor's or, while it is parked, before the positions at which it was parked.
    fn check(&self) -> Result<(), String> {
        let Outside { log, table, .. } = &self.outside;
        for (flag, ledger) in table.ledgers.iter().enumerate() {
            let promised = table.cursor.parked.get(FLAGS[flag]).unwrap_or(&table.cursor.positions);
            let claimed = log.tally(flag, |shard| shard.held(&ledger.own).max(shard.held(promised)));
            if ledger.content != claimed {
                return Err(format!("ledger {flag} holds {claimed:?} by its claim: {table:#?}"));
            }
        }
        Ok(())
    }

    /// Lets everything come to rest: what is late arrives, nothing fails any more, and one new fold is left alone.
    ///
    /// # Errors
    ///
    /// Returns a description of a ledger that does not hold what it claims, or of a fold that does not come to its end.
    pub fn rest(&mut self) -> Result<(), String> {
        while !self.outside.late.is_empty() {
            self.land(0)?;
        }
        self.outside.blocked = Default::default();
        for shard in &mut self.outside.log.shards {
            shard.is_listed = true;
        }
        for process in 0..self.processes.len() {
            self.kill(process);
        }
        self.start(0);
        for _ in 0..PATIENCE {
            self.step(0, Outcome::Done)?;
            if self.processes[0].stage == Stage::ReadPage(0) && self.is_at_rest() {
                return Ok(());
            }
        }
        Err(format!("a fold that was left alone does not come to its end: {:#?}", self.outside.table))
    }

    /// Returns true if every ledger holds every record, and the cursor stands at the end of every shard.
    fn is_at_rest(&self) -> bool {
        let Outside { log, table, .. } = &self.outside;
        let is_read = |shard: &Shard| {
            let read = &table.cursor.positions;
            let is_ended = matches!(read.of(&shard.name), Some(Progress::End(_)));
            shard.held(read) == shard.len() && (shard.is_open || is_ended)
        };
        let holds_all = |flag: usize| table.ledgers[flag].content == log.tally(flag, Shard::len);
        table.cursor.parked.is_empty()
            && log.shards.iter().all(is_read)
            && (0..table.ledgers.len()).all(holds_all)
    }

    /// Lets a long time pass after [`Self::rest`]: all records expire, and shards that have ended are not listed any more.
    pub fn pass_time(&mut self) {
        self.kill(0);
        self.outside.now += LONG;
        for shard in &mut self.outside.log.shards {
            shard.trimmed = shard.len();
            shard.is_listed = shard.is_open;
        }
    }
}
