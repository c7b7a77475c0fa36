//! Failover: which origin of an arm gets a request while origins fail. First the arm's own, then its secondary; a
//! request of the new arm goes to legacy if neither can have it, and one of legacy is sent whatever is known.

mod history;

use crate::{
    decision::{
        breaker::{Admission, Breaker, Candidate, Circuit, Failure, RECOVERY_MS, Success},
        decide::Decision,
        route::CompiledFailover,
        ruleset::Ruleset,
    },
    measurement::health::{MAX_ORIGINS, OpenOrigin},
    vocabulary::{arm::Arm, names::OriginName, reason::Reason},
};
use history::History;
use serde::Serialize;
use std::cell::Cell;

/// Milliseconds after its recovery for which an origin is not left by the word of others.
const TRUSTED_MS: i64 = 60_000;

/// Milliseconds for which successes that were noted speak for an origin: until the answer at hand is read.
const SERVED_MS: i64 = 1_000;

/// Milliseconds for which a path that does not tell how its origin is is not asked again.
const MUTE_MS: i64 = 60_000;

/// Shortest time that is told of an origin which is not recovering yet, in milliseconds: up to the next question.
const LEAST_TOLD_MS: i64 = 6_000;

/// The circuit breakers of the origins that failed lately, or of which others told that they fail.
#[derive(Debug, Default)]
pub struct Breakers {
    entries: Vec<Entry>,
    history: History,
}

#[derive(Debug)]
struct Entry {
    origin: OriginName,
    /// A decision claims the place of a probe.
    breaker: Cell<Breaker>,
    /// Time since which the origin is not well, in milliseconds since 1970.
    since: i64,
    /// Time up to which a client's request is the probe, because the path for the origin's health said nothing.
    mute_until: i64,
}

/// The origin of an arm that gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Course {
    /// True if the arm's secondary gets the request in place of its own origin.
    pub is_secondary: bool,
    /// True if the request is a probe of the origin that gets it.
    pub is_probe: bool,
}

/// State of an origin that is not well, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OriginState<'b> {
    /// Name of the origin.
    pub origin: &'b OriginName,
    /// State of its circuit.
    pub circuit: Circuit,
    /// Time since which it is not well, in milliseconds since 1970.
    pub since: i64,
    /// Milliseconds until a probe may be sent; 0 if it may be now.
    pub open_for_ms: i64,
    /// True if other isolates told of it and this one has seen too little itself.
    pub is_told: bool,
}

impl Breakers {
    /// Returns true if every origin is well.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the course of a decided request, which is sent to legacy if no origin of the new arm can have it. The
    /// time limit of the candidate is replaced by that of the origin.
    pub fn steer(&self, rules: &Ruleset, decision: &mut Decision<'_>, candidate: Candidate) -> Course {
        let Some(origin) = decision.origin() else { return Course::default() };
        if let Some(course) = self.course(rules, origin, candidate) {
            // Users of a canary that its own backend did not serve prove nothing about that. They stay of the new arm.
            let is_helped = course.is_secondary && decision.verdict.arm == Arm::New;
            if is_helped && decision.verdict.reason == Reason::Rollout {
                decision.verdict.reason = Reason::Diverted;
            }
            return course;
        }
        let mut origin = origin;
        if decision.verdict.arm == Arm::New {
            decision.turn_to_legacy(Reason::Diverted);
            let Some(legacy) = decision.origin() else { return Course::default() };
            if let Some(course) = self.course(rules, legacy, candidate) {
                return course;
            }
            origin = legacy;
        }
        // Nobody else can answer, so it is tried.
        let is_probe = self.admit(rules, origin, candidate) == Admission::Probe;
        Course { is_secondary: false, is_probe }
    }

    /// Returns the course of a request for an origin; `None` if neither it nor its secondary can have the request.
    fn course(&self, rules: &Ruleset, origin: usize, candidate: Candidate) -> Option<Course> {
        let failover = failover_of(rules, origin);
        let may_not_probe = self.circuit(rules, origin, candidate.now) == Circuit::HalfOpen
            && failover.is_some_and(|failover| failover.health.is_some())
            && (self.is_asked(rules, origin, candidate.now) || {
                // An order is no probe while somebody else can have it.
                let secondary = failover.and_then(|failover| failover.secondary);
                !candidate.is_repeatable
                    && secondary.is_some_and(|secondary| self.is_closed(rules, secondary, candidate.now))
            });
        let admitted = if may_not_probe { Admission::Avoid } else { self.admit(rules, origin, candidate) };
        match admitted {
            Admission::Send => Some(Course::default()),
            Admission::Probe => Some(Course { is_secondary: false, is_probe: true }),
            Admission::Avoid => {
                let secondary = failover?.secondary?;
                let admitted = self.admit(rules, secondary, candidate);
                let is_probe = admitted == Admission::Probe;
                (admitted != Admission::Avoid).then_some(Course { is_secondary: true, is_probe })
            }
        }
    }

