//! The outcomes that an isolate counts, and the batches made of them. Exact, bounded in memory, and
//! without an allocation per request: a cell is created for the first request of its kind in a
//! window.

use crate::{
    comparison_queue::ComparisonQueue,
    wire::{PackedDecision, PackedOutcome},
};
use cutover_core::{
    Arm, FlagName, Ruleset,
    measurement::{
        batch::{AssignmentUnits, Batch, Cell, SCHEMA, WINDOW_MS},
        counts::Counts,
    },
    vocabulary::revision::Revision,
};
use std::rc::Rc;

/// Most cells waiting to be sent. Beyond it the oldest windows are merged; if only one window is
/// left, further outcomes are lost.
pub const MAX_CELLS: usize = 1_024;

/// Most cells in one batch.
const MAX_BATCH_CELLS: usize = 200;

/// Most assignment units in one batch.
const MAX_UNITS: usize = 1_024;

/// Milliseconds after which every decided request has ended, one way or the other.
const LONGEST_REQUEST_MS: i64 = 300_000;

/// The rules of a generation, kept until no request that they decided can be under way.
#[derive(Debug)]
struct Generation {
    number: u32,
    rules: Rc<Ruleset>,
    retired_at: Option<i64>,
}

/// A sampled user: the generation, the flag's position, the arm and the user's hash.
type Unit = (u32, usize, Arm, u32);

/// Outcomes that are counted and not yet sent.
#[derive(Debug, Default)]
pub struct Counting {
    generations: Vec<Generation>,
    /// Sorted by window (upper half) and kind with generation (lower half), so the newest are last.
    /// There are few.
    cells: Vec<(u64, Counts)>,
    units: Vec<Unit>,
    /// Comparisons that are counted and not yet sent.
    pub comparing: ComparisonQueue,
    lost: u64,
    /// Number of outcomes lost since the isolate began.
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
    /// Puts new rules in force under a generation number.
    pub fn begin_generation(&mut self, number: u32, rules: Rc<Ruleset>, now: i64) {
        let number = PackedOutcome::tag(number);
        for held in &mut self.generations {
            held.retired_at = held.retired_at.or(Some(now));
        }
        let Self { generations, cells, .. } = self;
        generations.retain(|held| {
            let over = held.retired_at.is_some_and(|retired| now - retired > LONGEST_REQUEST_MS);
            let waited_for = || cells.iter().any(|(key, _)| kind_of(*key).generation() == held.number);
            held.number != number && (!over || waited_for())
        });
        self.generations.push(Generation { number, rules, retired_at: None });
    }

    /// Returns the rules of a generation, as long as requests that they decided can be under way.
    pub fn rules(&self, generation: u32) -> Option<&Rc<Ruleset>> {
        rules_of(&self.generations, PackedOutcome::tag(generation))
    }

    /// Counts outcomes in the window of the given time.
    pub fn add(&mut self, outcomes: impl Iterator<Item = PackedOutcome>, now: i64) {
        for ended in outcomes {
            let key = key(now, ended.kind);
            let mut place = self.cells.binary_search_by_key(&key, |(held, _)| *held);
            if place.is_err() {
                if !self.make_room() {
                    self.lose(1);
                    continue;
                }
                place = self.cells.binary_search_by_key(&key, |(held, _)| *held);
            }
            let index = place.unwrap_or_else(|index| {
                self.cells.insert(index, (key, Counts::default()));
                index
            });
            let Self { generations, cells, .. } = self;
            let label = rules_of(generations, ended.generation()).and_then(|rules| {
                let route = rules.routes().get(ended.answer().route()?)?;
                rules.canary(route.flag?)
            });
            if let Some((_, counts)) = cells.get_mut(index) {
                counts.add(ended.outcome(), ended.ms(), label);
            }
        }
    }

    /// Makes room for one more cell. Returns false if there is none.
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
                    Ok(index) => {
                        if let Some((_, held)) = self.cells.get_mut(index) {
                            held.merge(&counts);
                        }
                    }
                    Err(index) => self.cells.insert(index, (moved, counts)),
                }
            }
        }
        true
    }

    /// Notes a sampled user and the arm that they were given.
    pub fn add_unit(&mut self, generation: u32, flag: usize, arm: Arm, unit: u32) {
        let unit = (PackedOutcome::tag(generation), flag, arm, unit);
        if self.units.len() < MAX_UNITS && !self.units.contains(&unit) {
            self.units.push(unit);
        }
    }

    /// Returns true if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.lost == 0 && self.comparing.is_empty()
    }

    /// Returns the number of cells waiting to be sent.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Counts outcomes that can never be delivered, so that the next batch reports them as lost.
    pub fn lose(&mut self, outcomes: u64) {
        self.lost += outcomes;
        self.lost_in_all += outcomes;
    }

    /// Removes the oldest cells and returns them as a batch.
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

    fn take_units(&mut self) -> Vec<AssignmentUnits> {
        let mut all: Vec<AssignmentUnits> = Vec::new();
        for (generation, flag, arm, unit) in std::mem::take(&mut self.units) {
            let Some(rules) = self.rules(generation) else { continue };
            let Some((flag, label)) = rules.flags().get(flag).zip(rules.canary(flag)) else { continue };
            let same = |held: &AssignmentUnits| held.run == label.run && held.step == label.step;
            if !all.last().is_some_and(same) {
                let (flag, run) = (flag.name.clone(), label.run.clone());
                all.push(AssignmentUnits {
                    flag,
                    run,
                    step: label.step,
                    new: Vec::new(),
                    legacy: Vec::new(),
                });
            }
            if let Some(last) = all.last_mut() {
                if arm == Arm::New { last.new.push(unit) } else { last.legacy.push(unit) }
            }
        }
        all
    }

    fn cell(&self, key: u64, counts: Counts) -> Cell {
        let ended = kind_of(key);
        let answer: PackedDecision = ended.answer();
        let rules = self.rules(ended.generation());
        let route = rules.and_then(|rules| rules.routes().get(answer.route()?));
        let position = route.and_then(|route| route.flag);
        let flag: Option<FlagName> =
            rules.zip(position).and_then(|(rules, i)| rules.flags().get(i)).map(|flag| flag.name.clone());
        let canary = rules.zip(position).and_then(|(rules, flag)| rules.canary(flag));
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
    // The newest is last, and nearly always the one requested.
    generations.iter().rev().find(|held| held.number == number).map(|held| &held.rules)
}

fn kind_of(key: u64) -> PackedOutcome {
    // Truncates to the lower half on purpose.
    PackedOutcome { kind: key as u32, end: 0 }
}
