//! Failover: which origin of an arm gets a request while origins fail. First the arm's own, then its secondary; a
//! request of the new arm goes to legacy if neither can have it, and one of legacy is sent whatever is known.

use crate::{
    decision::{
        breaker::{Admission, Breaker, Candidate, Circuit, Failure},
        decide::Decision,
        route::CompiledFailover,
        ruleset::Ruleset,
    },
    measurement::health::{MAX_ORIGINS, OpenOrigin},
    vocabulary::{arm::Arm, names::OriginName, reason::Reason},
};
use serde::Serialize;
use std::cell::Cell;

/// The circuit breakers of the origins that failed lately, or of which others told that they fail.
#[derive(Debug, Default)]
pub struct Breakers {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    origin: OriginName,
    /// A decision claims the place of a probe.
    breaker: Cell<Breaker>,
    /// Time since which the origin is not well, in milliseconds since 1970.
    since: i64,
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
        // An origin that says itself how it is needs no client's request for that.
        let is_asked = failover.is_some_and(|failover| failover.health.is_some());
        let admitted = if is_asked && self.circuit(rules, origin, candidate.now) == Circuit::HalfOpen {
            Admission::Avoid
        } else {
            self.admit(rules, origin, candidate)
        };
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

    /// Claims the place of a probe for a look at an origin's own word; false if it is taken, or none is due.
    pub fn claim(&self, rules: &Ruleset, origin: usize, now: i64) -> bool {
        let candidate = Candidate { now, is_repeatable: true, timeout_ms: 0, dice: u64::MAX };
        self.circuit(rules, origin, now) == Circuit::HalfOpen
            && self.admit(rules, origin, candidate) == Admission::Probe
    }

    /// Returns true if an origin gets all of its requests.
    pub fn is_closed(&self, rules: &Ruleset, origin: usize, now: i64) -> bool {
        self.circuit(rules, origin, now) == Circuit::Closed
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

    /// Takes in a failure of an origin. The successes before the first one are older than anything that is looked at.
    pub fn failed(&mut self, origin: &OriginName, failure: Failure) {
        let successes = if self.entry(origin).is_some() { failure.successes } else { 0 };
        let failure = Failure { successes, ..failure };
        self.change(origin, failure.now, |breaker| breaker.failed(failure));
    }

    /// Takes in a response of an origin, and successes before it. Returns true if further ones need not be told.
    pub fn succeeded(&mut self, origin: &OriginName, is_probe: bool, successes: u32, now: i64) -> bool {
        let mut is_well = true;
        if self.entry(origin).is_some() {
            self.change(origin, now, |breaker| is_well = breaker.succeeded(is_probe, successes, now));
        }
        is_well
    }

    /// Gives up the place of a probe that says nothing about its origin.
    pub fn release(&mut self, origin: &OriginName, now: i64) {
        if self.entry(origin).is_some() {
            self.change(origin, now, Breaker::release);
        }
    }

    /// Opens the circuits of origins that other isolates found failing. `dice` spreads the ends, so that not all
    /// isolates probe at once.
    pub fn hear(&mut self, told: &[OpenOrigin], now: i64, dice: u64) {
        for OpenOrigin { origin, open_for_ms } in told.iter().take(MAX_ORIGINS) {
            let told_ms = i64::try_from(*open_for_ms).unwrap_or(i64::MAX).min(LONGEST_TOLD_MS);
            let held_ms = self.entry(origin).map_or(0, |entry| entry.breaker.get().open_for_ms(now));
            if told_ms > held_ms {
                let percent = i64::try_from(dice % 21).unwrap_or_default();
                let until = now + told_ms + told_ms * percent / 100;
                self.change(origin, now, |breaker| breaker.open_until(until, now));
            }
        }
    }

    /// Returns the origins whose circuits this isolate holds open by its own results.
    pub fn open_origins(&self, now: i64) -> Vec<OpenOrigin> {
        let open = self.entries.iter().filter_map(|entry| {
            let open_for_ms = u64::try_from(entry.breaker.get().own_open_for_ms(now)).unwrap_or_default();
            (open_for_ms > 0).then(|| OpenOrigin { origin: entry.origin.clone(), open_for_ms })
        });
        open.take(MAX_ORIGINS).collect()
    }

    /// Iterates over the origins that are not well.
    pub fn states(&self, now: i64) -> impl Iterator<Item = OriginState<'_>> {
        self.entries.iter().map(move |Entry { origin, breaker, since }| {
            let breaker = breaker.get();
            let open_for_ms = breaker.open_for_ms(now);
            OriginState {
                origin,
                circuit: breaker.circuit(now),
                since: *since,
                open_for_ms,
                is_told: open_for_ms > 0 && breaker.own_open_for_ms(now) == 0,
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
            self.entries.push(Entry { origin: origin.clone(), breaker, since: now });
            self.entries.len() - 1
        });
        if let Some(entry) = self.entries.get_mut(index) {
            change(entry.breaker.get_mut());
        }
        self.forget(now);
    }
}

/// Milliseconds for which an origin is held open at most by the word of others.
const LONGEST_TOLD_MS: i64 = 360_000;

fn failover_of(rules: &Ruleset, origin: usize) -> Option<&CompiledFailover> {
    rules.origins().get(origin)?.failover.as_ref()
}

#[cfg(test)]
mod tests;
