//! The outcomes that an isolate counts, and the batches made of them. Exact, bounded in memory, and
//! without an allocation per request: a cell is created for the first request of its kind.

pub mod experiments;
pub mod thinned;
pub mod tickets;
pub mod users;

#[cfg(test)]
mod tests;

use crate::{
    comparison_queue::ComparisonQueue,
    counting::{
        experiments::{Amount, EndedRequest, EventResult, Experiments},
        tickets::{LONGEST_REQUEST_MS, Member, Tickets},
        users::{DecidedStep, UserRequest, Users},
    },
    wire::{OutcomeKind, PackedOutcome},
};
use cutover_core::{
    Arm, Reason, Ruleset,
    decision::route::CompiledRoute,
    measurement::{
        batch::{Batch, Cell, MAX_BYTES, StepLoss},
        counts::{Counts, Outcome, kinds},
        experiments::MAX_ENTRIES,
    },
    vocabulary::revision::Stamp,
};
use std::{cell::RefCell, rc::Rc};

/// Most cells waiting to be sent. Beyond it, outcomes of further kinds are lost.
pub const MAX_CELLS: usize = 1_024;

/// Most cells in one batch. Those with many response times and long names are fewer, see [`Counting::take`].
const MAX_BATCH_CELLS: usize = 200;

/// Most retired generations whose rules are kept. Outcomes of older ones are lost.
const MAX_RETIRED: usize = 8;

/// Most steps whose losses wait to be reported. Beyond it the oldest ones are left out.
const MAX_LOSSES: usize = 32;

/// Bytes that users of experiments leave to the cells of a batch: a dozen of the largest.
const CELL_BYTES: usize = 60_000;

/// Bytes of the largest exposure or outcome.
const ENTRY_BYTES: usize = 60;

/// The rules of a generation, kept until no request that they decided can be under way.
#[derive(Debug)]
struct Generation {
    number: u32,
    rules: Rc<Ruleset>,
    retired_at: Option<i64>,
}

/// State of an isolate when a batch is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchState {
    /// Revision of the isolate's snapshot, with its epoch.
    pub stamp: Stamp,
    /// Milliseconds since the snapshot was last confirmed to be the newest; without one, since the isolate began.
    pub age_ms: u64,
    /// Milliseconds since 1970.
    pub now: i64,
    /// True if no request is under way and this may be the last report.
    pub at_rest: bool,
    /// Number of requests under way.
    pub open: u32,
    /// Milliseconds until the next batch at the latest; 0 if none is promised.
    pub due_ms: u64,
}

/// An event that a backend or a client reports of a user.
#[derive(Debug, Clone, Copy)]
pub struct UserEvent<'e> {
    /// Id of the user.
    pub user: &'e str,
    /// Name of the event.
    pub name: &'e str,
    /// Value of the event in thousandths; metrics of values count 0 without one.
    pub value: Option<u64>,
    /// Id by which the event is recognised when it is sent again.
    pub id: Option<&'e str>,
    /// Time of the event, in milliseconds since 1970.
    pub at_ms: i64,
}

/// Outcomes that are counted and not yet sent.
#[derive(Debug, Default)]
pub struct Counting {
    /// The newest is last.
    generations: Vec<Generation>,
    /// Sorted by kind. There are few.
    cells: Vec<(OutcomeKind, Counts)>,
    /// Cells of generations whose rules are not kept any more, and those for which the last batch had no room.
    named: Vec<Cell>,
    users: Users,
    experiments: Experiments,
    /// Tickets of the requests that experiments may count. A decision issues one.
    pub tickets: RefCell<Tickets>,
    /// The members of the request that is counted; kept for its memory.
    members: Vec<Member>,
    /// Comparisons that are counted and not yet sent.
    pub comparing: ComparisonQueue,
    lost: u64,
    /// Number of outcomes lost since the isolate began.
    pub lost_in_all: u64,
    /// Number of responses that may hide an error and were not inspected.
    uninspected: u64,
    losses: Vec<StepLoss>,
    /// Number of users lost since the isolate began.
    pub users_lost_in_all: u64,
}

