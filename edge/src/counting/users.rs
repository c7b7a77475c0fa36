//! The users whose requests are evidence: which of them an isolate has seen in a step of a canary,
//! and what happened to them, by the event window in which their request began.
//!
//! A window is *ripe* when it is over and the longer time limit of the two arms has passed. Only then
//! it is sent, so both arms' outcomes of a window are learned together: an arm that fails faster must
//! not be learned first. A batch with too little room takes the smallest hashes of a window, which
//! depends on no arm either.

use crate::counting::thinned::Thinned;
use cutover_core::{
    Arm, FlagName, PartsPerMillion, Ruleset, RunId,
    measurement::{
        batch::{SeenUser, UserEvents, UserWindow, WINDOW_MS},
        event_kinds::EventKinds,
        label::CanaryLabel,
    },
};
use std::collections::BTreeMap;

/// Most steps of canaries whose users are held. A further step takes the place of the one without
/// requests for the longest time, if nothing of that one waits; otherwise its users are left out.
const MAX_STEPS: usize = 32;

/// Most events waiting to be sent, per step. Beyond it the users are thinned.
const MAX_WAITING_EVENTS: usize = 4_096;

/// Most users in one batch, at most 60 KB.
const MAX_BATCH_USERS: usize = 512;

/// Number of users whose room the names of a window take. After an hour without ingest there are hundreds of windows.
const WINDOW_USERS: usize = 4;

/// A request of a user who is evidence.
#[derive(Debug, Clone, Copy)]
pub struct UserRequest {
    /// Keyed hash of the user id.
    pub user: u64,
    /// The arm of the user's bucket.
    pub arm: Arm,
    /// True if the id was minted for this request.
    pub minted: bool,
    /// Start of the request, in milliseconds since 1970.
    pub begun: i64,
}

/// The step of a canary in the rules that decided a request.
#[derive(Debug, Clone, Copy)]
pub struct DecidedStep<'r> {
    rules: &'r Ruleset,
    position: usize,
    flag: &'r FlagName,
    label: &'r CanaryLabel,
}

impl<'r> DecidedStep<'r> {
    /// Finds the canary of the flag at a position; `None` if none is active.
    pub fn of(rules: &'r Ruleset, position: usize) -> Option<Self> {
        let flag = &rules.flags().get(position)?.name;
        Some(Self { rules, position, flag, label: rules.canary(position)? })
    }
}

/// The users of all steps.
#[derive(Debug, Default)]
pub struct Users {
    steps: Vec<StepUsers>,
}

/// The users of one step.
#[derive(Debug)]
struct StepUsers {
    flag: FlagName,
    canary: (RunId, u32),
    /// Users who had an outcome.
    seen: Thinned<()>,
    /// Users who had an event; true if one of their events was an error.
    events: Thinned<bool>,
    /// Users of whom a request was compared.
    compared: Thinned<()>,
    /// Windows waiting to be sent.
    windows: Vec<Window>,
    /// Start of the newest request, in milliseconds since 1970.
    newest: i64,
}

/// The users of one event window, by hash.
#[derive(Debug)]
struct Window {
    start: i64,
    share: PartsPerMillion,
    settle_ms: u32,
    seen: BTreeMap<u64, Arm>,
    /// By hash, and by true if the id was minted: ids that clients brought are counted apart.
    events: BTreeMap<(u64, bool), UserEvents>,
    compared: BTreeMap<u64, bool>,
}

impl Users {
    /// Notes a user without an event: something else answered in place of the user's arm.
    pub fn see(&mut self, decided: DecidedStep<'_>, request: UserRequest) {
        if let Some(step) = self.step(decided, request.begun) {
            step.see(decided, request);
        }
    }

    /// Notes a user and the outcome of their request.
    pub fn add(&mut self, decided: DecidedStep<'_>, request: UserRequest, kinds: EventKinds) {
        if let Some(step) = self.step(decided, request.begun) {
            step.see(decided, request);
            step.add_events(decided, request, kinds);
        }
    }

    /// Notes if the responses to a compared request differ. Only the first one of a user in a step
    /// counts.
    pub fn compare(&mut self, decided: DecidedStep<'_>, request: UserRequest, mismatched: bool) {
        if let Some(step) = self.step(decided, request.begun) {
            step.compare(decided, request, mismatched);
        }
    }

    /// Returns the users of a step, and creates the step if there is room for it.
    fn step(&mut self, decided: DecidedStep<'_>, begun: i64) -> Option<&mut StepUsers> {
        let index = match self.steps.iter().position(|held| held.is_of(decided)) {
            Some(index) => index,
            None => {
                if self.steps.len() >= MAX_STEPS {
                    let idle = self.steps.iter().enumerate().filter(|(_, held)| held.windows.is_empty());
                    let (oldest, _) = idle.min_by_key(|(_, held)| held.newest)?;
                    self.steps.swap_remove(oldest);
                }
                self.steps.push(StepUsers::new(decided));
                self.steps.len() - 1
            }
        };
        let step = self.steps.get_mut(index)?;
        step.newest = step.newest.max(begun);
        Some(step)
    }

    /// Returns true if [`Users::take`] would return anything.
    pub fn has_ripe(&self, now: i64, at_rest: bool) -> bool {
        let mut windows = self.steps.iter().flat_map(|step| &step.windows);
        windows.any(|window| at_rest || window.is_ripe(now))
    }

    /// Removes the ripe windows, as far as a batch has room for them. If the isolate is `at_rest`,
    /// it removes the others too: no later report may come.
    pub fn take(&mut self, now: i64, at_rest: bool) -> Vec<UserWindow> {
        let mut room = MAX_BATCH_USERS;
        let mut taken = Vec::new();
        for step in &mut self.steps {
            for window in &mut step.windows {
                if room > WINDOW_USERS && (at_rest || window.is_ripe(now)) {
                    room -= WINDOW_USERS;
                    taken.push(window.take(&step.flag, &step.canary, &mut room));
                }
            }
            step.windows.retain(|window| !window.is_empty());
        }
        taken
    }

