//! Evidence of a run: the counts and the users of its step. Within one arrival window the result does
//! not depend on the order in which things arrived.

use crate::{
    canary::{
        breach::Breach,
        group::{Group, GroupMeasure},
        measure::Measure,
        plan::CanaryPlan,
        run::Run,
        users::{ComparedUsers, EventEvidence, PERIOD_MS, SeenUsers},
        watch::{Span, Watch, Watches},
        window::{BothArms, StepCounts, Window},
    },
    json::omit::is_zero,
    measurement::{
        batch::{SeenUser, UserWindow, WINDOW_MS},
        pace::report_time,
    },
    vocabulary::{
        names::{RouteId, RunId},
        share::PartsPerMillion,
        timestamp::Timestamp,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time for which diverted requests, and evidence that was lost, keep a step from being proven, in milliseconds. It is a
/// period: a user who still meets a fault has been reported again by then.
const INCOMPLETE_MS: i64 = PERIOD_MS;

/// Evidence of a route with criteria of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RouteEvidence {
    /// Counts of the whole step.
    pub counts: BothArms,
    /// Watches over the newest requests.
    pub watches: Watches,
}

/// Evidence of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEvidence {
    /// The step, from 0.
    pub step: u32,
    /// Share of users on the new arm.
    pub share: PartsPerMillion,
    /// Time at which the step began or the run was resumed, in milliseconds since 1970. Periods are counted from it.
    pub began: i64,
    /// Time of the last step up, in milliseconds since 1970, if it is not that at which the step began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stepped_up: Option<i64>,
    /// Counts of the whole step, of all routes.
    pub counts: BothArms,
    /// Routes with criteria of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteId, RouteEvidence>,
    /// Distinct users.
    #[serde(default)]
    pub seen: SeenUsers,
    /// Users with an event.
    #[serde(default)]
    pub events: EventEvidence,
    /// Users whose responses were compared.
    #[serde(default)]
    pub compared: ComparedUsers,
    /// Watches over the newest requests of the routes without criteria of their own.
    #[serde(default)]
    pub watches: Watches,
    /// Comparison that fired while the new arm kept its success limits. It holds the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse: Option<Breach>,
    /// Start of the last arrival window with diverted requests, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_diverted: Option<i64>,
    /// Outcomes that isolates could not report. Those are of both arms, so a breach that the others show is still one;
    /// but evidence with a gap proves nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outcomes_lost: u64,
    /// Users that isolates could not report.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub users_lost: u64,
    /// Start of the last arrival window that told of lost evidence, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_lost: Option<i64>,
    /// The longest time limit behind which users were reported, in milliseconds.
    #[serde(default)]
    pub settle_ms: u32,
    /// Time that a report takes, by the newest arrival window, in milliseconds, see [`Window::report_ms`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub report_ms: u64,
    /// End of the newest event window whose users were added, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_through: Option<i64>,
}

/// Evidence of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The run that the evidence belongs to.
    pub run: RunId,
    /// Evidence of its current step.
    pub current: StepEvidence,
    /// Evidence of the step before. Windows of it that arrive late can still be a breach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<StepEvidence>,
    /// Users of event windows that are not ripe. They are added when their window is, whatever they
    /// say, so that both arms are learned together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unripe: Vec<UserWindow>,
    /// Breach found so far. It is kept even if later windows look better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<Breach>,
    /// Start of the last arrival window with requests on the new arm, in milliseconds since 1970.
    #[serde(default)]
    pub last_new: Option<i64>,
    /// Start of the last arrival window with requests on the legacy arm.
    #[serde(default)]
    pub last_legacy: Option<i64>,
    /// Arrival time up to which windows were folded, in milliseconds since 1970.
    #[serde(default)]
    pub through: Option<i64>,
    /// Requests on the new arm that belong to steps before the previous one and were discarded.
    #[serde(default)]
    pub too_late: u64,
}