impl Counting {
    /// Puts new rules in force under a generation number.
    pub fn begin_generation(&mut self, number: u32, rules: Rc<Ruleset>, now: i64) {
        let number = OutcomeKind::tag(number);
        self.experiments.keep(rules.counted());
        let held = std::mem::take(&mut self.generations);
        let surplus = held.len().saturating_sub(MAX_RETIRED);
        for (index, generation) in held.into_iter().enumerate() {
            let retired_at = generation.retired_at.unwrap_or(now);
            let is_over = now - retired_at > LONGEST_REQUEST_MS;
            if is_over || index < surplus || generation.number == number {
                self.name_cells(&generation);
            } else {
                self.generations.push(Generation { retired_at: Some(retired_at), ..generation });
            }
        }
        self.generations.push(Generation { number, rules, retired_at: None });
    }

    /// Names the cells of a generation whose rules are about to be dropped.
    fn name_cells(&mut self, dropped: &Generation) {
        let cells = std::mem::take(&mut self.cells);
        for (kind, counts) in cells {
            if kind.generation() == dropped.number {
                self.named.push(cell(Some(&dropped.rules), kind, counts));
            } else {
                self.cells.push((kind, counts));
            }
        }
    }

    /// Returns the rules of a generation, as long as requests that they decided can be under way.
    pub fn rules(&self, generation: u32) -> Option<&Rc<Ruleset>> {
        rules_of(&self.generations, OutcomeKind::tag(generation))
    }

    /// Counts outcomes.
    pub fn add(&mut self, outcomes: impl Iterator<Item = PackedOutcome>) {
        for ended in outcomes {
            self.uninspected += u64::from(ended.is_uninspected());
            if !self.add_one(ended) {
                self.lose_one(ended.kind);
            }
        }
    }

    /// Counts an outcome, first for its user and then in the cell of its kind. Returns false if there is no such cell: the
    /// outcome is lost, and the user is not, because kinds differ by arm.
    fn add_one(&mut self, ended: PackedOutcome) -> bool {
        let Self { generations, cells, named, users, experiments, tickets, members, .. } = self;
        tickets.get_mut().take(ended.kind.generation(), ended.ticket, ended.is_followed(), members);
        let decision = ended.kind.decision();
        let is_refused = decision.reason().is_refusal();
        if is_refused {
            // No backend got the request, so it says nothing about the user's variants.
            members.clear();
        }
        let rules = rules_of(generations, ended.kind.generation());
        if rules.is_none() && decision.route().is_some() {
            return false;
        }
        let route = rules.and_then(|rules| rules.routes().get(decision.route()?));
        let flag = route.and_then(|route| route.flag);
        let outcome = match ended.outcome() {
            // What the route calls an error is one like any other.
            Outcome::Status(status) if !is_refused && route.is_some_and(|route| is_error(route, status)) => {
                Outcome::Status(500)
            }
            outcome => outcome,
        };
        let limits = route.and_then(|route| route.slow_limits);
        if let Some(rules) = rules {
            experiments.add(rules, members, ended_request(ended, outcome));
        }
        let decided = rules.zip(flag).and_then(|(rules, flag)| DecidedStep::of(rules, flag));
        if let Some((decided, user)) = decided.zip(ended.user().filter(|_| !is_refused)) {
            let (minted, begun) = (ended.is_minted(), ended.begun_ms());
            if decision.reason() == Reason::Rollout {
                let request = UserRequest { user, arm: decision.arm(), minted, begun };
                users.add(decided, request, kinds(outcome, ended.ms(), limits));
            } else {
                // Only requests for the new arm are answered by something else. Of a fallback the user is known already.
                users.see(decided, UserRequest { user, arm: Arm::New, minted, begun });
            }
        }
        let index = match cells.binary_search_by_key(&ended.kind, |(held, _)| *held) {
            Ok(index) => index,
            Err(_) if cells.len() + named.len() >= MAX_CELLS => return false,
            Err(index) => {
                cells.insert(index, (ended.kind, Counts::default()));
                index
            }
        };
        if let Some((_, counts)) = cells.get_mut(index) {
            counts.add(outcome, ended.ms(), ended.gave_up(), limits);
        }
        true
    }

