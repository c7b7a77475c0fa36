//! The times at which a ruleset evaluates differently from before.

use crate::{
    rules::condition::compiled::CompiledCondition,
    values::{compiled::CompiledValueFlag, window::CompiledWindow},
    vocabulary::timestamp::Timestamp,
};

/// The times of conditions and schedules, and the recurring windows.
#[derive(Debug)]
pub(super) struct Turns {
    /// Single times, ascending and without repetitions.
    times: Vec<Timestamp>,
    windows: Vec<CompiledWindow>,
}

impl Turns {
    /// Collects the times of conditions, and the schedules and windows of flags with values.
    pub(super) fn new<'c>(
        conditions: impl Iterator<Item = &'c CompiledCondition>,
        flags: &[CompiledValueFlag],
    ) -> Self {
        let ends = |condition: &CompiledCondition| match condition {
            CompiledCondition::TimeWindow { start, end } => [Some(*start), *end],
            CompiledCondition::Attribute(..) => [None, None],
        };
        let mut times: Vec<Timestamp> = conditions.flat_map(ends).flatten().collect();
        times.extend(flags.iter().flat_map(CompiledValueFlag::scheduled));
        times.sort_unstable();
        times.dedup();
        let mut windows: Vec<CompiledWindow> = Vec::new();
        for window in flags.iter().flat_map(CompiledValueFlag::windows) {
            if !windows.contains(&window) {
                windows.push(window);
            }
        }
        Self { times, windows }
    }

    /// Returns the number of single times that have passed.
    pub(super) fn passed(&self, now: Timestamp) -> u64 {
        self.times.partition_point(|time| *time <= now) as u64
    }

    /// Iterates over the windows, with true for those that are open.
    pub(super) fn open(&self, now: Timestamp) -> impl Iterator<Item = bool> {
        self.windows.iter().map(move |window| window.is_open(now))
    }
}
