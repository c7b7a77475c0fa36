//! The decision about one request. The first rule that applies wins, and every decision has its
//! reason.

use crate::{
    decision::{route::CompiledRoute, ruleset::Ruleset},
    request::{
        facts::Facts,
        identity::{Identity, identify},
    },
    rules::{bucket::Bucket, flag::CompiledFlag},
    vocabulary::{arm::Arm, reason::Reason, share::PartsPerMillion, timestamp::Timestamp},
};

/// Decision of one flag for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagDecision {
    /// The arm that serves the request.
    pub arm: Arm,
    /// The reason for this arm.
    pub reason: Reason,
    /// The user's bucket; `None` if an earlier rule decided.
    pub bucket: Option<Bucket>,
    /// Position of the first condition that does not hold, if a condition decided.
    pub failed_condition: Option<usize>,
    /// The user as an assignment unit, if the bucket decided and the user is in the sample.
    pub unit: Option<u32>,
}

impl FlagDecision {
    fn legacy(reason: Reason) -> Self {
        Self { arm: Arm::Legacy, reason, bucket: None, failed_condition: None, unit: None }
    }
}

/// Decision about one request.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'r> {
    /// Decision of the route's flag.
    pub verdict: FlagDecision,
    /// The route; `None` if none matches the request.
    pub route: Option<&'r CompiledRoute>,
    /// Position of the route in [`Ruleset::routes`].
    pub route_position: Option<usize>,
    /// True if the caller must mint an anonymous id and decide the request again with it.
    pub wants_anonymous_id: bool,
    /// Position in [`Ruleset::adapters`] of the adapter that the request goes through, if any.
    pub adapter: Option<usize>,
}

impl Decision<'_> {
    /// Sends the request to legacy after all, for a reason that the rules do not know.
    pub fn turn_to_legacy(&mut self, reason: Reason) {
        self.verdict = FlagDecision { arm: Arm::Legacy, reason, ..self.verdict };
        self.adapter = None;
    }

    /// Returns the position in [`Ruleset::origins`] of the origin that serves the request.
    pub fn origin(&self) -> Option<usize> {
        self.route.map(|route| match self.verdict.arm {
            Arm::Legacy => route.legacy,
            Arm::New => route.new,
        })
    }
}

/// Decides a request: finds its route and its user, and evaluates the route's flag.
pub fn decide<'r>(rules: &'r Ruleset, facts: &Facts<'_>, now: Timestamp) -> Decision<'r> {
    let Some((position, route)) = rules.route_at(facts.method, facts.path) else {
        return Decision {
            verdict: FlagDecision::legacy(Reason::NoRoute),
            route: None,
            route_position: None,
            wants_anonymous_id: false,
            adapter: None,
        };
    };
    // A preflight carries neither cookies nor the user's headers, so it takes the arm of nobody.
    let identity =
        if facts.method == "OPTIONS" { Identity::Absent } else { identify(&route.identity, facts) };
    let user = match identity {
        Identity::Known(user) => Some(user),
        Identity::MayMint | Identity::Absent => None,
    };
    let flag = rules.flag_at(route.flag);
    let mut verdict = decide_flag(flag, user, facts, now);
    let mut wants_anonymous_id = false;
    if verdict.reason == Reason::NoKey
        && let Some(flag) = flag
    {
        let is_counted = route.flag.is_some_and(|position| rules.canary(position).is_some());
        if identity == Identity::MayMint && flag.needs_bucket(is_counted) {
            wants_anonymous_id = true;
        } else if identity == Identity::MayMint && flag.rollout == PartsPerMillion::ALL {
            // Whoever it is, the share of all users includes them.
            verdict = FlagDecision { arm: Arm::New, ..FlagDecision::legacy(Reason::Rollout) };
        }
    }
    let mut adapter = None;
    if verdict.arm == Arm::New
        && let Some((index, found)) = rules.adapter_for(route, facts)
    {
        if found.has_route(facts.method, facts.path) {
            adapter = Some(index);
        } else {
            verdict = FlagDecision { arm: Arm::Legacy, reason: Reason::Unadapted, ..verdict };
        }
    }
    Decision { verdict, route: Some(route), route_position: Some(position), wants_anonymous_id, adapter }
}

/// Decides one flag for one user. The order of the rules is the contract. An unknown flag is passed
/// as `None` and decides for legacy.
pub fn decide_flag(
    flag: Option<&CompiledFlag>,
    user: Option<&str>,
    facts: &Facts<'_>,
    now: Timestamp,
) -> FlagDecision {
    let Some(flag) = flag else { return FlagDecision::legacy(Reason::Disabled) };
    if flag.emergency() {
        return FlagDecision::legacy(Reason::Emergency);
    }
    if !flag.enabled {
        return FlagDecision::legacy(Reason::Disabled);
    }
    let place = user.map(|user| (flag.place(user), user));
    if let Some((place, user)) = &place {
        if place.is_blacklisted(user) {
            return FlagDecision::legacy(Reason::Blacklisted);
        }
        if place.is_whitelisted(user) {
            return FlagDecision { arm: Arm::New, ..FlagDecision::legacy(Reason::Whitelisted) };
        }
    }
    if let Some(failed) = flag.failed_condition(facts, now) {
        return FlagDecision { failed_condition: Some(failed), ..FlagDecision::legacy(Reason::Condition) };
    }
    let Some((place, _)) = place else { return FlagDecision::legacy(Reason::NoKey) };
    let bucket = place.bucket();
    let arm = if bucket.is_in(flag.rollout) { Arm::New } else { Arm::Legacy };
    FlagDecision { arm, bucket: Some(bucket), unit: place.unit(), ..FlagDecision::legacy(Reason::Rollout) }
}