    /// Notes if the responses to a user's compared request differ. `flag` is the position of the
    /// flag in the rules of the generation that decided the request.
    pub fn add_compared(&mut self, generation: u32, flag: usize, request: UserRequest, mismatched: bool) {
        let Some(rules) = rules_of(&self.generations, OutcomeKind::tag(generation)) else { return };
        // A request that is no evidence of a canary has the hash 0.
        if let Some(decided) = DecidedStep::of(rules, flag).filter(|_| request.user != 0) {
            self.users.compare(decided, request, mismatched);
        }
    }

    /// Counts an event with a name that a user has had, for the experiments of `rules` that take the user in whatever the
    /// conditions say: an event brings nothing to check them against.
    pub fn note_event(&mut self, rules: &Ruleset, event: &UserEvent<'_>) -> EventResult {
        let mut result = EventResult::Unknown;
        for counted in rules.counted() {
            let metrics = counted.named(event.name);
            if metrics.is_empty() {
                continue;
            }
            let mut is_noted = true;
            let experiment = rules.experiment(counted.name.as_str());
            if experiment.is_some_and(|experiment| experiment.admits(event.user)) {
                let user = counted.key.hash(event.user);
                let id = event.id.map(|id| counted.key.hash_event(id));
                let amount = Amount { value: event.value.unwrap_or_default(), id };
                is_noted =
                    self.experiments.note_event(rules, (counted, metrics), user, (event.at_ms, amount));
            }
            result = result.max(if is_noted { EventResult::Noted } else { EventResult::Refused });
        }
        result
    }

    /// Returns true if there is something to send.
    pub fn has_batch(&self, now: i64, at_rest: bool) -> bool {
        !self.is_empty()
            || self.lost > 0
            || !self.losses.is_empty()
            || !self.comparing.is_empty()
            || self.users.has_ripe(now, at_rest)
            || self.experiments.has_ripe(now, at_rest)
    }

    /// Returns true if no cell waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of cells waiting to be sent.
    pub fn len(&self) -> usize {
        self.cells.len() + self.named.len()
    }

    /// Returns the number of entries in memory for users.
    pub fn users_held(&self) -> usize {
        self.users.held() + self.experiments.held()
    }

    /// Counts outcomes that can never be delivered, so that the next batch reports them as lost.
    pub fn lose(&mut self, outcomes: u64) {
        self.lost += outcomes;
        self.lost_in_all += outcomes;
    }

    /// Counts an outcome as lost, with its step if that is known.
    fn lose_one(&mut self, kind: OutcomeKind) {
        self.lose(1);
        let counts = Counts { requests: 1, ..Counts::default() };
        let lost = cell(rules_of(&self.generations, kind.generation()), kind, counts);
        self.note_losses(StepLoss::of_cell(&lost));
    }

    fn note_losses(&mut self, losses: impl IntoIterator<Item = StepLoss>) {
        losses.into_iter().for_each(|loss| loss.add_to(&mut self.losses));
        self.losses.drain(..self.losses.len().saturating_sub(MAX_LOSSES));
    }

    /// Notes the content of a batch that can never be stored, so that the next batch reports it as lost.
    pub fn lose_batch(&mut self, batch: &Batch) {
        self.lose(batch.cells.iter().map(|cell| cell.counts.requests).sum());
        // The control plane does not know of these either; in the totals of the isolate they are already.
        self.lost += batch.lost;
        self.uninspected += batch.uninspected;
        let own = batch.evidence();
        self.users_lost_in_all += own.iter().map(|loss| loss.users).sum::<u64>();
        self.note_losses(batch.losses.iter().cloned().chain(own));
    }