    /// Returns the number of entries in memory, both of users and of events.
    pub fn held(&self) -> usize {
        let held = |step: &StepUsers| {
            let users = step.seen.count() + step.events.count() + step.compared.count();
            users + step.windows.iter().map(Window::count).sum::<usize>()
        };
        self.steps.iter().map(held).sum()
    }
}

impl StepUsers {
    fn new(decided: DecidedStep<'_>) -> Self {
        Self {
            flag: decided.flag.clone(),
            canary: (decided.label.run.clone(), decided.label.step),
            seen: Thinned::default(),
            events: Thinned::default(),
            compared: Thinned::default(),
            windows: Vec::new(),
            newest: i64::MIN,
        }
    }

    fn is_of(&self, decided: DecidedStep<'_>) -> bool {
        let (run, step) = &self.canary;
        *step == decided.label.step && *run == decided.label.run && self.flag == *decided.flag
    }

    fn see(&mut self, decided: DecidedStep<'_>, request: UserRequest) {
        let theta = self.seen.theta();
        if matches!(self.seen.insert(request.user), Some((_, true)))
            && let Some(window) = self.window(decided, request.begun)
        {
            window.seen.insert(request.user, request.arm);
        }
        if self.seen.theta() != theta {
            self.leave_out();
        }
    }

    fn compare(&mut self, decided: DecidedStep<'_>, request: UserRequest, mismatched: bool) {
        let theta = self.compared.theta();
        if matches!(self.compared.insert(request.user), Some((_, true)))
            && let Some(window) = self.window(decided, request.begun)
        {
            window.compared.insert(request.user, mismatched);
        }
        if self.compared.theta() != theta {
            self.leave_out();
        }
    }

    fn add_events(&mut self, decided: DecidedStep<'_>, request: UserRequest, kinds: EventKinds) {
        let UserRequest { user, arm, minted, begun } = request;
        let theta = self.events.theta();
        let is_error = kinds.contains(EventKinds::ERROR);
        let has_failed = if kinds.is_empty() {
            self.events.get(user).copied().unwrap_or_default()
        } else {
            let held = self.events.insert(user);
            held.is_some_and(|(has_failed, _)| {
                *has_failed |= is_error;
                *has_failed
            })
        };
        if self.events.theta() != theta {
            self.leave_out();
        }
        // Of a user who has failed, all further requests are counted.
        let is_event = !kinds.is_empty() && self.events.admits(user);
        if (is_event || has_failed)
            && let Some(window) = self.window(decided, begun)
        {
            let new = UserEvents { user, arm, minted, kinds: EventKinds::NONE, errors: 0, requests: 0 };
            let events = window.events.entry((user, minted)).or_insert(new);
            events.kinds |= kinds;
            events.errors += u32::from(is_error);
            events.requests += u32::from(has_failed);
        }
        while self.windows.iter().map(|window| window.events.len()).sum::<usize>() > MAX_WAITING_EVENTS {
            self.events.halve();
            self.leave_out();
        }
    }

    /// Removes the waiting users who are left out since the last thinning.
    fn leave_out(&mut self) {
        let Self { seen, events, compared, windows, .. } = self;
        for window in &mut *windows {
            window.seen.retain(|user, _| seen.admits(*user));
            window.events.retain(|(user, _), _| events.admits(*user));
            window.compared.retain(|user, _| compared.admits(*user));
        }
        windows.retain(|window| !window.is_empty());
    }

    /// Returns the event window of a request that began at the given time.
    fn window(&mut self, decided: DecidedStep<'_>, begun: i64) -> Option<&mut Window> {
        let start = begun - begun.rem_euclid(WINDOW_MS);
        let share = decided.label.share;
        // The newest is last, and nearly always the one requested.
        let found = self.windows.iter().rposition(|held| held.start == start && held.share == share);
        let index = match found {
            Some(index) => index,
            None => {
                let settle_ms = decided.rules.longest_timeout_ms(decided.position);
                self.windows.push(Window::new(start, share, settle_ms));
                self.windows.len() - 1
            }
        };
        self.windows.get_mut(index)
    }
}

impl Window {
    fn new(start: i64, share: PartsPerMillion, settle_ms: u32) -> Self {
        let (seen, events, compared) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { start, share, settle_ms, seen, events, compared }
    }

    fn is_ripe(&self, now: i64) -> bool {
        now >= self.start + WINDOW_MS + i64::from(self.settle_ms)
    }

    fn count(&self) -> usize {
        self.seen.len() + self.events.len() + self.compared.len()
    }

    fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn take(&mut self, flag: &FlagName, canary: &(RunId, u32), room: &mut usize) -> UserWindow {
        let seen = take_first(&mut self.seen, room);
        let events = take_first(&mut self.events, room);
        UserWindow {
            flag: flag.clone(),
            canary: canary.clone(),
            share: self.share,
            window: self.start,
            settle_ms: self.settle_ms,
            seen: seen.into_iter().map(|(user, arm)| SeenUser(user, arm)).collect(),
            events: events.into_iter().map(|(_, events)| events).collect(),
            compared: take_first(&mut self.compared, room),
        }
    }
}

/// Removes the entries with the smallest keys, as many as there is room for.
pub(in crate::counting) fn take_first<K: Ord, V>(map: &mut BTreeMap<K, V>, room: &mut usize) -> Vec<(K, V)> {
    let taken: Vec<_> = std::iter::from_fn(|| map.pop_first()).take(*room).collect();
    *room -= taken.len();
    taken
}
