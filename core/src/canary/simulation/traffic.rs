//! The requests of a step, and the batches in which an isolate reports them. Requests are aggregated
//! by window as the edge does it: counts by the time at which they are reported, users by the window
//! in which their request began.

use crate::{
    canary::{
        run::Run,
        simulation::{
            crowd::{Ended, User, arm_of, users},
            isolates::{Edge, Report, Request},
            random::{Activity, Random},
            scenario::{Fault, Scenario, Seeds},
        },
    },
    measurement::{
        batch::{Batch, Cell, SeenUser, UserEvents, UserWindow, WINDOW_MS},
        counts::Counts,
        event_kinds::EventKinds,
    },
    vocabulary::{arm::Arm, reason::Reason, revision::Revision, share::PartsPerMillion},
};
use std::collections::VecDeque;

/// Response time of a request without a fault, in milliseconds.
const USUAL_MS: i64 = 100;

/// Time from an outcome to its arrival in the control plane, in milliseconds, from an isolate that never rests.
const REPORT_MS: i64 = 2_000;

/// Counts of one arm that are not reported yet.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    requests: u64,
    errors: u64,
    timeouts: u64,
    slow: u64,
    unauthorized: u64,
    not_found: u64,
}

/// Requests of a scenario, window by window.
#[derive(Debug)]
pub(super) struct Traffic<'s> {
    run: &'s Run,
    scenario: &'s Scenario,
    random: Random,
    activity: Activity,
    users: Vec<User>,
    /// Faults, in the phase of this trial.
    faults: Vec<Fault>,
    /// Number of the window, from 0.
    window: i64,
    /// Isolates that report in turns, if the scenario has them.
    edge: Option<Edge>,
    /// Counts of legacy and of the new arm that arrive in this window, and in each of the next ones.
    arriving: VecDeque<[Tally; 2]>,
    /// Users of past windows, with the number of the window in which they arrive.
    waiting: Vec<(i64, UserWindow)>,
}

/// Users of the open window: of the step's snapshot, and of the one before.
struct OpenWindow {
    current: UserWindow,
    old: UserWindow,
}

impl<'s> Traffic<'s> {
    pub(super) fn new(run: &'s Run, scenario: &'s Scenario, seeds: Seeds) -> Self {
        let mut random = Random::new(seeds.traffic);
        let phase = scenario.phase_ms.unwrap_or_else(|| (random.unit() * WINDOW_MS as f64) as i64);
        let in_phase = |fault: &Fault| {
            let late = if fault.from_ms > 0 { phase } else { 0 };
            Fault { from_ms: fault.from_ms + late, until_ms: fault.until_ms.saturating_add(late), ..*fault }
        };
        Self {
            run,
            scenario,
            random,
            activity: Activity::zipf(scenario.users),
            users: users(run, scenario, seeds),
            faults: scenario.faults.iter().map(in_phase).collect(),
            window: 0,
            // A seed of its own: the draws of other scenarios stay as they are.
            edge: scenario.isolates.map(|spread| Edge::new(spread, scenario.settle_ms(), !seeds.users)),
            arriving: VecDeque::new(),
            waiting: Vec::new(),
        }
    }

    /// Returns the beginning of the last fault, in milliseconds since the start of the step.
    pub(super) fn last_fault_ms(&self) -> i64 {
        self.faults.iter().map(|fault| fault.from_ms).max().unwrap_or_default()
    }

    /// Returns everything that arrives in the next window.
    pub(super) fn next_batch(&mut self) -> Batch {
        let old_share = self.scenario.old_snapshots.map_or(PartsPerMillion::ZERO, |old| old.share);
        let [current, old] = [self.run.share(), old_share].map(|share| self.user_window(self.window, share));
        let mut open = OpenWindow { current, old };
        let bot = self.scenario.bot.map_or(0, |bot| bot.requests_per_second);
        for (per_second, is_bot) in [(self.scenario.requests_per_second, false), (bot, true)] {
            let count = i64::from(per_second) * WINDOW_MS / 1_000;
            for number in 0..count {
                let begun = number * WINDOW_MS / count;
                if is_bot { self.send_as_bot(&mut open, begun) } else { self.send(&mut open, begun) }
            }
        }
        let arrival = self.window + (WINDOW_MS + self.scenario.settle_ms() + REPORT_MS) / WINDOW_MS;
        for reported in [open.current, open.old] {
            self.wait(arrival, reported);
        }
        let end = (self.window + 1) * WINDOW_MS;
        let reports = self.edge.as_mut().map(|edge| edge.report_until(end)).unwrap_or_default();
        reports.into_iter().for_each(|report| self.receive(report));
        let batch = self.batch();
        self.window += 1;
        batch
    }

