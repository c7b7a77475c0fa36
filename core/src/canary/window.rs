//! Arrival windows: everything of a run that arrived within ten seconds, as the evaluation folds it.

use crate::{
    canary::plan::CanaryPlan,
    json::omit::is_zero,
    measurement::{
        batch::{Batch, Cell, SeenUser, StepLoss, UserEvents, UserWindow, WINDOW_MS},
        counts::Counts,
    },
    vocabulary::{
        arm::Arm,
        names::{RouteId, RunId},
        reason::Reason,
        share::PartsPerMillion,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most users in each list of the windows that are folded at once: a record contains them, in an
/// item of at most 400 KB. Beyond it the same range of hashes is left out for both arms.
const MAX_USERS: usize = 2_048;

/// Counts of one arm that decisions are based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ArmCounts {
    /// All requests.
    pub requests: u64,
    /// Server errors, timeouts and unreachable origins.
    pub errors: u64,
    /// Requests slower than the success limit.
    pub slow_success: u64,
    /// Requests slower than the rollback limit.
    pub slow_rollback: u64,
    /// Responses with status 401 or 403.
    #[serde(skip_serializing_if = "is_zero")]
    pub unauthorized: u64,
    /// Responses with status 404, 405 or 410.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_found: u64,
    /// Responses with any other status from 400 to 498, except 429.
    #[serde(skip_serializing_if = "is_zero")]
    pub client_errors: u64,
    /// Requests whose client left before the response.
    #[serde(skip_serializing_if = "is_zero")]
    pub gave_up: u64,
    /// Requests of the arm's users that a breaker sent elsewhere. They are in no other count.
    #[serde(skip_serializing_if = "is_zero")]
    pub diverted: u64,
}

impl ArmCounts {
    /// Adds the counts of `other` to these.
    pub fn add(&mut self, other: Self) {
        self.combine(other, u64::saturating_add);
    }

    /// Subtracts the counts of `other`, which are a part of these.
    pub(crate) fn subtract(&mut self, other: Self) {
        self.combine(other, u64::saturating_sub);
    }

    fn combine(&mut self, other: Self, combined: fn(u64, u64) -> u64) {
        for (sum, count) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.slow_success, other.slow_success),
            (&mut self.slow_rollback, other.slow_rollback),
            (&mut self.unauthorized, other.unauthorized),
            (&mut self.not_found, other.not_found),
            (&mut self.client_errors, other.client_errors),
            (&mut self.gave_up, other.gave_up),
            (&mut self.diverted, other.diverted),
        ] {
            *sum = combined(*sum, count);
        }
    }
}

impl From<&Counts> for ArmCounts {
    fn from(counts: &Counts) -> Self {
        Self {
            requests: counts.requests,
            errors: counts.errors(),
            slow_success: counts.slow_success,
            slow_rollback: counts.slow_rollback,
            unauthorized: counts.unauthorized,
            not_found: counts.not_found,
            client_errors: counts.client_errors,
            gave_up: counts.gave_up,
            diverted: 0,
        }
    }
}

/// Counts of both arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct BothArms {
    /// Counts of the new arm.
    pub new: ArmCounts,
    /// Counts of the legacy arm.
    pub legacy: ArmCounts,
}

impl BothArms {
    pub(crate) fn add(&mut self, other: Self) {
        self.new.add(other.new);
        self.legacy.add(other.legacy);
    }

    /// Returns these counts without those of the given parts.
    pub(crate) fn without<'c>(mut self, parts: impl Iterator<Item = &'c Self>) -> Self {
        for part in parts {
            self.new.subtract(part.new);
            self.legacy.subtract(part.legacy);
        }
        self
    }
}

/// Counts of one step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct StepCounts {
    /// Step at which the requests were decided.
    pub step: u32,
    /// Counts of the new arm, of all routes.
    pub new: ArmCounts,
    /// Counts of the legacy arm, of all routes.
    pub legacy: ArmCounts,
    /// Part of these counts that belongs to routes with criteria of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteId, BothArms>,
}

