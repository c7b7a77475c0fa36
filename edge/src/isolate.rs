//! State that one isolate holds between requests: the compiled snapshot, when it was read, and the
//! outcomes counted. Plain state without I/O, so that every transition is tested on the host.

mod events;
pub mod failover;
mod groups;
pub mod ofrep;
mod pace;
mod reading;
mod report;
#[cfg(test)]
mod tests;
mod word;

use crate::{
    comparison_queue::is_drawn,
    counting::{Counting, tickets::Member},
    isolate::{
        pace::{Pace, Paces},
        word::{HeldWord, ObeyedWord},
    },
    limiting::{Checked, LimitedRequest, Limits},
    reporting::Reporting,
    schedule::Schedule,
    settings::Settings,
    wire::{LimiterAnswers, Packed, PackedDecision, PackedOutcome, is_own_path},
};
use cutover_core::{
    Arm, Decision, Emergency, Facts, Reason, RouteId, Ruleset, Timestamp,
    adapter::{Exchange, Next},
    caching::CacheRules,
    decide,
    decision::{assignments::TestGroups, compile::CompileError, failover::Breakers, input::Input},
    measurement::counts::Outcome,
    request::identity::user_of,
    routing::matcher::{is_idempotent, is_safe},
    rules::flag::OnControlLoss,
    snapshot::{SnapshotError, digest},
    statistics::split_mix::SplitMix64,
    vocabulary::{
        names::DeploymentId,
        revision::{Epoch, Stamp},
    },
};
use serde::Serialize;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    rc::Rc,
};

/// The state of an isolate.
#[derive(Debug, Default)]
pub struct Isolate {
    settings: Settings,
    /// Time of the first settings.
    begun_at: Option<i64>,
    held: Option<CurrentSnapshot>,
    reading_since: Option<i64>,
    refresh_at: i64,
    generation: u32,
    last_refusal: Option<String>,
    /// Number of reads of the snapshot that were begun.
    pub reads: u64,
    /// Outcomes since the isolate began.
    pub counts: Counts,
    /// Outcomes that are counted and not yet sent.
    pub counting: Counting,
    /// Reports and questions to the control plane, and its answers.
    pub reporting: Reporting,
    /// Instants of reports and questions.
    pub schedule: Schedule,
    /// The exchange that the last decision began, with the position of its adapter.
    pub begun: RefCell<Option<(usize, Exchange, Next)>>,
    /// Hash of the last decision's user in the run of a canary, if that decision had [`PackedDecision::EVIDENCE`]; 0 if the
    /// request is no evidence of one.
    pub evidence: Cell<u64>,
    /// Number of the ticket by which experiments count the last decision's request, if that decision had
    /// [`PackedDecision::EVIDENCE`], see [`Tickets`](crate::counting::tickets::Tickets); 0 if it has none.
    pub ticket: Cell<u32>,
    /// Variants of the last decision's user, as its backend and its client are told them, while experiments run.
    pub groups: RefCell<TestGroups>,
    /// Entries of event headers that were not understood.
    pub malformed_events: u64,
    /// Documents that are not trusted and were sent on since the isolate began, by their routes.
    pub untrusted_documents: BTreeMap<RouteId, u64>,
    /// Events of clients.
    client_events: Pace,
    /// The last decision's user in the experiments that are counted; kept for its memory.
    members: RefCell<Vec<Member>>,
    /// The random number generator of [`Isolate::draw`].
    dice: Cell<SplitMix64>,
    /// Circuit breakers of the origins that failed lately.
    pub breakers: Breakers,
    /// Rate limits of routes.
    pub limits: RefCell<Limits>,
    /// Requests for evaluations, by their callers.
    paces: Paces,
    /// Deployment that the isolate belongs to, once a document or an answer has named it. The word of any other is refused.
    deployment: Option<DeploymentId>,
    /// The newest revision that an answer told.
    newest: Stamp,
    /// Emergencies and brakes that answers told and the held snapshot does not have.
    word: HeldWord,
    /// Emergency and brakes of an epoch that is not followed. A later answer of the epoch that is followed ends them with its
    /// snapshot.
    obeyed: ObeyedWord,
    /// Time since which a revision is known that is newer than the held one; without a snapshot, since which any is.
    behind_since: Option<i64>,
}

#[derive(Debug)]
struct CurrentSnapshot {
    rules: Rc<Ruleset>,
    stamp: Stamp,
    /// Emergency of the snapshot.
    emergency: Option<Emergency>,
    /// Digest of the document that the rules were compiled from.
    digest: u64,
    confirmed_at: i64,
}