    fn admit(&self, rules: &Ruleset, origin: usize, candidate: Candidate) -> Admission {
        let Some(compiled) = rules.origins().get(origin) else { return Admission::Send };
        let Some(entry) = self.entry(&compiled.name) else { return Admission::Send };
        let mut breaker = entry.breaker.get();
        let admitted = breaker.admit(Candidate { timeout_ms: compiled.timeout_ms, ..candidate });
        entry.breaker.set(breaker);
        admitted
    }

    /// Returns true if an origin says itself how it is, so that it needs no client's request for that.
    fn is_asked(&self, rules: &Ruleset, origin: usize, now: i64) -> bool {
        let has_path = failover_of(rules, origin).is_some_and(|failover| failover.health.is_some());
        let entry = || self.entry(&rules.origins().get(origin)?.name);
        has_path && entry().is_none_or(|entry| now >= entry.mute_until)
    }

    /// Claims the place of a probe for a look at an origin's own word; false if it is taken, or none is due.
    pub fn claim(&self, rules: &Ruleset, origin: usize, now: i64) -> bool {
        let candidate = Candidate { now, is_repeatable: true, timeout_ms: 0, dice: u64::MAX };
        self.circuit(rules, origin, now) == Circuit::HalfOpen
            && self.is_asked(rules, origin, now)
            && self.admit(rules, origin, candidate) == Admission::Probe
    }

    /// Returns true if an origin gets all of its requests.
    pub fn is_closed(&self, rules: &Ruleset, origin: usize, now: i64) -> bool {
        self.circuit(rules, origin, now) == Circuit::Closed
    }

    /// Returns true if an origin gets no requests while another one can answer them.
    pub fn is_open(&self, rules: &Ruleset, origin: usize, now: i64) -> bool {
        self.circuit(rules, origin, now) == Circuit::Open
    }

    fn circuit(&self, rules: &Ruleset, origin: usize, now: i64) -> Circuit {
        self.breaker(rules, origin).map_or(Circuit::Closed, |breaker| breaker.circuit(now))
    }

    /// Returns true if the requests of an arm all have an origin of that arm: its own one or its secondary.
    pub fn is_served(&self, rules: &Ruleset, origin: usize, now: i64) -> bool {
        let secondary = || failover_of(rules, origin).and_then(|failover| failover.secondary);
        self.is_closed(rules, origin, now)
            || secondary().is_some_and(|secondary| self.is_closed(rules, secondary, now))
    }

    /// Returns the origin that gets a request which a failed one did not serve: the secondary, or the same one once
    /// more. Until the circuit is open, both are limited by the budget; after that the secondary gets every request.
    pub fn second(&self, rules: &Ruleset, failed: usize, is_late: bool, now: i64) -> Option<usize> {
        let failover = failover_of(rules, failed)?;
        let breaker = self.breaker(rules, failed).unwrap_or_default();
        let is_closed = breaker.is_closed(now);
        let secondary = failover.secondary.filter(|secondary| self.is_closed(rules, *secondary, now));
        match secondary {
            Some(secondary) => (!is_closed || breaker.has_budget()).then_some(secondary),
            // After a timeout there is no time left.
            None => (failover.retry && !is_late && is_closed && breaker.has_budget()).then_some(failed),
        }
    }

    /// Returns the origin that serves a request which another arm could not serve: the given one, or its secondary
    /// while that fails.
    pub fn substitute(&self, rules: &Ruleset, origin: usize, now: i64) -> usize {
        let secondary = failover_of(rules, origin).and_then(|failover| failover.secondary);
        let is_better =
            |secondary: &usize| !self.is_closed(rules, origin, now) && self.is_closed(rules, *secondary, now);
        secondary.filter(is_better).unwrap_or(origin)
    }

    /// Takes in a failure of an origin by a request that was begun `age_ms` ago. One begun before the last opening says
    /// nothing that is not known. The successes before the first failure are older than anything that is looked at.
    pub fn failed(&mut self, origin: &OriginName, age_ms: u32, failure: Failure) {
        let Failure { now, successes, .. } = failure;
        let is_known = self.entry(origin).is_some();
        if self.history.is_before_opening(origin, now - i64::from(age_ms)) {
            if let Some(before) = successes.checked_sub(1).filter(|_| is_known) {
                self.change(origin, now, |breaker| _ = breaker.succeeded(false, before, now));
            }
            return;
        }
        let successes = if is_known { successes } else { 0 };
        self.change(origin, now, |breaker| breaker.failed(Failure { successes, ..failure }));
        if self.entry(origin).is_some_and(|entry| entry.breaker.get().open_since() == Some(now)) {
            self.history.distrust(origin);
        }
    }

