//! Prerequisites between flags: the bound on their evaluation, and circles.

use crate::{
    values::document::{Prerequisite, ValueFlag},
    vocabulary::names::FlagName,
};
use std::collections::{BTreeMap, VecDeque, btree_map::Entry};

/// Most flags that one evaluation looks at: the flag itself, its prerequisites, theirs, and so on, each as often as it is
/// named.
pub const MAX_EVALUATIONS: usize = 64;

/// Returns true if the evaluation of a flag looks at no more than [`MAX_EVALUATIONS`] flags. A flag in a circle of
/// prerequisites, or with a way into one, looks at more.
pub fn is_bounded(flags: &BTreeMap<FlagName, ValueFlag>, name: &FlagName) -> bool {
    let mut waiting = vec![name];
    let mut seen = 0;
    while let Some(name) = waiting.pop() {
        seen += 1;
        // Those that wait are looked at too.
        if seen + waiting.len() > MAX_EVALUATIONS {
            return false;
        }
        let prerequisites = flags.get(name).map(|flag| flag.prerequisites.as_slice()).unwrap_or_default();
        waiting.extend(prerequisites.iter().map(|prerequisite| &prerequisite.flag));
    }
    true
}

/// Returns a shortest circle of prerequisites from a flag back to itself, with the flag at both ends; `None` if there is none.
pub fn circle<'f>(
    flags: &'f BTreeMap<FlagName, ValueFlag>,
    start: &'f FlagName,
) -> Option<Vec<&'f FlagName>> {
    // Each flag that was reached, with the flag that names it.
    let mut reached_from: BTreeMap<&FlagName, &FlagName> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(name) = waiting.pop_front() {
        let Some(flag) = flags.get(name) else { continue };
        for Prerequisite { flag: next, .. } in &flag.prerequisites {
            if next == start {
                let mut path = vec![start];
                let mut step = name;
                while step != start {
                    path.push(step);
                    // Every flag but the start was reached from another one.
                    step = reached_from.get(step).copied()?;
                }
                path.push(start);
                path.reverse();
                return Some(path);
            }
            if let Entry::Vacant(entry) = reached_from.entry(next) {
                entry.insert(name);
                waiting.push_back(next);
            }
        }
    }
    None
}
