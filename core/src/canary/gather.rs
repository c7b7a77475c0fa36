//! Gathering of arrival windows: everything of a run in the batches that arrived, batch by batch, in bounded memory.

use crate::{
    canary::{
        plan::CanaryPlan,
        window::{ArmCounts, BothArms, Window},
    },
    measurement::batch::{Batch, Cell, SeenUser, UserEvents, UserWindow, WINDOW_MS, window_of},
    vocabulary::{
        arm::Arm,
        names::{RouteId, RunId},
        reason::Reason,
        share::PartsPerMillion,
    },
};
use std::collections::BTreeMap;

/// Most users in each list of the windows that are folded at once: a record contains them, in an
/// item of at most 400 KB. Beyond it the same range of hashes is left out for both arms.
const MAX_USERS: usize = 2_048;

/// Number of users in a list after which it is thinned while batches are still added.
const MAX_GATHERED: usize = 2 * MAX_USERS;

/// Event window, settling time and share of users: parts of a report that can be joined.
type PartKey = (i64, u32, i64, u32, PartsPerMillion);

/// Arrival windows of a run that are not folded yet. Memory depends on the number of windows, steps and routes, not on the
/// number of batches.
///
/// Only requests decided by the bucket count, because lists and conditions select users who are not representative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    run: RunId,
    windows: BTreeMap<i64, Window>,
    users: BTreeMap<PartKey, UserWindow>,
    /// Largest hashes that are kept, in the three lists of users.
    bounds: [u64; 3],
    /// Number of users since the lists were last thinned.
    added: usize,
}

impl Gathered {
    /// Begins to gather for a run.
    pub fn new(run: RunId) -> Self {
        Self { run, windows: BTreeMap::new(), users: BTreeMap::new(), bounds: [u64::MAX; 3], added: 0 }
    }

    /// Returns the run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Returns true if nothing of the run has arrived.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Adds what a batch holds of the run, by its plan. `at` is the time of arrival in milliseconds since 1970, not before
    /// the end of the windows that were closed.
    pub fn add(&mut self, plan: &CanaryPlan, at: i64, batch: &Batch) {
        let Self { run, windows, users, .. } = self;
        let start = window_of(at);
        let new_window = || Window { start, end: start, ..Window::default() };
        for cell in &batch.cells {
            let Some((_, step)) = cell.canary.as_ref().filter(|(held, _)| held == run) else { continue };
            if !cell.is_evidence() {
                continue;
            }
            let window = windows.entry(start).or_insert_with(new_window);
            let Some(counts) = window.step(*step) else { continue };
            let counted = of_cell(cell);
            counts.new.add(counted.new);
            counts.legacy.add(counted.legacy);
            if let Some(route) = own_route(plan, cell) {
                counts.routes.entry(route.clone()).or_default().add(counted);
            }
        }
        for loss in batch.losses.iter().filter(|loss| loss.canary.0 == *run) {
            let window = windows.entry(start).or_insert_with(new_window);
            loss.clone().add_to(&mut window.losses);
        }
        for reported in batch.users.iter().filter(|reported| reported.canary.0 == *run) {
            windows.entry(start).or_insert_with(new_window);
            // No request begins after its report arrived; a wrong clock must not delay it for ever.
            let window = reported.window.min(start);
            let key = (start, reported.canary.1, window, reported.settle_ms, reported.share);
            let joined = users.entry(key).or_insert_with(|| UserWindow {
                window,
                seen: Vec::new(),
                events: Vec::new(),
                compared: Vec::new(),
                ..reported.clone()
            });
            joined.seen.extend(&reported.seen);
            joined.events.extend(&reported.events);
            joined.compared.extend(&reported.compared);
            self.added += reported.seen.len() + reported.events.len() + reported.compared.len();
        }
        if self.added > MAX_GATHERED {
            self.thin();
        }
    }