impl StepEvidence {
    fn begin(run: &Run) -> Self {
        Self {
            step: run.step,
            share: run.plan.share_at(run.step),
            began: run.step_started_at.millis(),
            stepped_up: run.stepped_up_at.map(Timestamp::millis),
            counts: BothArms::default(),
            routes: run
                .plan
                .options
                .route_criteria
                .keys()
                .map(|route| (route.clone(), RouteEvidence::default()))
                .collect(),
            seen: SeenUsers::default(),
            events: EventEvidence::default(),
            compared: ComparedUsers::default(),
            watches: Watches::default(),
            worse: None,
            last_diverted: None,
            outcomes_lost: 0,
            users_lost: 0,
            last_lost: None,
            settle_ms: 0,
            report_ms: 0,
            users_through: None,
        }
    }

    /// Returns true if a window from `start` was over when the step began. It may have counts of the step nevertheless: a
    /// run is resumed at the step that it had, and a flag that is behind learns what came before only after that.
    fn is_before(&self, start: i64) -> bool {
        start.saturating_add(WINDOW_MS) <= self.began
    }

    /// Returns true if both arms serve users of the bucket, so that they can be compared.
    pub(crate) fn has_both_arms(&self) -> bool {
        self.share > PartsPerMillion::ZERO && self.share < PartsPerMillion::ALL
    }

    /// Returns true if requests were diverted in the ten minutes before `now`.
    pub(crate) fn was_diverted(&self, now: i64) -> bool {
        self.last_diverted.is_some_and(|last| now.saturating_sub(last) < INCOMPLETE_MS)
    }

    /// Returns true if outcomes or users were reported as lost in the ten minutes before `now`.
    pub(crate) fn has_losses(&self, now: i64) -> bool {
        self.last_lost.is_some_and(|last| now.saturating_sub(last) < INCOMPLETE_MS)
    }

    /// Returns the counts of a group of requests: of a route, or of all routes without criteria of
    /// their own.
    pub(crate) fn counts_of(&self, route: Option<&RouteId>) -> BothArms {
        match route {
            Some(route) => self.routes.get(route).map(|held| held.counts).unwrap_or_default(),
            None => self.counts.without(self.routes.values().map(|held| &held.counts)),
        }
    }

    /// Returns the watch over a measure of a group.
    pub(crate) fn watch(&self, measure: GroupMeasure<'_>) -> &Watch {
        // The step was begun with all routes of its plan.
        let own = measure.group.route.and_then(|route| self.routes.get(route));
        own.map_or(&self.watches, |held| &held.watches).of(measure.kind)
    }

    /// Returns the watch over a measure of a group, to be changed.
    pub(crate) fn watch_mut(&mut self, measure: GroupMeasure<'_>) -> &mut Watch {
        let Self { routes, watches, .. } = self;
        let own = measure.group.route.and_then(|route| routes.get_mut(route));
        own.map_or(watches, |held| &mut held.watches).of_mut(measure.kind)
    }

    /// Returns all watches.
    fn all_watches(&self) -> impl Iterator<Item = &Watches> {
        std::iter::once(&self.watches).chain(self.routes.values().map(|held| &held.watches))
    }

    /// Moves the detectors of all groups by the windows that began before `closed`.
    fn close(&mut self, closed: i64, plan: &CanaryPlan) {
        self.watches.close(closed, plan.rest());
        for group in plan.groups() {
            if let Some(held) = group.route.and_then(|route| self.routes.get_mut(route)) {
                held.watches.close(closed, group);
            }
        }
    }

    /// Returns the counts by which a measure of a group is tested against its limits: those of the step, or those since
    /// the group's last shared incident was over.
    pub(crate) fn total(&self, measure: GroupMeasure<'_>) -> Span {
        let of_step = || Span { since: self.began, counts: self.counts_of(measure.group.route) };
        self.watch(measure).beginning.map_or_else(of_step, |beginning| beginning.total)
    }

