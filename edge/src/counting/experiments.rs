//! The users of experiments: whom an isolate has seen exposed to a variant, and their outcomes, by the event window in which
//! the request began.
//!
//! As with the users of canaries, a window is sent when it is *ripe*: it is over, and the longest time limit of an origin has
//! passed. So the outcomes of all variants are learned together. A batch with too little room takes the smallest hashes of a
//! window, which depend on no variant, and leaves the others to the next batch.
//!
//! A request that the variant served is an exposure, however it ended. If legacy answers after a failure of the new backend, its
//! response counts for the metrics of responses, and for nothing else.
//!
//! Events of users whom the isolate did not see exposed are bounded apart: anybody can send them, and they leave out nobody.
//!
//! Events of guardrails are noted once more in each window, with the variant that served the user. They are bounded
//! window by window, so that no crowd of users hides a fault that begins later.

mod window;

pub use self::window::Amount;

use self::window::{Group, GuardedUser, Taken, ValueEvent, Waiting, Window};
use crate::counting::{thinned::Thinned, tickets::Member};
use cutover_core::{
    ExperimentName, Ruleset,
    decision::counted::{CountedExperiment, MetricSet},
    measurement::{batch::window_of, counts::Outcome, experiments::ExperimentPart},
    rules::experiment::{document::MAX_RUNNING, metric::MetricKind},
};

/// Most phases beside those of running experiments whose users are held. A further one takes the place of the one without
/// requests for the longest time, if nothing of that one waits; otherwise its users are left out.
const MAX_ENDED: usize = MAX_RUNNING;

/// Most exposures and outcomes of exposed users of a phase waiting to be sent. Beyond it the users are thinned.
const MAX_WAITING: usize = 4_096;

/// Most outcomes of other users of a phase waiting to be sent. Beyond it they are lost.
const MAX_OF_OTHERS: usize = 4_096;

/// Most users with events of guardrails of a phase waiting to be sent. Beyond it those of the oldest window are left
/// out.
const MAX_GUARDED_WAITING: usize = 4_096;

/// Part of a batch's room that events of guardrails may have before all else, divided among the phases.
const GUARDED_PART: usize = 2;

/// Number of entries whose room the names of a part take in a batch.
const PART_ENTRIES: usize = 6;

/// End of a request that may count.
#[derive(Debug, Clone, Copy)]
pub struct EndedRequest {
    /// Status of the response; `None` if there was none, or the client did not wait for it.
    pub status: Option<u16>,
    /// End as the counts of canaries have it.
    pub outcome: Outcome,
    /// Milliseconds from the request's arrival to its end.
    pub ms: u32,
    /// Start of the request, in milliseconds since 1970.
    pub begun: i64,
    /// True if legacy answered after a failure of the new backend, which ended before.
    pub is_fallback: bool,
}

/// Result of an event for the experiments that are counted. Of several, the greatest is that of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventResult {
    /// No metric counts events of this name.
    Unknown,
    /// Every experiment that has such a metric has noted the event, or does not take the user in.
    Noted,
    /// An experiment has no room for the event until its outcomes are reported.
    Refused,
}

/// The users of all phases.
#[derive(Debug, Default)]
pub struct Experiments {
    phases: Vec<PhaseUsers>,
    /// The phases of running experiments. Their users are held until the phase ends, because the bound of their hashes is.
    running: Vec<(ExperimentName, u32)>,
}

/// The users of one phase of an experiment.
#[derive(Debug)]
struct PhaseUsers {
    experiment: ExperimentName,
    phase: u32,
    /// Users whom this isolate saw exposed.
    exposed: Thinned<Exposed>,
    /// Windows waiting to be sent.
    windows: Vec<Window>,
    /// Number of entries in the windows.
    waiting: Waiting,
    /// Number of outcomes that no part reports, since the last one that said so.
    lost: u64,
    /// Start of the newest request, in milliseconds since 1970.
    newest: i64,
}

/// A user whom this isolate saw exposed.
#[derive(Debug, Clone, Default)]
struct Exposed {
    variant: u8,
    /// Time of the first exposure, in seconds since 1970.
    first: i64,
    /// Conversions that were noted since: only the first one of a metric counts.
    conversions: Vec<Conversion>,
}

/// The first conversion of a user that is known.
#[derive(Debug, Clone, Copy)]
struct Conversion {
    /// Position of the metric.
    metric: u8,
    /// Time in seconds since 1970.
    at: i64,
}