/// The reason a document was not put in force.
#[derive(Debug)]
pub enum Refusal {
    /// The store holds nothing under the key.
    Missing,
    /// The store could not be read.
    Unreadable(String),
    /// The document is damaged or of another format.
    Snapshot(SnapshotError),
    /// The document is intact, but its rules do not compile.
    Compile(CompileError),
    /// A newer revision is already held.
    Older {
        /// The revision that is held.
        held: Stamp,
        /// The revision of the document.
        offered: Stamp,
    },
    /// The document or the answer is of another deployment.
    Foreign(DeploymentId),
    /// The epoch is more than a day ahead of the clock.
    Future(Epoch),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no snapshot has been published"),
            Self::Unreadable(error) => write!(f, "the snapshot could not be read: {error}"),
            Self::Snapshot(error) => write!(f, "the snapshot was refused: {error}"),
            Self::Compile(error) => write!(f, "the snapshot was refused: {error}"),
            Self::Older { held, offered } => {
                write!(f, "revision {offered} was refused because revision {held} is held")
            }
            Self::Foreign(deployment) => {
                write!(f, "the word of another deployment, {deployment}, was refused")
            }
            Self::Future(epoch) => write!(f, "the epoch {epoch} was refused: it is more than a day ahead"),
        }
    }
}

/// Outcomes per arm since the isolate began, without requests that the Worker refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Outcomes of the legacy arm.
    pub legacy: ArmCounts,
    /// Outcomes of the new arm.
    pub new: ArmCounts,
}

/// Outcomes of one arm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ArmCounts {
    /// Number of requests.
    pub requests: u64,
    /// Number of these with a status of 500 or above, or with no response at all.
    pub errors: u64,
    /// Sum of the times to the response headers, in milliseconds.
    pub duration_ms: u64,
    /// Number of responses that may hide an error and were not inspected, see [`PackedOutcome::UNINSPECTED`].
    pub uninspected: u64,
}

impl Counts {
    fn add(&mut self, ended: PackedOutcome) {
        if ended.kind.decision().reason().is_refusal() {
            return;
        }
        let arm = if ended.kind.decision().arm() == Arm::Legacy { &mut self.legacy } else { &mut self.new };
        arm.requests += 1;
        arm.errors += u64::from(!matches!(ended.outcome(), Outcome::Status(status) if status < 500));
        arm.duration_ms += u64::from(ended.ms());
        arm.uninspected += u64::from(ended.is_uninspected());
    }
}

impl Isolate {
    /// Applies settings from the environment. This outdates the table that JavaScript holds.
    pub fn configure(&mut self, settings: Settings, now: i64) {
        self.begun_at.get_or_insert(now);
        self.schedule.fix_interval(settings.report_interval_ms);
        self.settings = settings;
        self.begin_generation(now);
    }

    fn begin_generation(&mut self, now: i64) {
        self.generation = self.generation.wrapping_add(1);
        if let Some(rules) = self.rules() {
            self.limits.get_mut().begin_generation(rules.limits());
            self.counting.begin_generation(self.generation, rules, now);
        }
    }