    /// Begins both measures of a group anew at `now`, because what was counted contains a shared incident that is over. Its
    /// requests prove nothing of the other measure either: those that fail at once are fast.
    pub(crate) fn begin_anew(&mut self, group: Group<'_>, now: i64) {
        let beginnings = group.measures().map(|measure| self.watch(measure).beginnings());
        let number = beginnings.into_iter().max().unwrap_or_default().saturating_add(1);
        for measure in group.measures() {
            self.watch_mut(measure).begin_anew(number, now);
        }
        // Users name no route, and only alarms of the routes without criteria of their own look at their errors.
        if group.route.is_none() {
            self.events.forget_failures();
        }
    }

    fn take_in(&mut self, window: &Window, plan: &CanaryPlan) {
        if self.is_before(window.start) {
            return;
        }
        self.close(window.start, plan);
        if let Some([seen, events, compared]) = window.bounds {
            // What was left out must not be counted from another report either, or sums would be of nobody in particular.
            self.seen.users.lower(seen);
            self.events.users.lower(events);
            self.compared.users.lower(compared);
        }
        for counts in window.steps.iter().filter(|counts| counts.step == self.step) {
            let StepCounts { new, legacy, routes, .. } = counts;
            let all = BothArms { new: *new, legacy: *legacy };
            self.counts.add(all);
            self.watches.add(window.start, all.without(routes.values()));
            for (route, counts) in routes {
                if let Some(held) = self.routes.get_mut(route) {
                    held.counts.add(*counts);
                    held.watches.add(window.start, *counts);
                }
            }
            if new.diverted > 0 || legacy.diverted > 0 {
                self.last_diverted = self.last_diverted.max(Some(window.start));
            }
        }
        for loss in window.losses.iter().filter(|loss| loss.canary.1 == self.step) {
            self.outcomes_lost = self.outcomes_lost.saturating_add(loss.outcomes);
            self.users_lost = self.users_lost.saturating_add(loss.users);
            self.last_lost = self.last_lost.max(Some(window.start));
        }
        if window.is_closed() {
            self.close(window.start.saturating_add(1), plan);
        }
    }

    /// Adds the users of a ripe event window.
    fn add_users(&mut self, users: &UserWindow, now: i64) {
        // A step has one share; with another one the null share of events would be wrong.
        if users.canary.1 != self.step || users.share != self.share || self.is_before(users.window) {
            return;
        }
        self.users_through = self.users_through.max(Some(users.window.saturating_add(WINDOW_MS)));
        let age = now.saturating_sub(self.began);
        let period = users.window.saturating_sub(self.began).max(0) / PERIOD_MS;
        let period = u32::try_from(period).unwrap_or(u32::MAX);
        // Reports of users name no route, so the span is that of the routes without criteria of their own.
        let span = self.watches.of(Measure::Errors).span_number();
        for SeenUser(user, arm) in &users.seen {
            self.seen.add(*user, *arm);
        }
        for events in &users.events {
            self.events.add(events, period, age, span);
        }
        for (user, mismatched) in &users.compared {
            self.compared.add(*user, *mismatched);
        }
    }

    /// Thins the maps after everything of a window was added, and forgets periods that are over.
    fn tidy(&mut self, now: i64) {
        self.seen.users.thin();
        self.events.users.thin();
        self.compared.users.thin();
        self.events.forget_periods(now.saturating_sub(self.began));
    }
}

impl Evidence {
    /// Creates empty evidence for the current step of a run.
    pub fn none(run: &Run) -> Self {
        Self {
            run: run.id.clone(),
            current: StepEvidence::begin(run),
            previous: None,
            unripe: Vec::new(),
            breach: None,
            last_new: None,
            last_legacy: None,
            through: None,
            too_late: 0,
        }
    }