    /// Takes in a response of an origin to a request that was begun `age_ms` ago, and successes before it. Returns true
    /// if further ones need not be told.
    pub fn succeeded(&mut self, origin: &OriginName, age_ms: u32, success: Success) -> bool {
        let Success { now, is_probe, successes } = success;
        let Some(entry) = self.entry(origin) else { return true };
        let is_probe = is_probe && !self.history.is_before_opening(origin, now - i64::from(age_ms));
        let was_probed = entry.breaker.get().circuit(now) == Circuit::HalfOpen;
        let mut is_well = true;
        self.change(origin, now, |breaker| is_well = breaker.succeeded(is_probe, successes, now));
        if was_probed && is_well {
            self.history.trust(origin, now + RECOVERY_MS + TRUSTED_MS, now);
        }
        is_well
    }

    /// Gives up the place of a probe that says nothing about its origin.
    pub fn release(&mut self, origin: &OriginName, now: i64) {
        if self.entry(origin).is_some() {
            self.change(origin, now, Breaker::release);
        }
    }

    /// As [`Breakers::release`], for a look at a path that does not tell how the origin is. For a minute clients'
    /// requests are the probes, and then it is looked at again.
    pub fn mute(&mut self, origin: &OriginName, now: i64) {
        self.release(origin, now);
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.origin == *origin) {
            entry.mute_until = now + MUTE_MS;
        }
    }

    /// Notes that requests of this isolate to an origin were answered lately. The next word of others about it is not
    /// obeyed if none failed.
    pub fn note_served(&mut self, origin: &OriginName, now: i64) {
        if self.entry(origin).is_none_or(|entry| entry.breaker.get().is_settled(now)) {
            self.history.trust(origin, now + SERVED_MS, now);
        }
    }

    /// Opens the circuits of origins that other isolates found failing, unless this one found them well. `dice` spreads
    /// the ends.
    pub fn hear(&mut self, rules: &Ruleset, told: &[OpenOrigin], now: i64, dice: u64) {
        for OpenOrigin { origin, open_for_ms } in told.iter().take(MAX_ORIGINS) {
            let is_held = rules.origins().iter().any(|held| held.name == *origin);
            if is_held && *open_for_ms > 0 && !self.history.is_trusted(origin, now) {
                let told_ms = i64::try_from(*open_for_ms).unwrap_or(i64::MAX);
                self.change(origin, now, |breaker| breaker.open_by_word(told_ms, now, dice));
            }
        }
    }

    /// Returns the origins that this isolate keeps away from by its own results, until they recover.
    pub fn open_origins(&self, now: i64) -> Vec<OpenOrigin> {
        let open = self.entries.iter().filter_map(|entry| {
            let left_ms = entry.breaker.get().own_open_for_ms(now)?.max(LEAST_TOLD_MS);
            Some(OpenOrigin { origin: entry.origin.clone(), open_for_ms: left_ms.unsigned_abs() })
        });
        open.take(MAX_ORIGINS).collect()
    }

    /// Iterates over the origins that are not well.
    pub fn states(&self, now: i64) -> impl Iterator<Item = OriginState<'_>> {
        self.entries.iter().map(move |Entry { origin, breaker, since, .. }| {
            let breaker = breaker.get();
            let open_for_ms = breaker.open_for_ms(now);
            OriginState {
                origin,
                circuit: breaker.circuit(now),
                since: *since,
                open_for_ms,
                is_told: open_for_ms > 0 && breaker.own_open_for_ms(now).is_none(),
            }
        })
    }

    /// Forgets the origins that are well again.
    pub fn forget(&mut self, now: i64) {
        self.entries.retain(|entry| !entry.breaker.get().is_settled(now));
    }

    fn entry(&self, origin: &OriginName) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.origin == *origin)
    }

    fn breaker(&self, rules: &Ruleset, origin: usize) -> Option<Breaker> {
        if self.entries.is_empty() {
            return None;
        }
        Some(self.entry(&rules.origins().get(origin)?.name)?.breaker.get())
    }

    /// Changes the breaker of an origin, and forgets it if nothing is left of it.
    fn change(&mut self, origin: &OriginName, now: i64, change: impl FnOnce(&mut Breaker)) {
        let index = self.entries.iter().position(|entry| entry.origin == *origin).unwrap_or_else(|| {
            let breaker = Cell::default();
            self.entries.push(Entry { origin: origin.clone(), breaker, since: now, mute_until: 0 });
            self.entries.len() - 1
        });
        if let Some(entry) = self.entries.get_mut(index) {
            change(entry.breaker.get_mut());
            if let Some(since) = entry.breaker.get().open_since() {
                self.history.opened(origin, since, now);
            }
        }
        self.forget(now);
    }
}

fn failover_of(rules: &Ruleset, origin: usize) -> Option<&CompiledFailover> {
    rules.origins().get(origin)?.failover.as_ref()
}

#[cfg(test)]
mod tests;
