//! What an isolate counts, and how it becomes batches. Exact, bounded in memory, and without an allocation per
//! request: a cell is made for the first request of its kind in a window.

use crate::{
    comparing::Comparing,
    wire::{Answer, Ended},
};
use cutover_core::{
    Arm, FlagName, Ruleset,
    batch::{Batch, Cell, Counts, SCHEMA, Units, WINDOW_MS},
    snapshot::Revision,
};
use std::rc::Rc;

/// Cells that wait to be sent. Beyond it the oldest windows become one, and after that outcomes are lost.
pub const MAX_CELLS: usize = 1_024;

/// Cells in one batch.
const MAX_BATCH_CELLS: usize = 200;

/// Assignment units in one batch.
const MAX_UNITS: usize = 1_024;

/// A request that was decided this long ago has ended, one way or the other.
const LONGEST_REQUEST_MS: i64 = 300_000;

/// The rules of a generation, until nothing that they decided can end any more.
#[derive(Debug)]
struct Generation {
    number: u32,
    rules: Rc<Ruleset>,
    retired_at: Option<i64>,
}

/// A sampled user: the generation, the flag's position, the arm and the user's hash.
type Unit = (u32, usize, Arm, u32);

/// What is counted and not yet sent.
#[derive(Debug, Default)]
pub struct Counting {
    generations: Vec<Generation>,
    /// Sorted by window (upper half) and kind with generation (lower half). There are few, the newest last.
    cells: Vec<(u64, Counts)>,
    units: Vec<Unit>,
    /// What was compared.
    pub comparing: Comparing,
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
        let number = Ended::tag(number);
        for held in &mut self.generations {
            held.retired_at = held.retired_at.or(Some(now));
        }
        let Self { generations, cells, .. } = self;
        generations.retain(|held| {
            let over = held.retired_at.is_some_and(|at| now - at > LONGEST_REQUEST_MS);
            let waited_for = || cells.iter().any(|(key, _)| kind_of(*key).generation() == held.number);
            held.number != number && (!over || waited_for())
        });
        self.generations.push(Generation { number, rules, retired_at: None });
    }

    /// The rules of a generation, until nothing that they decided can end any more.
    pub fn rules(&self, generation: u32) -> Option<&Rc<Ruleset>> {
        rules_of(&self.generations, Ended::tag(generation))
    }

    /// Counts outcomes of one window.
    pub fn add(&mut self, outcomes: impl Iterator<Item = Ended>, at: i64) {
        for ended in outcomes {
            let key = key(at, ended.kind);
            let mut place = self.cells.binary_search_by_key(&key, |(held, _)| *held);
            if place.is_err() {
                if !self.make_room() {
                    self.lose(1);
                    continue;
                }
                place = self.cells.binary_search_by_key(&key, |(held, _)| *held);
            }
            let at = place.unwrap_or_else(|at| {
                self.cells.insert(at, (key, Counts::default()));
                at
            });
            let Self { generations, cells, .. } = self;
            let label = rules_of(generations, ended.generation()).and_then(|rules| {
                let route = rules.routes().get(ended.answer().route()?)?;
                rules.canary(route.flag?)
            });
            if let Some((_, counts)) = cells.get_mut(at) {
                counts.add(ended.outcome(), ended.ms(), label);
            }
        }
    }

    /// Makes room for one more cell. `false` where there is none.
    fn make_room(&mut self) -> bool {
        while self.cells.len() >= MAX_CELLS {
            let windows = || self.cells.iter().map(|(key, _)| key >> 32);
            let Some(oldest) = windows().next() else { return true };
            let Some(next) = windows().find(|window| *window > oldest) else { return false };
            let later = self.cells.partition_point(|(key, _)| key >> 32 == oldest);
            let later = self.cells.split_off(later);
            for (key, counts) in std::mem::replace(&mut self.cells, later) {
                let moved = (next << 32) | (key & u64::from(u32::MAX));
                match self.cells.binary_search_by_key(&moved, |(held, _)| *held) {
                    Ok(at) => {
                        if let Some((_, held)) = self.cells.get_mut(at) {
                            held.merge(&counts);
                        }
                    }
                    Err(at) => self.cells.insert(at, (moved, counts)),
                }
            }
        }
        true
    }

    /// Notes a sampled user and the arm it was given.
    pub fn add_unit(&mut self, generation: u32, flag: usize, arm: Arm, unit: u32) {
        let unit = (Ended::tag(generation), flag, arm, unit);
        if self.units.len() < MAX_UNITS && !self.units.contains(&unit) {
            self.units.push(unit);
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.lost == 0 && self.comparing.is_empty()
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
        let taken = self.cells.len().min(MAX_BATCH_CELLS);
        let later = self.cells.split_off(taken);
        let taken = std::mem::replace(&mut self.cells, later);
        let cells = taken.into_iter().map(|(key, counts)| self.cell(key, counts)).collect();
        let units = self.take_units();
        let lost = std::mem::take(&mut self.lost);
        Batch {
            schema: SCHEMA,
            isolate: isolate.to_owned(),
            sequence,
            revision,
            idle: false,
            age_ms: 0,
            lost,
            cells,
            units,
            comparisons: self.comparing.take(),
        }
    }

    fn take_units(&mut self) -> Vec<Units> {
        let mut all: Vec<Units> = Vec::new();
        for (generation, flag, arm, unit) in std::mem::take(&mut self.units) {
            let Some(rules) = self.rules(generation) else { continue };
            let Some((flag, label)) = rules.flags().get(flag).zip(rules.canary(flag)) else { continue };
            let same = |held: &Units| held.run == label.run && held.step == label.step;
            if !all.last().is_some_and(same) {
                let (flag, run) = (flag.name.clone(), label.run.clone());
                all.push(Units { flag, run, step: label.step, new: Vec::new(), legacy: Vec::new() });
            }
            if let Some(last) = all.last_mut() {
                if arm == Arm::New { last.new.push(unit) } else { last.legacy.push(unit) }
            }
        }
        all
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

fn rules_of(generations: &[Generation], number: u32) -> Option<&Rc<Ruleset>> {
    // The newest is last, and nearly always the one that is asked for.
    generations.iter().rev().find(|held| held.number == number).map(|held| &held.rules)
}

fn kind_of(key: u64) -> Ended {
    // The lower half, on purpose.
    Ended { kind: key as u32, end: 0 }
}