impl Exposed {
    /// Notes a conversion. Returns false if one is known that is not later.
    fn convert(&mut self, metric: u8, at: i64) -> bool {
        match self.conversions.iter_mut().find(|held| held.metric == metric) {
            Some(held) => {
                let is_earlier = at < held.at;
                held.at = held.at.min(at);
                is_earlier
            }
            None => {
                self.conversions.push(Conversion { metric, at });
                true
            }
        }
    }
}

impl Experiments {
    /// Keeps the users of the experiments that are counted from now on, whatever else is held.
    pub fn keep(&mut self, counted: &[CountedExperiment]) {
        self.running = counted.iter().map(|counted| (counted.name.clone(), counted.phase)).collect();
    }

    /// Notes the end of a request for the user's experiments: an exposure if the variant served it, and outcomes.
    pub fn add(&mut self, rules: &Ruleset, members: &[Member], ended: EndedRequest) {
        for member in members {
            let Some(counted) = rules.counted().get(member.experiment) else { continue };
            let variant = member.variant.filter(|_| !ended.is_fallback);
            let selected = ended.status.map(|status| counted.responded(member.selected, status));
            let mut metrics = selected.unwrap_or_default();
            if variant.is_some() {
                metrics |= counted.ended(ended.outcome, ended.ms);
            }
            if metrics.is_empty() && variant.is_none() {
                continue;
            }
            let Some(users) = self.phase(counted, ended.begun) else { continue };
            let place = Place { rules, begun: ended.begun };
            if let Some(variant) = variant {
                users.expose(place, member.user, variant);
            }
            users.guard(place, counted.guardrails().and(metrics), member.user, variant);
            // The value of a response is its milliseconds.
            let amount = Amount { value: u64::from(ended.ms) * 1_000, id: None };
            users.observe_all(place, (counted, metrics), member.user, amount);
        }
    }

    /// Notes an event that `metrics` of an experiment count for a user, by hash. `at_ms` is its time in milliseconds since
    /// 1970. Returns false if there is no room for the event.
    pub fn note_event(
        &mut self,
        rules: &Ruleset,
        (counted, metrics): (&CountedExperiment, MetricSet),
        user: u64,
        (at_ms, amount): (i64, Amount),
    ) -> bool {
        let place = Place { rules, begun: at_ms };
        let Some(users) = self.phase(counted, at_ms) else { return true };
        users.guard(place, counted.guardrails().and(metrics), user, None);
        users.observe_all(place, (counted, metrics), user, amount)
    }

    /// Returns the users of a phase, and creates them if there is room: for a running experiment there always is.
    fn phase(&mut self, counted: &CountedExperiment, begun: i64) -> Option<&mut PhaseUsers> {
        let is_held = |held: &PhaseUsers| held.phase == counted.phase && held.experiment == counted.name;
        let index = match self.phases.iter().position(is_held) {
            Some(index) => index,
            None => {
                let Self { phases, running } = self;
                let is_running = |name: &ExperimentName, phase: u32| {
                    running.iter().any(|(running, number)| running == name && *number == phase)
                };
                let has_ended = |held: &PhaseUsers| !is_running(&held.experiment, held.phase);
                if phases.iter().filter(|held| has_ended(held)).count() >= MAX_ENDED {
                    let idle = phases.iter().enumerate();
                    let idle = idle.filter(|(_, held)| held.windows.is_empty() && has_ended(held));
                    match idle.min_by_key(|(_, held)| held.newest).map(|(index, _)| index) {
                        Some(oldest) => drop(phases.swap_remove(oldest)),
                        None if is_running(&counted.name, counted.phase) => (),
                        None => return None,
                    }
                }
                phases.push(PhaseUsers::new(counted));
                phases.len() - 1
            }
        };
        let phase = self.phases.get_mut(index)?;
        phase.newest = phase.newest.max(begun);
        Some(phase)
    }

    /// Returns true if [`Experiments::take`] would return anything.
    pub fn has_ripe(&self, now: i64, at_rest: bool) -> bool {
        let mut windows = self.phases.iter().flat_map(|phase| &phase.windows);
        windows.any(|window| at_rest || window.is_ripe(now))
    }

