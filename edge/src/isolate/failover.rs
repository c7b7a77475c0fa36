//! Requests around origins that fail, and the lessons of the isolate.

use crate::{isolate::Isolate, wire::PackedDecision};
use cutover_core::{
    Decision, OriginName, Ruleset,
    decision::{
        breaker::{Candidate, Failure, Success},
        failover::Course,
    },
    routing::matcher::is_safe,
    statistics::split_mix::SplitMix64,
};

/// The result of a request to an origin, as JavaScript tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestResult {
    /// A response, whatever it says.
    Answered,
    /// No connection, no response in time, or a status by which nobody is served.
    Failed,
    /// The request ended without a word of the origin.
    Unknown,
    /// The path for the origin's health answered, and did not tell it.
    Mute,
}

/// The end of a request to an origin.
#[derive(Debug, Clone, Copy)]
pub struct OriginResult {
    /// Its result.
    pub result: RequestResult,
    /// True if it was a probe.
    pub is_probe: bool,
    /// Requests that were answered and not told since the last result that was.
    pub successes: u32,
    /// Milliseconds since the request was begun.
    pub age_ms: u32,
}

impl OriginResult {
    /// Bit of a failure.
    pub const FAILED: u32 = 1;
    /// Bit of a request that ended without a word of the origin.
    pub const UNKNOWN: u32 = 1 << 1;
    /// Bit of a probe.
    pub const PROBED: u32 = 1 << 2;
    /// Bit of a path that did not tell the health of its origin.
    pub const MUTE: u32 = 1 << 3;

    /// Reads the bits of a result.
    pub fn read(bits: u32, successes: u32, age_ms: u32) -> Self {
        let result = if bits & Self::FAILED != 0 {
            RequestResult::Failed
        } else if bits & Self::UNKNOWN != 0 {
            RequestResult::Unknown
        } else if bits & Self::MUTE != 0 {
            RequestResult::Mute
        } else {
            RequestResult::Answered
        };
        Self { result, is_probe: bits & Self::PROBED != 0, successes, age_ms }
    }
}

impl Isolate {
    /// Steers a request around the origins that fail. Returns the bits of its course, see [`PackedDecision`].
    pub(super) fn steer(&self, rules: &Ruleset, decision: &mut Decision<'_>, method: &str, now: i64) -> u32 {
        // A user stays with the share that is sent.
        let bucket = decision.verdict.bucket.map(|bucket| u64::from(bucket.get()));
        let dice = bucket.map_or_else(|| self.draw(), |bucket| SplitMix64::new(bucket).draw());
        let candidate = Candidate { now, is_repeatable: is_safe(method), timeout_ms: 0, dice };
        let Course { is_secondary, is_probe } = self.breakers.steer(rules, decision, candidate);
        let secondary = if is_secondary { PackedDecision::SECONDARY } else { 0 };
        secondary | if is_probe { PackedDecision::PROBE } else { 0 }
    }

    /// Takes in the result of a request to an origin of a generation. Returns true if further successes need not be
    /// told.
    pub fn note_result(&mut self, origin: usize, generation: u32, ended: OriginResult, now: i64) -> bool {
        let Some(name) = self.origin_of(origin, generation) else { return false };
        let OriginResult { result, is_probe, successes, age_ms } = ended;
        match result {
            RequestResult::Failed => {
                let dice = self.draw();
                self.breakers.failed(&name, age_ms, Failure { now, is_probe, successes, dice });
                false
            }
            RequestResult::Answered => {
                self.breakers.succeeded(&name, age_ms, Success { now, is_probe, successes })
            }
            RequestResult::Unknown => {
                self.breakers.release(&name, now);
                false
            }
            RequestResult::Mute => {
                self.breakers.mute(&name, now);
                false
            }
        }
    }

    /// Notes that requests to an origin of a generation were answered lately, before an answer with the word of others
    /// is read, see [`Breakers::note_served`](cutover_core::decision::failover::Breakers::note_served).
    pub fn note_served(&mut self, origin: usize, generation: u32, now: i64) {
        if let Some(name) = self.origin_of(origin, generation) {
            self.breakers.note_served(&name, now);
        }
    }

    /// Returns the origin that gets a request which one of a generation failed to serve, see
    /// [`Breakers::second`](cutover_core::decision::failover::Breakers::second).
    pub fn second_origin(&self, failed: usize, generation: u32, is_late: bool, now: i64) -> Option<usize> {
        self.breakers.second(self.rules_of(generation)?.as_ref(), failed, is_late, now)
    }

    /// Returns the origin that serves a request which another arm could not serve, see
    /// [`Breakers::substitute`](cutover_core::decision::failover::Breakers::substitute).
    pub fn substitute(&self, origin: usize, generation: u32, now: i64) -> usize {
        let rules = self.rules_of(generation);
        rules.map_or(origin, |rules| self.breakers.substitute(&rules, origin, now))
    }

    /// Returns the path at which an origin is asked for its health, if that is due; nobody else asks meanwhile.
    pub fn claim_check(&self, origin: usize, generation: u32, now: i64) -> Option<String> {
        let rules = self.rules_of(generation)?;
        let path = rules.origins().get(origin)?.failover.as_ref()?.health.clone()?;
        self.breakers.claim(&rules, origin, now).then_some(path)
    }

    fn origin_of(&self, origin: usize, generation: u32) -> Option<OriginName> {
        Some(self.rules_of(generation)?.origins().get(origin)?.name.clone())
    }
}