    /// Removes the ripe users, the oldest comparisons and the oldest cells, as many as a batch has
    /// room for, and returns them as a batch that ingest accepts.
    pub fn take(&mut self, isolate: &str, sequence: u64, state: &BatchState) -> Batch {
        let users = self.users.take(state.now, state.at_rest);
        let comparisons = self.comparing.take();
        let batch = Batch {
            revision: state.stamp.revision,
            epoch: state.stamp.epoch,
            age_ms: state.age_ms,
            lost: std::mem::take(&mut self.lost),
            losses: std::mem::take(&mut self.losses),
            uninspected: std::mem::take(&mut self.uninspected),
            open: state.open,
            due_ms: state.due_ms,
            users,
            comparisons,
            ..Batch::empty(isolate.to_owned(), sequence)
        };
        let experiments = self.experiments.take(state.now, state.at_rest, experiment_room(&batch));
        let batch = Batch { experiments, ..batch };
        // All else is bounded by its number, and leaves room for a dozen of the largest cells.
        let cells = self.take_cells(MAX_BYTES.saturating_sub(batch.encode().len()));
        Batch { cells, ..batch }
    }

    /// Removes and returns the oldest cells, as many as fit into `room` bytes.
    fn take_cells(&mut self, mut room: usize) -> Vec<Cell> {
        let (generations, cells, named) = (&self.generations, &mut self.cells, &mut self.named);
        let count = cells.len().min(MAX_BATCH_CELLS.saturating_sub(named.len()));
        let name = |(kind, counts): (OutcomeKind, Counts)| {
            cell(rules_of(generations, kind.generation()), kind, counts)
        };
        named.extend(cells.drain(..count).map(name));
        let fitting = named.iter().take(MAX_BATCH_CELLS).take_while(|cell| {
            let left = room.checked_sub(encoded_size(cell));
            room = left.unwrap_or_default();
            left.is_some()
        });
        let count = fitting.count();
        named.drain(..count).collect()
    }
}

/// Returns the end of a request as experiments count it; `outcome` is what the route calls it.
fn ended_request(ended: PackedOutcome, outcome: Outcome) -> EndedRequest {
    let status = match ended.outcome() {
        // Without the client's patience there is no status.
        Outcome::Status(status) if !ended.gave_up() => u16::try_from(status).ok(),
        _ => None,
    };
    let is_fallback = ended.kind.decision().reason() == Reason::Fallback;
    EndedRequest { status, outcome, ms: ended.ms(), begun: ended.begun_ms(), is_fallback }
}

/// Returns the number of entries of experiments for which a batch has room.
fn experiment_room(batch: &Batch) -> usize {
    let free = MAX_BYTES.saturating_sub(batch.encode().len() + CELL_BYTES);
    (free / ENTRY_BYTES).min(MAX_ENTRIES)
}

/// Returns the size of a cell in a batch, in bytes, with the comma behind it.
fn encoded_size(cell: &Cell) -> usize {
    serde_json::to_vec(cell).map_or(0, |json| json.len() + 1)
}

fn is_error(route: &CompiledRoute, status: u32) -> bool {
    route.error_statuses.iter().any(|error| u32::from(*error) == status)
}

fn rules_of(generations: &[Generation], number: u32) -> Option<&Rc<Ruleset>> {
    // The newest is last, and nearly always the one requested.
    generations.iter().rev().find(|held| held.number == number).map(|held| &held.rules)
}

fn cell(rules: Option<&Rc<Ruleset>>, kind: OutcomeKind, counts: Counts) -> Cell {
    let decision = kind.decision();
    let route = rules.and_then(|rules| rules.routes().get(decision.route()?));
    let decided = rules.zip(route.and_then(|route| route.flag));
    let flag = decided.and_then(|(rules, flag)| rules.flags().get(flag));
    let canary = decided.and_then(|(rules, flag)| rules.canary(flag));
    Cell {
        flag: flag.map(|flag| flag.name.clone()),
        route: route.map(|route| route.id.clone()),
        arm: decision.arm(),
        reason: decision.reason(),
        revision: rules.map(|rules| rules.revision()).unwrap_or_default(),
        canary: canary.map(|label| (label.run.clone(), label.step)),
        counts,
    }
}