    /// Removes the ripe windows, as far as there is room for so many entries. If the isolate is `at_rest`, it removes the
    /// others too: no later report may come.
    pub fn take(&mut self, now: i64, at_rest: bool, mut room: usize) -> Vec<ExperimentPart> {
        let mut parts = Vec::new();
        let is_ripe = |phase: &PhaseUsers| phase.windows.iter().any(|window| at_rest || window.is_ripe(now));
        let ripe = self.phases.iter().filter(|phase| is_ripe(phase)).count();
        let of_guarded = room / GUARDED_PART / ripe.max(1);
        // Of all phases, so that the other entries of none take the room of another one's.
        let mut begun = Vec::new();
        for phase in &mut self.phases {
            if room > PART_ENTRIES && is_ripe(phase) {
                room -= PART_ENTRIES;
                let mut taken = Taken::default();
                phase.take_guarded((now, at_rest), &mut taken, of_guarded, &mut room);
                begun.push((phase, taken));
            }
        }
        for (phase, taken) in begun {
            parts.extend(phase.take((now, at_rest), taken, &mut room));
        }
        parts
    }

    /// Returns the number of entries in memory, both of users and of what waits.
    pub fn held(&self) -> usize {
        self.phases.iter().map(|phase| phase.exposed.count() + phase.waiting.count()).sum()
    }
}

/// The rules that decided a request, and the time at which it began, in milliseconds since 1970.
#[derive(Clone, Copy)]
struct Place<'r> {
    rules: &'r Ruleset,
    begun: i64,
}

impl Place<'_> {
    /// Returns the time in seconds since 1970.
    fn at(self) -> i64 {
        self.begun.div_euclid(1_000)
    }
}

impl PhaseUsers {
    fn new(counted: &CountedExperiment) -> Self {
        Self {
            experiment: counted.name.clone(),
            phase: counted.phase,
            exposed: Thinned::default(),
            windows: Vec::new(),
            waiting: Waiting::default(),
            lost: 0,
            newest: i64::MIN,
        }
    }

    fn expose(&mut self, place: Place<'_>, user: u64, variant: u8) {
        let at = place.at();
        // A request that began earlier may end later.
        let is_known = |held: &Exposed| held.variant == variant && held.first <= at;
        if self.exposed.get(user).is_some_and(is_known) {
            return;
        }
        let theta = self.exposed.theta();
        let is_admitted = match self.exposed.insert(user) {
            Some((held, is_new)) => {
                held.variant = variant;
                held.first = if is_new { at } else { held.first.min(at) };
                true
            }
            None => false,
        };
        if self.exposed.theta() != theta {
            self.leave_out();
        }
        if is_admitted {
            self.change(place, |window| {
                window.expose((user, variant), at);
                true
            });
            self.thin();
        }
    }

    /// Notes events of guardrails of a user whom a variant has just served, or else of one whom this isolate saw
    /// exposed before. Nothing else that is left out leaves out such a user.
    fn guard(&mut self, place: Place<'_>, metrics: MetricSet, user: u64, served: Option<u8>) {
        if metrics.is_empty() {
            return;
        }
        let at = place.at();
        let exposed = self.exposed.get(user).filter(|held| held.first <= at).map(|held| held.variant);
        let Some(variant) = served.or(exposed) else { return };
        self.change(place, |window| {
            window.guard(user, GuardedUser { variant, metrics, at });
            true
        });
        while self.waiting.guarded > MAX_GUARDED_WAITING {
            let guarded = self.windows.iter_mut().filter(|window| window.waiting().guarded > 0);
            let Some(oldest) = guarded.min_by_key(|window| window.start) else { return };
            oldest.forget_guarded();
            self.remove_empty();
        }
    }

    /// Notes an outcome for each of the metrics. Returns false if there is no room for one of them, which is lost then unless
    /// it has an id: whoever sends an event with an id sends it again.
    fn observe_all(
        &mut self,
        place: Place<'_>,
        (counted, metrics): (&CountedExperiment, MetricSet),
        user: u64,
        amount: Amount,
    ) -> bool {
        if metrics.is_empty() || !self.exposed.admits(user) {
            return true;
        }
        let mut are_noted = true;
        for (position, kind) in metrics.positions().filter_map(|at| Some((at, counted.kind(at)?))) {
            let is_noted = match kind {
                MetricKind::Conversion => self.convert(place, user, position),
                MetricKind::Value | MetricKind::Ratio => {
                    let event = ValueEvent { at: place.at(), amount, is_counted: kind == MetricKind::Ratio };
                    self.add_value(place, user, position, event)
                }
            };
            self.lost += u64::from(!is_noted && amount.id.is_none());
            are_noted &= is_noted;
        }
        self.thin();
        are_noted
    }