    /// Returns true if the time up to `until` changes the evidence although nothing arrives: users
    /// become ripe, a window is closed, or an alarm waits for its decision.
    pub fn is_waiting(&self, until: i64) -> bool {
        let steps = || std::iter::once(&self.current).chain(&self.previous);
        let is_waiting = |watches: &Watches| {
            let awaits_decision = |measure: &Measure| {
                watches.of(*measure).alarm.is_some_and(|alarm| alarm.undecided().is_some())
            };
            watches.awaits_close(until) || Measure::ALL.iter().any(awaits_decision)
        };
        self.breach.is_none()
            && (self.unripe.iter().any(|users| is_ripe(users, self.current.report_ms, until))
                || steps().flat_map(StepEvidence::all_watches).any(is_waiting))
    }

    /// Begins new evidence if the run has entered another step. The evidence before becomes
    /// [`Self::previous`].
    pub(crate) fn enter(&mut self, run: &Run) {
        if self.current.step != run.step {
            self.previous = Some(std::mem::replace(&mut self.current, StepEvidence::begin(run)));
        } else if self.current.began != run.step_started_at.millis() {
            // The run was resumed: what was counted before the pause was judged then. The edge names a user as seen or
            // compared once in a step, so these lists go on.
            let StepEvidence { seen, compared, .. } =
                std::mem::replace(&mut self.current, StepEvidence::begin(run));
            (self.current.seen, self.current.compared) = (seen, compared);
        }
    }

    /// Adds everything of an arrival window.
    pub(crate) fn take_in(&mut self, window: &Window, plan: &CanaryPlan) {
        for counts in &window.steps {
            if counts.new.requests > 0 {
                self.last_new = self.last_new.max(Some(window.start));
            }
            if counts.legacy.requests > 0 {
                self.last_legacy = self.last_legacy.max(Some(window.start));
            }
            if !self.has_step(counts.step) {
                self.too_late = self.too_late.saturating_add(counts.new.requests);
            }
        }
        self.through = self.through.max(Some(window.end));
        for step in std::iter::once(&mut self.current).chain(&mut self.previous) {
            step.report_ms = window.report_ms;
        }
        let known = window.users.iter().filter(|users| self.has_step(users.canary.1)).cloned();
        let mut users: Vec<UserWindow> = known.collect();
        for reported in &users {
            for step in std::iter::once(&mut self.current).chain(&mut self.previous) {
                if step.step == reported.canary.1 {
                    step.settle_ms = step.settle_ms.max(reported.settle_ms);
                }
            }
        }
        users.append(&mut self.unripe);
        if let Some(bounds) = window.bounds.filter(|_| window.is_cut) {
            // Nobody above them is counted any more, so this changes no sum.
            users.iter_mut().for_each(|users| users.keep_below(bounds));
        }
        // One order for everything that is known, whatever the order of its arrival.
        users.sort_unstable();
        let (ripe, unripe): (Vec<_>, Vec<_>) =
            users.into_iter().partition(|users| is_ripe(users, window.report_ms, window.end));
        self.unripe = unripe;
        for step in std::iter::once(&mut self.current).chain(&mut self.previous) {
            step.take_in(window, plan);
            ripe.iter().for_each(|users| step.add_users(users, window.end));
            step.tidy(window.end);
        }
    }

    fn has_step(&self, step: u32) -> bool {
        self.current.step == step || self.previous.as_ref().is_some_and(|previous| previous.step == step)
    }
}

/// Returns true if an event window is taken in at `now`: at its end plus the longer time limit of
/// the two arms plus the time of a report, one instant for both. Without the last, the arm that fails
/// faster would be learned first: an isolate whose requests have all ended reports sooner than one in which
/// some hang until their limit.
fn is_ripe(users: &UserWindow, report_ms: u64, now: i64) -> bool {
    let settled = users.window.saturating_add(WINDOW_MS).saturating_add(i64::from(users.settle_ms));
    settled.saturating_add(report_time(report_ms)) <= now
}