    /// Returns the windows in order. `until` is the arrival time up to which all batches were read. Windows in which nothing
    /// of the run arrived are left out.
    pub fn windows(&self, until: i64) -> Vec<Window> {
        let mut gathered = self.clone();
        gathered.thin();
        let Self { mut windows, users, bounds, .. } = gathered;
        let is_thinned = bounds.iter().any(|bound| *bound < u64::MAX);
        let bounds = is_thinned.then(|| bounds.map(|bound| bound.saturating_add(1)));
        for ((start, ..), joined) in users {
            if let Some(window) = windows.get_mut(&start) {
                window.bounds = bounds;
                window.users.push(joined);
            }
        }
        for window in windows.values_mut() {
            window.end = window.start.saturating_add(WINDOW_MS).min(until).max(window.start);
            // Like the users, in one order, whatever the order of their arrival.
            window.losses.sort_unstable();
        }
        windows.into_values().collect()
    }

    /// Sorts the users, and leaves out those with the largest hashes if there are too many.
    fn thin(&mut self) {
        let Self { users, bounds: [seen, events, compared], .. } = self;
        for held in users.values_mut() {
            join(&mut held.events);
        }
        let hashes = users.values().flat_map(|held| held.seen.iter().map(|SeenUser(user, _)| *user));
        *seen = theta(hashes.collect(), *seen);
        let hashes = users.values().flat_map(|held| held.events.iter().map(|event| event.user));
        *events = theta(hashes.collect(), *events);
        let hashes = users.values().flat_map(|held| held.compared.iter().map(|(user, _)| *user));
        *compared = theta(hashes.collect(), *compared);
        for held in users.values_mut() {
            held.seen.retain(|SeenUser(user, _)| user <= seen);
            held.events.retain(|event| event.user <= *events);
            held.compared.retain(|(user, _)| user <= compared);
            held.seen.sort_unstable();
            held.events.sort_unstable();
            held.compared.sort_unstable();
        }
        self.added = 0;
    }
}

/// Gathers batches with their arrival times, and returns their windows, see [`Gathered`].
pub fn windows<'b>(
    run: &RunId,
    plan: &CanaryPlan,
    arrivals: impl Iterator<Item = (i64, &'b Batch)>,
    until: i64,
) -> Vec<Window> {
    let mut gathered = Gathered::new(run.clone());
    arrivals.for_each(|(at, batch)| gathered.add(plan, at, batch));
    gathered.windows(until)
}

/// Returns the counts of a cell, by the arm that they belong to.
fn of_cell(cell: &Cell) -> BothArms {
    let counts = ArmCounts::from(&cell.counts);
    match (cell.reason, cell.arm) {
        // Legacy served them, but they belong to the new arm, which would have had them.
        (Reason::Diverted, _) => BothArms {
            new: ArmCounts { diverted: cell.counts.requests, ..ArmCounts::default() },
            ..BothArms::default()
        },
        (_, Arm::New) => BothArms { new: counts, ..BothArms::default() },
        (_, Arm::Legacy) => BothArms { legacy: counts, ..BothArms::default() },
    }
}

/// Returns the route of a cell if it has criteria of its own.
fn own_route<'c>(plan: &CanaryPlan, cell: &'c Cell) -> Option<&'c RouteId> {
    cell.route.as_ref().filter(|route| plan.options.route_criteria.contains_key(*route))
}

/// Joins the entries of each user: many isolates report the same one, and the lists are bounded by users.
fn join(events: &mut Vec<UserEvents>) {
    let mut joined: BTreeMap<(u64, Arm, bool), UserEvents> = BTreeMap::new();
    for entry in events.drain(..) {
        joined
            .entry((entry.user, entry.arm, entry.minted))
            .and_modify(|held| {
                held.kinds |= entry.kinds;
                held.errors = held.errors.saturating_add(entry.errors);
                held.requests = held.requests.saturating_add(entry.requests);
            })
            .or_insert(entry);
    }
    *events = joined.into_values().collect();
}

/// Returns the largest hash to keep, halved until the list is small enough.
fn theta(mut hashes: Vec<u64>, mut theta: u64) -> u64 {
    hashes.sort_unstable();
    while theta > 0 && hashes.partition_point(|hash| *hash <= theta) > MAX_USERS {
        theta /= 2;
    }
    theta
}