    /// Notes users that arrive in a later window, if there are any.
    fn wait(&mut self, arrival: i64, reported: UserWindow) {
        if !reported.seen.is_empty() || !reported.events.is_empty() {
            self.waiting.push((arrival, reported));
        }
    }

    /// Takes in a report, which arrives in this window or in a later one.
    fn receive(&mut self, report: Report) {
        let arrival = report.arrival.div_euclid(WINDOW_MS);
        for request in &report.requests {
            // The counts of others are those of another step.
            if request.share == self.run.share() {
                self.add(arrival - self.window, request.arm, request.ended);
            }
        }
        for ((number, share), users) in report.users {
            let window = self.user_window(number, share);
            self.wait(arrival, UserWindow { seen: users.seen, events: users.events, ..window });
        }
    }

    /// Creates an empty event window, numbered from 0.
    fn user_window(&self, number: i64, share: PartsPerMillion) -> UserWindow {
        UserWindow {
            flag: self.run.flag.clone(),
            canary: (self.run.id.clone(), self.run.step),
            share,
            window: self.run.step_started_at.millis() + number * WINDOW_MS,
            settle_ms: u32::try_from(self.scenario.settle_ms()).unwrap_or(u32::MAX),
            seen: Vec::new(),
            events: Vec::new(),
            compared: Vec::new(),
        }
    }

    /// Sends the request of a user. `begun` is in milliseconds since the start of the window.
    fn send(&mut self, open: &mut OpenWindow, begun: i64) {
        let now = self.window * WINDOW_MS + begun;
        let old = self.scenario.old_snapshots.filter(|old| now < old.until_ms);
        let is_old = old.is_some() && self.random.unit() < 0.5;
        let number = self.activity.draw(&mut self.random);
        let Some(user) = self.users.get_mut(number as usize) else { return };
        let arm = if is_old { user.old_arm } else { user.arm };
        let ended = user.end(arm, now, &self.faults, &mut self.random);
        if let Some(edge) = &mut self.edge {
            let share = old.filter(|_| is_old).map_or(self.run.share(), |old| old.share);
            let end = now + lasted(self.scenario, arm, ended);
            edge.send(Request { begun: now, end, user: user.hash, arm, minted: false, share, ended });
            return;
        }
        if is_old {
            // Its counts are those of another step.
            open.old.seen.push(SeenUser(user.hash, arm));
            open.old.events.extend(event(user.hash, arm, false, ended.kinds));
            return;
        }
        open.note(user, self.window, ended.kinds);
        self.count(arm, begun, ended);
    }

    /// Sends a request whose id is minted for it.
    fn send_as_bot(&mut self, open: &mut OpenWindow, begun: i64) {
        let user = self.random.draw();
        let arm = arm_of(self.random.draw(), self.run.share());
        let is_failing = self.scenario.bot.is_some_and(|bot| self.random.unit() < bot.failing);
        let kinds = if is_failing { EventKinds::ERROR } else { EventKinds::NONE };
        let ended = Ended { kinds, timed_out: false };
        if let Some(edge) = &mut self.edge {
            let now = self.window * WINDOW_MS + begun;
            let (end, share) = (now + lasted(self.scenario, arm, ended), self.run.share());
            edge.send(Request { begun: now, end, user, arm, minted: true, share, ended });
            return;
        }
        open.current.seen.push(SeenUser(user, arm));
        open.current.events.extend(event(user, arm, true, kinds));
        self.count(arm, begun, ended);
    }

    /// Counts a request of this window when its outcome arrives.
    fn count(&mut self, arm: Arm, begun: i64, ended: Ended) {
        self.add((begun + lasted(self.scenario, arm, ended) + REPORT_MS) / WINDOW_MS, arm, ended);
    }

