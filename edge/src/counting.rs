//! What an isolate counts, and how it becomes batches. Exact, bounded in memory, and without an allocation per
//! request: a cell is made for the first request of its kind in a window.

use crate::wire::{Answer, Ended};
use cutover_core::{
    Arm, FlagName, Ruleset,
    batch::{Batch, Cell, Counts, SCHEMA, Units, WINDOW_MS},
    snapshot::Revision,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Cells that wait to be sent. Beyond it the oldest windows become one, and after that outcomes are lost.
pub const MAX_CELLS: usize = 1_024;

/// Cells in one batch.
const MAX_BATCH_CELLS: usize = 200;

/// Assignment units in one batch, per flag and arm.
const MAX_UNITS: usize = 256;

/// A request that was decided this long ago has ended, one way or the other.
const LONGEST_REQUEST_MS: i64 = 300_000;

/// The rules of a generation, until nothing that they decided can end any more.
#[derive(Debug)]
struct Generation {
    number: u32,
    rules: Rc<Ruleset>,
    retired_at: Option<i64>,
}

/// What is counted and not yet sent.
#[derive(Debug, Default)]
pub struct Counting {
    generations: Vec<Generation>,
    /// By window (upper half) and kind with generation (lower half).
    cells: BTreeMap<u64, Counts>,
    units: BTreeMap<(u32, usize), [BTreeSet<u32>; 2]>,
    lost: u64,
    /// Outcomes lost since the isolate began.
    pub lost_in_all: u64,
}

fn key(window: i64, kind: u32) -> u64 {
    // Windows since 1970 fit into 32 bits until the year 3331.
    (u64::try_from(window / WINDOW_MS).unwrap_or_default() << 32) | u64::from(kind)
}

fn window_of(key: u64) -> i64 {
    i64::try_from(key >> 32).unwrap_or_default() * WINDOW_MS
}

impl Counting {
    /// New rules are in force from now on, under this number.
    pub fn begin_generation(&mut self, number: u32, rules: Rc<Ruleset>, now: i64) {
        let mask = (1 << Ended::GENERATION_BITS) - 1;
        let number = number & mask;
        for held in &mut self.generations {
            held.retired_at = held.retired_at.or(Some(now));
        }
        let waiting: BTreeSet<u32> = self.cells.keys().map(|key| kind_of(*key).generation()).collect();
        self.generations.retain(|held| {
            let over = held.retired_at.is_some_and(|at| now - at > LONGEST_REQUEST_MS);
            held.number != number && (!over || waiting.contains(&held.number))
        });
        self.generations.push(Generation { number, rules, retired_at: None });
    }

    fn rules(&self, generation: u32) -> Option<&Rc<Ruleset>> {
        // The newest is last, and nearly always the one that is asked for.
        self.generations.iter().rev().find(|held| held.number == generation).map(|held| &held.rules)
    }

    /// Counts outcomes of one window.
    pub fn add(&mut self, outcomes: impl Iterator<Item = Ended>, at: i64) {
        for ended in outcomes {
            let key = key(at, ended.kind);
            if !self.cells.contains_key(&key) && !self.make_room() {
                self.lost += 1;
                self.lost_in_all += 1;
                continue;
            }
            let Self { generations, cells, .. } = self;
            let rules = generations.iter().rev().find(|held| held.number == ended.generation());
            let label = rules.and_then(|held| {
                let route = held.rules.routes().get(ended.answer().route()?)?;
                held.rules.canary(route.flag?)
            });
            cells.entry(key).or_default().add(ended.outcome(), ended.ms(), label);
        }
    }

    /// Makes room for one more cell. `false` where there is none.
    fn make_room(&mut self) -> bool {
        while self.cells.len() >= MAX_CELLS {
            let Some(oldest) = self.cells.keys().next().map(|key| key >> 32) else { return true };
            let Some(next) = self.cells.keys().map(|key| key >> 32).find(|window| *window > oldest) else {
                return false;
            };
            let later = self.cells.split_off(&(next << 32));
            for (key, counts) in std::mem::replace(&mut self.cells, later) {
                self.cells.entry((next << 32) | (key & u64::from(u32::MAX))).or_default().merge(&counts);
            }
        }
        true
    }

    /// Notes a sampled user and the arm it was given.
    pub fn add_unit(&mut self, generation: u32, flag: usize, arm: Arm, unit: u32) {
        let generation = generation & ((1 << Ended::GENERATION_BITS) - 1);
        let arms = self.units.entry((generation, flag)).or_default();
        let [new, legacy] = arms;
        let units = if arm == Arm::New { new } else { legacy };
        if units.len() < MAX_UNITS {
            units.insert(unit);
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.lost == 0
    }

    /// How many cells wait.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Outcomes that could never be delivered are lost, and said to be.
    pub fn lose(&mut self, outcomes: u64) {
        self.lost += outcomes;
        self.lost_in_all += outcomes;
    }

    /// Takes the oldest cells out, as a batch.
    pub fn take(&mut self, isolate: &str, sequence: u64, revision: Revision) -> Batch {
        let mut cells = Vec::new();
        while cells.len() < MAX_BATCH_CELLS
            && let Some((key, counts)) = self.cells.pop_first()
        {
            cells.push(self.cell(key, counts));
        }
        let units = std::mem::take(&mut self.units);
        let units = units.into_iter().filter_map(|((generation, flag), [new, legacy])| {
            let rules = self.rules(generation)?;
            let label = rules.canary(flag)?;
            Some(Units {
                flag: rules.flags().get(flag)?.name.clone(),
                run: label.run.clone(),
                step: label.step,
                new: new.into_iter().collect(),
                legacy: legacy.into_iter().collect(),
            })
        });
        let units = units.collect();
        let lost = std::mem::take(&mut self.lost);
        Batch {
            schema: SCHEMA,
            isolate: isolate.to_owned(),
            sequence,
            revision,
            idle: false,
            lost,
            cells,
            units,
        }
    }

    fn cell(&self, key: u64, counts: Counts) -> Cell {
        let ended = kind_of(key);
        let answer: Answer = ended.answer();
        let rules = self.rules(ended.generation());
        let route = rules.and_then(|rules| rules.routes().get(answer.route()?));
        let position = route.and_then(|route| route.flag);
        let flag: Option<FlagName> =
            rules.zip(position).and_then(|(rules, at)| rules.flags().get(at)).map(|flag| flag.name.clone());
        let canary = rules.zip(position).and_then(|(rules, at)| rules.canary(at));
        Cell {
            flag,
            route: route.map(|route| route.id.clone()),
            arm: answer.arm(),
            reason: answer.reason(),
            revision: rules.map(|rules| rules.revision()).unwrap_or_default(),
            canary: canary.map(|label| (label.run.clone(), label.step)),
            window: window_of(key),
            counts,
        }
    }
}

fn kind_of(key: u64) -> Ended {
    // The lower half, on purpose.
    Ended { kind: key as u32, end: 0 }
}