/// Everything of a run that arrived in one arrival window, or in a part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Window {
    /// Start of the arrival window, in milliseconds since 1970, a multiple of [`WINDOW_MS`].
    pub start: i64,
    /// Arrival time up to which the window was read, at most its end. The detectors move when a
    /// window is closed.
    pub end: i64,
    /// Counts, by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepCounts>,
    /// Users, by event window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserWindow>,
    /// Bounds of the hashes in the three lists of users (seen, with events, compared), if users were left out because
    /// there were too many. Those with this hash and more were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[u64; 3]>,
    /// Evidence that isolates could not report, by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<StepLoss>,
}

impl Window {
    /// Creates an empty window, which tells the evidence that nothing arrived until `end`.
    pub fn nothing(end: i64) -> Self {
        // A window that ends now is closed; the one that would begin now is empty.
        let start = end.saturating_sub(1).div_euclid(WINDOW_MS) * WINDOW_MS;
        Self { start, end, ..Self::default() }
    }

    /// Returns true if everything that arrived in the window was read.
    pub fn is_closed(&self) -> bool {
        self.end.saturating_sub(self.start) >= WINDOW_MS
    }

    fn step(&mut self, step: u32) -> Option<&mut StepCounts> {
        let index = match self.steps.binary_search_by_key(&step, |counts| counts.step) {
            Ok(index) => index,
            Err(index) => {
                self.steps.insert(index, StepCounts { step, ..StepCounts::default() });
                index
            }
        };
        self.steps.get_mut(index)
    }
}

/// Event window, settling time and share of users: parts of a report that can be joined.
type PartKey = (i64, u32, i64, u32, PartsPerMillion);

/// Collects the windows of a run under its plan, from batches with their arrival times in milliseconds since 1970.
/// `until` is the arrival time up to which all batches were read. Windows in which nothing of the
/// run arrived are left out.
///
/// Only requests decided by the bucket count, because lists and conditions select users who are not
/// representative.
pub fn windows<'b>(
    run: &RunId,
    plan: &CanaryPlan,
    arrivals: impl Iterator<Item = (i64, &'b Batch)>,
    until: i64,
) -> Vec<Window> {
    let mut windows: BTreeMap<i64, Window> = BTreeMap::new();
    let mut users: BTreeMap<PartKey, UserWindow> = BTreeMap::new();
    for (at, batch) in arrivals {
        let start = at.div_euclid(WINDOW_MS) * WINDOW_MS;
        let end = (start + WINDOW_MS).min(until).max(start);
        let new_window = || Window { start, end, ..Window::default() };
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
        }
    }
    let bounds = bound(&mut users);
    for ((start, ..), joined) in users {
        if let Some(window) = windows.get_mut(&start) {
            window.bounds = bounds;
            window.users.push(joined);
        }
    }
    // Like the users, in one order, whatever the order of their arrival.
    windows.values_mut().for_each(|window| window.losses.sort_unstable());
    windows.into_values().collect()
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

/// Sorts the users, and leaves out those with the largest hashes if there are too many. Returns the
/// bounds if any were.
fn bound(users: &mut BTreeMap<PartKey, UserWindow>) -> Option<[u64; 3]> {
    for held in users.values_mut() {
        join(&mut held.events);
    }
    let seen = users.values().flat_map(|held| held.seen.iter().map(|SeenUser(user, _)| *user));
    let seen = theta(seen.collect());
    let events = users.values().flat_map(|held| held.events.iter().map(|event| event.user));
    let events = theta(events.collect());
    let compared = users.values().flat_map(|held| held.compared.iter().map(|(user, _)| *user));
    let compared = theta(compared.collect());
    for held in users.values_mut() {
        held.seen.retain(|SeenUser(user, _)| *user <= seen);
        held.events.retain(|event| event.user <= events);
        held.compared.retain(|(user, _)| *user <= compared);
        held.seen.sort_unstable();
        held.events.sort_unstable();
        held.compared.sort_unstable();
    }
    let bounds = [seen, events, compared];
    bounds.iter().any(|bound| *bound < u64::MAX).then(|| bounds.map(|bound| bound.saturating_add(1)))
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
fn theta(mut hashes: Vec<u64>) -> u64 {
    hashes.sort_unstable();
    let mut theta = u64::MAX;
    while theta > 0 && hashes.partition_point(|hash| *hash <= theta) > MAX_USERS {
        theta /= 2;
    }
    theta
}