    /// Adds an outcome that arrives so many windows after this one.
    fn add(&mut self, later: i64, arm: Arm, ended: Ended) {
        let later = usize::try_from(later).unwrap_or_default();
        while self.arriving.len() <= later {
            self.arriving.push_back(Default::default());
        }
        let arms = self.arriving.get_mut(later);
        if let Some(tally) = arms.and_then(|arms| arms.get_mut(usize::from(arm == Arm::New))) {
            tally.add(ended);
        }
    }

    fn batch(&mut self) -> Batch {
        let arrived = self.arriving.pop_front().unwrap_or_default();
        let cells = arrived.into_iter().zip([Arm::Legacy, Arm::New]);
        let cells = cells.filter(|(tally, _)| tally.requests > 0).map(|(tally, arm)| Cell {
            flag: Some(self.run.flag.clone()),
            route: None,
            arm,
            reason: Reason::Rollout,
            revision: Revision::default(),
            canary: Some((self.run.id.clone(), self.run.step)),
            counts: tally.counts(),
        });
        let cells = cells.collect();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (arrived, waiting): (Vec<_>, Vec<_>) = waiting.partition(|(arrival, _)| *arrival <= self.window);
        self.waiting = waiting;
        let users = arrived.into_iter().map(|(_, users)| users).collect();
        let sequence = u64::try_from(self.window).unwrap_or_default() + 1;
        Batch { cells, users, ..Batch::empty(String::new(), sequence) }
    }
}

/// Returns the duration of a request, in milliseconds.
fn lasted(scenario: &Scenario, arm: Arm, ended: Ended) -> i64 {
    let limits = scenario.time_limits;
    match (ended.timed_out, arm) {
        (false, _) => USUAL_MS,
        (true, Arm::New) => limits.new_ms,
        (true, Arm::Legacy) => limits.legacy_ms,
    }
}

/// Builds the entry of a request that is an event; `None` for one that is not.
fn event(user: u64, arm: Arm, minted: bool, kinds: EventKinds) -> Option<UserEvents> {
    let errors = u32::from(kinds.contains(EventKinds::ERROR));
    (!kinds.is_empty()).then_some(UserEvents { user, arm, minted, kinds, errors, requests: errors })
}

impl OpenWindow {
    /// Notes a request of a user, as the edge does.
    fn note(&mut self, user: &mut User, window: i64, kinds: EventKinds) {
        if !user.seen {
            user.seen = true;
            self.current.seen.push(SeenUser(user.hash, user.arm));
        }
        let is_error = kinds.contains(EventKinds::ERROR);
        user.has_failed |= is_error;
        // Of a user who has failed, all further requests are counted.
        if kinds.is_empty() && !user.has_failed {
            return;
        }
        let events = &mut self.current.events;
        if user.entry.0 != window {
            user.entry = (window, events.len());
            let (user, arm) = (user.hash, user.arm);
            events.push(UserEvents {
                user,
                arm,
                minted: false,
                kinds: EventKinds::NONE,
                errors: 0,
                requests: 0,
            });
        }
        if let Some(entry) = events.get_mut(user.entry.1) {
            entry.kinds |= kinds;
            entry.errors += u32::from(is_error);
            entry.requests += u32::from(user.has_failed);
        }
    }
}

impl Tally {
    fn add(&mut self, Ended { kinds, timed_out }: Ended) {
        self.requests += 1;
        for (sum, kind) in [
            (&mut self.slow, EventKinds::SLOW),
            (&mut self.unauthorized, EventKinds::UNAUTHORIZED),
            (&mut self.not_found, EventKinds::NOT_FOUND),
            (if timed_out { &mut self.timeouts } else { &mut self.errors }, EventKinds::ERROR),
        ] {
            *sum += u64::from(kinds.contains(kind));
        }
    }

    fn counts(self) -> Counts {
        Counts {
            requests: self.requests,
            server_errors: self.errors,
            timeouts: self.timeouts,
            unauthorized: self.unauthorized,
            not_found: self.not_found,
            slow_success: self.slow,
            slow_rollback: self.slow,
            ..Counts::default()
        }
    }
}
