//! The users of experiments: whom an isolate has seen exposed to a variant, and their outcomes, by the event window in which
//! the request began.
//!
//! As with the users of canaries, a window is sent when it is *ripe*: it is over, and the longest time limit of an origin has
//! passed. So the outcomes of all variants are learned together. A batch with too little room takes the smallest hashes of a
//! window, which depend on no variant, and leaves the others to the next batch.
//!
//! A request that the variant served is an exposure, however it ended. If legacy answers after a failure of the new backend, its
//! response counts for the metrics of responses, and for nothing else.

mod window;

pub use self::window::Amount;

use self::window::{Taken, Window};
use crate::counting::{thinned::Thinned, tickets::Member};
use cutover_core::{
    ExperimentName, Ruleset,
    decision::counted::{CountedExperiment, MetricSet},
    measurement::{batch::window_of, counts::Outcome, experiments::ExperimentPart},
    rules::experiment::metric::MetricKind,
};

/// Most phases of experiments whose users are held. A further one takes the place of the one without requests for the longest
/// time, if nothing of that one waits; otherwise its users are left out.
const MAX_PHASES: usize = 32;

/// Most exposures and outcomes of a phase waiting to be sent. Beyond it the users are thinned.
const MAX_WAITING: usize = 4_096;

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

/// The users of all phases.
#[derive(Debug, Default)]
pub struct Experiments {
    phases: Vec<PhaseUsers>,
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
    /// Start of the newest request, in milliseconds since 1970.
    newest: i64,
}

/// A user whom this isolate saw exposed.
#[derive(Debug, Clone, Copy, Default)]
struct Exposed {
    variant: u8,
    /// Time of the first exposure, in seconds since 1970.
    first: i64,
    /// Conversions that were noted since: only the first one of a metric counts.
    converted: MetricSet,
}

impl Experiments {
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
            // The value of a response is its milliseconds.
            let amount = Amount { value: u64::from(ended.ms) * 1_000, id: None };
            users.observe_all(place, (counted, metrics), member.user, amount);
        }
    }

    /// Notes an event that `metrics` of an experiment count for a user, by hash. `at_ms` is its time in milliseconds since
    /// 1970.
    pub fn note_event(
        &mut self,
        rules: &Ruleset,
        (counted, metrics): (&CountedExperiment, MetricSet),
        user: u64,
        (at_ms, amount): (i64, Amount),
    ) {
        if let Some(users) = self.phase(counted, at_ms) {
            users.observe_all(Place { rules, begun: at_ms }, (counted, metrics), user, amount);
        }
    }

    /// Returns the users of a phase, and creates them if there is room.
    fn phase(&mut self, counted: &CountedExperiment, begun: i64) -> Option<&mut PhaseUsers> {
        let is_held = |held: &PhaseUsers| held.phase == counted.phase && held.experiment == counted.name;
        let index = match self.phases.iter().position(is_held) {
            Some(index) => index,
            None => {
                if self.phases.len() >= MAX_PHASES {
                    let idle = self.phases.iter().enumerate().filter(|(_, held)| held.windows.is_empty());
                    let (oldest, _) = idle.min_by_key(|(_, held)| held.newest)?;
                    self.phases.swap_remove(oldest);
                }
                self.phases.push(PhaseUsers::new(counted));
                self.phases.len() - 1
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
        for phase in &mut self.phases {
            if room > PART_ENTRIES && phase.windows.iter().any(|window| at_rest || window.is_ripe(now)) {
                room -= PART_ENTRIES;
                parts.extend(phase.take(now, at_rest, &mut room));
            }
        }
        parts
    }

    /// Returns the number of entries in memory, both of users and of what waits.
    pub fn held(&self) -> usize {
        self.phases.iter().map(|phase| phase.exposed.count() + phase.waiting()).sum()
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
        if is_admitted && let Some(window) = self.window(place) {
            window.expose((user, variant), at);
            self.thin();
        }
    }

    /// Notes an outcome for each of the metrics.
    fn observe_all(
        &mut self,
        place: Place<'_>,
        (counted, metrics): (&CountedExperiment, MetricSet),
        user: u64,
        amount: Amount,
    ) {
        if metrics.is_empty() || !self.exposed.admits(user) {
            return;
        }
        for (position, kind) in metrics.positions().filter_map(|at| Some((at, counted.kind(at)?))) {
            if kind == MetricKind::Conversion {
                self.convert(place, user, position);
            } else if let Some(window) = self.window(place) {
                window.add_value((user, position), place.at(), amount, kind == MetricKind::Ratio);
            }
        }
        self.thin();
    }

    /// Notes a conversion, unless an earlier one of an exposed user was noted. Of a user whom another isolate may have seen
    /// exposed, the last one of each window is noted: it may be the first behind the exposure.
    fn convert(&mut self, place: Place<'_>, user: u64, position: u8) {
        let at = place.at();
        if let Some(held) = self.exposed.get_mut(user)
            && held.first <= at
        {
            if held.converted.has(position) {
                return;
            }
            held.converted |= MetricSet::of(position);
        }
        if let Some(window) = self.window(place) {
            window.convert((user, position), at);
        }
    }

    /// Returns the event window of a request.
    fn window(&mut self, place: Place<'_>) -> Option<&mut Window> {
        let start = window_of(place.begun);
        // The newest is last, and nearly always the one requested.
        let index = match self.windows.iter().rposition(|held| held.start == start) {
            Some(index) => index,
            None => {
                self.windows.push(Window::new(start, place.rules.longest_timeout_of_all_ms()));
                self.windows.len() - 1
            }
        };
        self.windows.get_mut(index)
    }

    /// Returns the number of entries waiting to be sent.
    fn waiting(&self) -> usize {
        self.windows.iter().map(Window::count).sum()
    }

    /// Leaves out users until no more wait than may.
    fn thin(&mut self) {
        while self.waiting() > MAX_WAITING {
            self.exposed.halve();
            self.leave_out();
        }
    }

    /// Removes the waiting users who are left out since the last thinning.
    fn leave_out(&mut self) {
        let Self { exposed, windows, .. } = self;
        windows.iter_mut().for_each(|window| window.retain(|user| exposed.admits(user)));
        windows.retain(|window| !window.is_empty());
    }

    /// Removes what is ripe. Returns `None` if there is no room for any of it.
    fn take(&mut self, now: i64, at_rest: bool, room: &mut usize) -> Option<ExperimentPart> {
        let mut taken = Taken::default();
        for window in self.windows.iter_mut().filter(|window| at_rest || window.is_ripe(now)) {
            window.take(&mut taken, room);
        }
        self.windows.retain(|window| !window.is_empty());
        let since = taken.since()?;
        let empty = ExperimentPart::empty(self.experiment.clone(), self.phase, since);
        Some(taken.into_part(ExperimentPart { theta: self.exposed.theta(), ..empty }))
    }
}
