//! A long random life of the model, from a seed: isolates send batches until they are stored, while everything fails.

use crate::{
    arrivals::{ISOLATES, Tally, counts},
    process::{Outcome, Stage},
    setup::Setup,
    world::World,
};
use cutover_core::statistics::split_mix::SplitMix64;

/// Puts of each isolate in a row.
const BURST: u32 = 2;

/// Most shards that are open at the same time.
const MOST_OPEN: usize = 4;

struct Episode {
    random: SplitMix64,
    world: World,
    /// Sequence of the batch that each isolate has under way.
    sequences: [u32; ISOLATES as usize],
    /// Puts that may arrive later.
    late: Vec<u32>,
    /// Batches of each isolate.
    batches: u32,
}

/// Lives through an episode. Returns the number of batches that were stored and, in the end, counted once in each of their flags.
///
/// # Errors
///
/// Returns a description of the first violation.
pub fn live(seed: u64, setup: Setup, batches: u32) -> Result<u64, String> {
    let mut episode = Episode {
        random: SplitMix64::new(seed),
        world: World::new(setup),
        sequences: Default::default(),
        late: Vec::new(),
        batches,
    };
    episode.live().map_err(|violation| format!("seed {seed}, {setup:?}: {violation}"))
}

impl Episode {
    fn below(&mut self, bound: usize) -> usize {
        (self.random.draw() % bound as u64) as usize
    }

    fn live(&mut self) -> Result<u64, String> {
        self.live_until(self.batches / 2)?;
        self.world.rest()?;
        self.world.pass_time();
        self.live_until(self.batches)?;
        for batch in std::mem::take(&mut self.late) {
            self.world.outside.log.put(batch);
        }
        self.world.rest()?;
        let stored = self.world.outside.log.stored();
        let all = self.batches * ISOLATES;
        for (flag, ledger) in self.world.outside.table.ledgers.iter().enumerate() {
            let mut expected = Tally::default();
            for batch in 0..all {
                expected.add(counts(batch, flag).unwrap_or_default());
            }
            if ledger.content != expected || stored != all as usize {
                return Err(format!("flag {flag}: {:?} instead of {expected:?}", ledger.content));
            }
        }
        Ok(stored as u64)
    }

    fn live_until(&mut self, sequence: u32) -> Result<(), String> {
        while self.sequences.iter().any(|sent| *sent < sequence) {
            match self.below(100) {
                0..27 => self.send(sequence),
                27..85 => self.fold()?,
                85..88 => {
                    let process = self.below(self.world.processes.len());
                    self.world.kill(process);
                }
                88..91 => self.land()?,
                91..93 => {
                    if let Some(batch) = self.late.pop() {
                        self.world.outside.log.put(batch);
                    }
                }
                93 => self.split(),
                94..98 => {
                    let index = self.below(self.world.outside.log.shards.len());
                    let shard = &mut self.world.outside.log.shards[index];
                    shard.is_listed = !shard.is_listed;
                }
                98 => {
                    let flag = self.below(self.world.outside.setup.flags);
                    self.world.outside.blocked[flag] = !self.world.outside.blocked[flag];
                }
                _ => self.world.outside.now += 60_000,
            }
        }
        Ok(())
    }

    /// Lets every isolate put its batch a few times. One whose put was answered goes on to its next batch.
    fn send(&mut self, sequence: u32) {
        for number in 0..BURST * ISOLATES {
            let isolate = number % ISOLATES;
            let sent = self.sequences[isolate as usize];
            if sent >= sequence {
                continue;
            }
            let batch = sent * ISOLATES + isolate;
            match self.below(20) {
                // Never arrives.
                0 => {}
                1 => self.late.push(batch),
                // Stored, and not answered: sent again to another ingest instance.
                2..5 => self.world.outside.log.put(batch),
                _ => {
                    self.world.outside.log.put(batch);
                    self.sequences[isolate as usize] += 1;
                }
            }
        }
    }

    /// Lets a process make a few calls.
    fn fold(&mut self) -> Result<(), String> {
        let process = self.below(self.world.processes.len());
        if self.world.processes[process].stage == Stage::Idle {
            if self.below(6) == 0 {
                self.world.start(process);
            }
            return Ok(());
        }
        for _ in 0..=self.below(8) {
            let outcome = match (self.world.processes[process].writes(), self.below(20)) {
                (false, 0..3) => Outcome::Short,
                (true, 0) => Outcome::Lost,
                (true, 1) => Outcome::Unanswered,
                (true, 2) => Outcome::Late,
                _ => Outcome::Done,
            };
            self.world.step(process, outcome)?;
        }
        Ok(())
    }

    /// Lets a late write take effect, or not.
    fn land(&mut self) -> Result<(), String> {
        let late = self.world.outside.late.len();
        if late == 0 {
            return Ok(());
        }
        let index = self.below(late);
        if self.below(4) == 0 {
            self.world.outside.late.remove(index);
            return Ok(());
        }
        self.world.land(index)
    }

    /// Ends an open shard, which one or two others follow.
    fn split(&mut self) {
        let shards = &self.world.outside.log.shards;
        let open: Vec<usize> = (0..shards.len()).filter(|index| shards[*index].is_open).collect();
        let index = open[self.below(open.len())];
        let children = if open.len() < MOST_OPEN { 1 + self.below(2) } else { 1 };
        self.world.outside.log.split(index, children);
    }
}