    /// Notes a conversion, unless one of an exposed user was noted that is not later. Of a user whom another isolate may have
    /// seen exposed, the last one of each window is noted: it may be the first behind the exposure. Returns false without room.
    fn convert(&mut self, place: Place<'_>, user: u64, position: u8) -> bool {
        let at = place.at();
        let mut is_first = false;
        if let Some(held) = self.exposed.get_mut(user)
            && held.first <= at
        {
            if !held.convert(position, at) {
                return true;
            }
            is_first = true;
        }
        let (group, room) = self.room(user);
        self.change(place, |window| window.outcomes(group).convert((user, position), at, is_first, room))
    }

    /// Notes a value. Returns false without room.
    fn add_value(&mut self, place: Place<'_>, user: u64, position: u8, event: ValueEvent) -> bool {
        let (group, room) = self.room(user);
        self.change(place, |window| window.outcomes(group).add_value((user, position), event, room))
    }

    /// Returns the group that a user belongs to, and the number of entries for which its outcomes have room.
    fn room(&self, user: u64) -> (Group, usize) {
        match self.exposed.get(user) {
            // Those who are too many are thinned.
            Some(_) => (Group::Exposed, usize::MAX),
            None => (Group::Others, MAX_OF_OTHERS.saturating_sub(self.waiting.others)),
        }
    }

    /// Changes the event window of a request. Returns what `change` does.
    fn change(&mut self, place: Place<'_>, change: impl FnOnce(&mut Window) -> bool) -> bool {
        let start = window_of(place.begun);
        // The newest is last, and nearly always the one requested.
        let index = match self.windows.iter().rposition(|held| held.start == start) {
            Some(index) => index,
            None => {
                self.windows.push(Window::new(start, place.rules.longest_timeout_of_all_ms()));
                self.windows.len() - 1
            }
        };
        let Some(window) = self.windows.get_mut(index) else { return false };
        let before = window.waiting();
        let is_changed = change(window);
        self.waiting.replace(before, window.waiting());
        if window.is_empty() {
            // It was created for this, and is the last one.
            self.windows.pop();
        }
        is_changed
    }

    /// Leaves out users until no more wait than may.
    fn thin(&mut self) {
        while self.waiting.of_exposed > MAX_WAITING {
            self.exposed.halve();
            self.leave_out();
        }
    }

    /// Removes the waiting users who are left out since the last thinning.
    fn leave_out(&mut self) {
        let Self { exposed, windows, .. } = self;
        windows.iter_mut().for_each(|window| window.retain(|user| exposed.admits(user)));
        self.remove_empty();
    }

    /// Removes the windows of which nothing is left, and counts the entries of the others.
    fn remove_empty(&mut self) {
        self.windows.retain(|window| !window.is_empty());
        self.waiting = self.windows.iter().map(Window::waiting).sum();
    }

    /// Removes the ripe events of guardrails, which have `of_guarded` of the room.
    fn take_guarded(
        &mut self,
        (now, at_rest): (i64, bool),
        taken: &mut Taken,
        of_guarded: usize,
        room: &mut usize,
    ) {
        let most = of_guarded.min(*room);
        let mut left = most;
        for window in self.windows.iter_mut().filter(|window| at_rest || window.is_ripe(now)) {
            window.take_guarded(taken, &mut left);
        }
        *room -= most - left;
    }

    /// Removes what else is ripe, and adds it to what was taken. Returns `None` if there is nothing, or no room for any
    /// of it. Outcomes of users who were not seen exposed have what all else leaves.
    fn take(
        &mut self,
        (now, at_rest): (i64, bool),
        mut taken: Taken,
        room: &mut usize,
    ) -> Option<ExperimentPart> {
        for group in [Group::Exposed, Group::Others] {
            for window in self.windows.iter_mut().filter(|window| at_rest || window.is_ripe(now)) {
                window.take(group, &mut taken, room);
            }
        }
        self.remove_empty();
        let since = taken.since()?;
        let (theta, lost) = (self.exposed.theta(), std::mem::take(&mut self.lost));
        let empty = ExperimentPart::empty(self.experiment.clone(), self.phase, since);
        Some(taken.into_part(ExperimentPart { theta, lost, ..empty }))
    }
}
