//! Every interleaving of a small model, depth first.

use crate::{
    process::{Outcome, Stage},
    setup::Setup,
    world::World,
};
use std::{
    collections::HashSet,
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

/// The size of the model.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Batches that are stored.
    pub batches: u32,
    /// Shards that split in two.
    pub splits: usize,
    /// Times that a process takes the lease.
    pub starts: u32,
    /// Writes that fail, in any of the ways.
    pub failures: u32,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Put(u32),
    /// Splits the shard with this index.
    Split(usize),
    Start(usize),
    Kill(usize),
    Step(usize, Outcome),
    Land(usize),
}

/// An action, and those before it.
struct Path {
    action: Action,
    before: Option<Rc<Path>>,
}

#[derive(Clone)]
struct Node {
    world: World,
    /// Failures that are left.
    failures: u32,
    path: Option<Rc<Path>>,
}

/// Explores all states that can be reached. Returns their number.
///
/// # Errors
///
/// Returns a description of the first violation, and the actions that led to it.
pub fn explore(setup: Setup, bounds: Bounds) -> Result<usize, String> {
    let start = Node { world: World::new(setup), failures: bounds.failures, path: None };
    let (mut seen, mut rested) = (HashSet::from([start.fingerprint()]), HashSet::new());
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        for action in node.actions(bounds) {
            let mut next = node.clone();
            next.path = Some(Rc::new(Path { action, before: node.path.clone() }));
            next.act(action).map_err(|violation| next.told(&violation))?;
            if !seen.insert(next.fingerprint()) {
                continue;
            }
            let outside = &next.world.outside;
            if rested.insert(fingerprint(&(&outside.log, &outside.table, &outside.late))) {
                next.world.clone().rest().map_err(|violation| next.told(&violation))?;
            }
            open.push(next);
        }
    }
    Ok(seen.len())
}

fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

impl Node {
    /// Returns a number for the state. Processes are alike, so their order makes no difference.
    fn fingerprint(&self) -> u64 {
        let mut processes: Vec<u64> = self.world.processes.iter().map(fingerprint).collect();
        processes.sort_unstable();
        fingerprint(&(&self.world.outside, processes, self.failures))
    }

    fn actions(&self, bounds: Bounds) -> Vec<Action> {
        let World { outside, processes } = &self.world;
        let mut actions: Vec<Action> =
            (0..bounds.batches).filter(|batch| !outside.log.has(*batch)).map(Action::Put).collect();
        let shards = &outside.log.shards;
        if shards.iter().filter(|shard| !shard.is_open).count() < bounds.splits {
            actions.extend(shards.iter().position(|shard| shard.is_open).map(Action::Split));
        }
        for (index, process) in processes.iter().enumerate() {
            if process.stage == Stage::Idle {
                actions.extend((outside.table.term < bounds.starts).then_some(Action::Start(index)));
                continue;
            }
            actions.push(Action::Step(index, Outcome::Done));
            // A process that is never heard of again is killed. It makes a difference only if it can start again.
            if outside.table.term < bounds.starts {
                actions.push(Action::Kill(index));
            }
            if process.writes() && self.failures > 0 {
                let failures = [Outcome::Lost, Outcome::Unanswered, Outcome::Late];
                actions.extend(failures.map(|outcome| Action::Step(index, outcome)));
            }
        }
        actions.extend((0..outside.late.len()).map(Action::Land));
        actions
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Put(batch) => self.world.outside.log.put(batch),
            Action::Split(index) => self.world.outside.log.split(index, 2),
            Action::Start(process) => self.world.start(process),
            Action::Kill(process) => self.world.kill(process),
            Action::Step(process, outcome) => {
                self.failures -= u32::from(outcome != Outcome::Done);
                return self.world.step(process, outcome);
            }
            Action::Land(index) => return self.world.land(index),
        }
        Ok(())
    }

    /// Adds the actions that led here to the description of a violation.
    fn told(&self, violation: &str) -> String {
        let (mut actions, mut path) = (Vec::new(), self.path.as_ref());
        while let Some(Path { action, before }) = path.map(|path| &**path) {
            actions.push(action);
            path = before.as_ref();
        }
        let mut told = format!("{violation}\nafter:");
        for action in actions.iter().rev() {
            let _ = write!(told, "\n  {action:?}");
        }
        told
    }
}