    /// Sets the number of the current generation, for an isolate that takes the place of a broken one: the generations of
    /// both must differ, because requests that the broken one decided are still under way.
    pub fn begin_generations(&mut self, first: u32) {
        self.generation = first;
        // As far from those of other cores as can be.
        self.limits.get_mut().number_from(first.wrapping_mul(0x9E37_79B9));
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the number that changes whenever the table for JavaScript does.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the rules that are held.
    pub fn rules(&self) -> Option<Rc<Ruleset>> {
        self.held.as_ref().map(|held| Rc::clone(&held.rules))
    }

    /// Returns the milliseconds since the held snapshot was last confirmed to be the published one.
    pub fn age_ms(&self, now: i64) -> Option<i64> {
        self.held.as_ref().map(|held| (now - held.confirmed_at).max(0))
    }

    /// Returns true if the held snapshot is older than its hard limit.
    pub fn is_stale(&self, now: i64) -> bool {
        self.age_ms(now).is_some_and(|age| age > self.settings.hard_ttl_ms)
    }

    /// Returns the reason the last document that was read was not put in force, if it was not.
    pub fn last_refusal(&self) -> Option<&str> {
        self.last_refusal.as_deref()
    }

    /// Returns the inputs that JavaScript reads for every request.
    pub fn inputs(&self) -> &[Input] {
        self.held.as_ref().map(|held| held.rules.inputs()).unwrap_or_default()
    }

    /// Decides a request that was packed for a generation. A request packed for another one is not decided, because its
    /// lines may hold other inputs. `mint` creates an anonymous id, which is returned if the decision used it.
    pub fn decide(
        &self,
        packed: &Packed<'_>,
        now: i64,
        generation: u32,
        mint: impl FnOnce() -> Option<String>,
    ) -> (PackedDecision, Option<String>) {
        if generation != self.generation {
            return (PackedDecision::undecided(PackedDecision::TABLE), None);
        }
        if is_own_path(packed.path) {
            return (PackedDecision::undecided(PackedDecision::OWN_PATH), None);
        }
        let Some(held) = &self.held else {
            return (PackedDecision::undecided(PackedDecision::BOOT), None);
        };
        if Self::evaluates_at(&held.rules, packed.path) {
            return (PackedDecision::undecided(PackedDecision::OWN_PATH), None);
        }
        let timestamp = Timestamp::from_millis(now);
        let mut todo = if self.refresh_is_due(now) { PackedDecision::REFRESH } else { 0 };
        if self.is_stale(now) {
            todo |= PackedDecision::STALE;
        }
        if is_idempotent(packed.method) {
            todo |= PackedDecision::RETRYABLE;
        }
        packed.facts(held.rules.inputs(), |sent| {
            let mut decision = decide(&held.rules, sent, timestamp);
            let minted = if decision.wants_anonymous_id { mint() } else { None };
            let facts = &Facts { minted: minted.as_deref(), ..*sent };
            if minted.is_some() {
                decision = decide(&held.rules, facts, timestamp);
                todo |= PackedDecision::MINTED;
            }
            if self.must_ask(&decision, now) {
                return (PackedDecision::undecided(PackedDecision::ASK), None);
            }
            // Nothing may be lacking behind this: an admitted request has spent its tokens.
            match self.check_limits(&held.rules, &decision, sent, packed.answers, now) {
                Checked::Admitted => {}
                Checked::Lacking => return (PackedDecision::undecided(PackedDecision::LIMIT), None),
                Checked::Refused => {
                    let kept = todo & (PackedDecision::REFRESH | PackedDecision::STALE);
                    return (PackedDecision::limited(&decision).with(kept), None);
                }
            }
            if decision.verdict.arm == Arm::New && self.is_turned(&decision, now) {
                decision.turn_to_legacy(Reason::Emergency);
            }
            if !self.breakers.is_empty() {
                todo |= self.steer(&held.rules, &mut decision, packed.method, now);
            }
            if decision.evidence.is_some() && self.is_turned(&decision, now) {
                // Whoever would go to the new arm is turned away and is no evidence, so neither are the others.
                decision.evidence = None;
            }
            let ticket = if held.rules.has_running_experiments() {
                self.note_experiments(&held.rules, &decision, facts, now)
            } else {
                0
            };
            if self.settings.reports && (decision.evidence.is_some() || ticket != 0) {
                self.evidence.set(decision.evidence.map_or(0, |evidence| evidence.user));
                self.ticket.set(ticket);
                todo |= PackedDecision::EVIDENCE;
                let cache = decision.route.and_then(|route| route.cache.as_ref());
                let is_sampled = |cache: &CacheRules| {
                    decision.evidence.is_some_and(|evidence| cache.is_bypassed_by(evidence.user))
                };
                if cache.is_some_and(|cache| ticket != 0 || is_sampled(cache)) {
                    todo |= PackedDecision::UNCACHED;
                }
            }
            self.begin_exchange(&held.rules, &decision, facts, timestamp);
            todo |= self.beside(&held.rules, &decision, packed.method, now);
            (PackedDecision::of(&decision).with(todo), minted)
        })
    }

    /// Checks the rate limits of a request's route. An id that would be minted for it is no key: `facts` are without.
    fn check_limits(
        &self,
        rules: &Ruleset,
        decision: &Decision<'_>,
        facts: &Facts<'_>,
        answers: LimiterAnswers,
        now: i64,
    ) -> Checked {
        let Some(route) = decision.route.filter(|route| !route.limits.is_empty()) else {
            return Checked::Admitted;
        };
        let user = user_of(&route.identity, facts);
        let request = LimitedRequest { rules, limits: &route.limits, user, facts, answers };
        self.limits.borrow_mut().check(&request, now, self.settings.limiter_patience_ms)
    }

    /// Begins the exchange of an adapted request already here, if nothing has to be read first: a
    /// second crossing with the same strings would cost as much as this whole one.
    fn begin_exchange(&self, rules: &Ruleset, decision: &Decision<'_>, facts: &Facts<'_>, now: Timestamp) {
        let found = decision.adapter.and_then(|index| Some((index, rules.adapters().get(index)?)));
        let begun = found.and_then(|(index, adapter)| {
            let (exchange, next) = adapter.begin_at_once(facts, now)?;
            Some((index, exchange, next))
        });
        self.begun.replace(begun);
    }

    /// Returns the further work for a request, as bits of the [`PackedDecision`]: an adapter, a comparison.
    fn beside(&self, rules: &Ruleset, decision: &Decision<'_>, method: &str, now: i64) -> u32 {
        let adapt = if decision.adapter.is_some() { PackedDecision::ADAPT } else { 0 };
        // Whoever turned to legacy to spare the new backend does not send it copies, nor does one that fails get any.
        let is_spared =
            matches!(decision.verdict.reason, Reason::Emergency | Reason::Diverted | Reason::Braked)
                || (!self.breakers.is_empty()
                    && decision.route.is_some_and(|route| {
                        [route.legacy, route.new].iter().any(|arm| self.breakers.is_open(rules, *arm, now))
                    }));
        let policy = decision.route.and_then(|route| route.compare.as_ref()).filter(|_| !is_spared);
        let compared = policy.is_some_and(|policy| {
            let is_meant = is_safe(method)
                || policy
                    .mirror
                    .as_ref()
                    .is_some_and(|mirror| mirror.methods.iter().any(|held| held == method));
            is_meant && self.settings.reports && is_drawn(self.draw(), policy.sample)
        });
        adapt | if compared { PackedDecision::COMPARE } else { 0 }
    }

    /// Returns the next pseudorandom number.
    pub fn draw(&self) -> u64 {
        let mut dice = self.dice.get();
        let drawn = dice.draw();
        self.dice.set(dice);
        drawn
    }

    /// Seeds [`Isolate::draw`] and the schedule, so that every isolate draws other numbers.
    pub fn begin_draws(&mut self, seed: &str) {
        let seed = digest(seed);
        self.limits.get_mut().seed(seed.rotate_left(32));
        self.dice.set(SplitMix64::new(seed));
        // Not the numbers that requests draw.
        self.schedule.seed(!seed);
    }

    /// Returns the rules of a generation, if they are still held.
    pub fn rules_of(&self, generation: u32) -> Option<Rc<Ruleset>> {
        self.counting.rules(generation).cloned()
    }

    /// Returns true if the control plane has been silent for so long that it must be queried before any request goes to the
    /// new arm: an emergency may have been declared meanwhile. A request that an experiment sends to legacy waits too, because
    /// clients that do not wait would else be missing in one variant only.
    fn must_ask(&self, decision: &Decision<'_>, now: i64) -> bool {
        let may_wait = decision.verdict.arm == Arm::New || decision.verdict.reason == Reason::Experiment;
        may_wait
            && self.settings.reports
            && !self.settings.force_legacy
            && self.settings.lease_ms > 0
            && (self.reporting.must_ask(now, self.settings.lease_ms) || self.reporting.is_awaited(now))
    }

    /// Returns true if the control plane is lost, and the flag at a position sends its users to legacy then.
    fn leaves_new(&self, flag: Option<usize>, now: i64) -> bool {
        if !self.settings.reports || !self.reporting.is_lost(now, self.settings.control_loss_ms) {
            return false;
        }
        let rules = self.held.as_ref().map(|held| &held.rules);
        let Some((rules, position)) = rules.zip(flag) else { return false };
        match rules.flags().get(position).and_then(|flag| flag.on_control_loss) {
            Some(choice) => choice == OnControlLoss::Legacy,
            None => rules.canary(position).is_some(),
        }
    }

    /// Returns true if this isolate sends nobody of the flag to the new arm, whatever the rules say.
    fn is_turned(&self, decision: &Decision<'_>, now: i64) -> bool {
        self.settings.force_legacy || self.leaves_new(decision.route.and_then(|route| route.flag), now)
    }

    /// Returns the position of the legacy origin of the request's route, for a request that could not be decided.
    pub fn legacy_origin(&self, packed: &Packed<'_>) -> Option<usize> {
        let route = self.held.as_ref()?.rules.route(packed.method, packed.path)?;
        Some(route.legacy)
    }
}
