//! The decision about one request. First hit wins, and every answer has its reason.

use crate::{
    bucket::Bucket,
    facts::Facts,
    flag::CompiledFlag,
    identity::{Identity, identify},
    ruleset::{CompiledRoute, Ruleset},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which origin answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The old backend.
    Legacy,
    /// The new backend.
    New,
}

impl Arm {
    /// The name in headers and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Arm::Legacy => "legacy",
            Arm::New => "new",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum Reason {
    /// An emergency holds the flag on legacy.
    Emergency = 0,
    /// The flag is unknown or disabled.
    Disabled = 1,
    /// The user is on the blacklist.
    Blacklisted = 2,
    /// The user is on the whitelist.
    Whitelisted = 3,
    /// A condition does not hold.
    Condition = 4,
    /// There is no user id to bucket by.
    NoKey = 5,
    /// The bucket decided.
    Rollout = 6,
    /// No route is for this request.
    NoRoute = 7,
    /// The edge holds no usable snapshot.
    NoSnapshot = 8,
    /// The new origin could not be reached or was too slow, and legacy answered instead.
    Fallback = 9,
    /// The edge failed inside.
    Internal = 10,
    /// The new backend would have been asked through an adapter that has no route for this request.
    Unadapted = 11,
}

impl Reason {
    /// All reasons, in the order of their codes.
    pub const ALL: [Reason; 12] = [
        Reason::Emergency,
        Reason::Disabled,
        Reason::Blacklisted,
        Reason::Whitelisted,
        Reason::Condition,
        Reason::NoKey,
        Reason::Rollout,
        Reason::NoRoute,
        Reason::NoSnapshot,
        Reason::Fallback,
        Reason::Internal,
        Reason::Unadapted,
    ];

    /// The name in headers and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Emergency => "EMERGENCY",
            Reason::Disabled => "DISABLED",
            Reason::Blacklisted => "BLACKLISTED",
            Reason::Whitelisted => "WHITELISTED",
            Reason::Condition => "CONDITION",
            Reason::NoKey => "NO_KEY",
            Reason::Rollout => "ROLLOUT",
            Reason::NoRoute => "NO_ROUTE",
            Reason::NoSnapshot => "NO_SNAPSHOT",
            Reason::Fallback => "FALLBACK",
            Reason::Internal => "INTERNAL",
            Reason::Unadapted => "UNADAPTED",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was decided for one flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Which origin answers.
    pub arm: Arm,
    /// Why.
    pub reason: Reason,
    /// The user's place, where it was looked at.
    pub bucket: Option<Bucket>,
    /// The position of the first condition that does not hold.
    pub failed_condition: Option<usize>,
    /// The user as an assignment unit, where the bucket decided and the user is among those that are sampled.
    pub unit: Option<u32>,
}

impl Verdict {
    fn legacy(reason: Reason) -> Self {
        Self { arm: Arm::Legacy, reason, bucket: None, failed_condition: None, unit: None }
    }
}

/// What was decided for one request.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'r> {
    /// The decision of the route's flag.
    pub verdict: Verdict,
    /// The route; `None` where no route is for the request.
    pub route: Option<&'r CompiledRoute>,
    /// The route's position, in [`Ruleset::routes`].
    pub route_position: Option<usize>,
    /// Whether the route wants an anonymous id minted, and the request to be decided again with it.
    pub wants_anonymous_id: bool,
    /// The position of the adapter that stands between the client and the origin, in [`Ruleset::adapters`].
    pub adapter: Option<usize>,
}

impl Decision<'_> {
    /// The position of the origin that answers, in [`Ruleset::origins`].
    pub fn origin(&self) -> Option<usize> {
        self.route.map(|route| match self.verdict.arm {
            Arm::Legacy => route.legacy,
            Arm::New => route.new,
        })
    }
}

/// Decides a request: finds its route, the user, and asks the route's flag.
pub fn decide<'r>(rules: &'r Ruleset, facts: &Facts<'_>, now: Timestamp) -> Decision<'r> {
    let Some((position, route)) = rules.route_at(facts.method, facts.path) else {
        return Decision {
            verdict: Verdict::legacy(Reason::NoRoute),
            route: None,
            route_position: None,
            wants_anonymous_id: false,
            adapter: None,
        };
    };
    let (user, wants_anonymous_id) = match identify(&route.identity, facts) {
        Identity::Known(user) => (Some(user), false),
        Identity::MayMint => (None, true),
        Identity::Absent => (None, false),
    };
    let mut verdict = decide_flag(rules.flag_at(route.flag), user, facts, now);
    let mut adapter = None;
    if verdict.arm == Arm::New
        && let Some((at, found)) = rules.adapter_for(route, facts)
    {
        if found.has_route(facts.method, facts.path) {
            adapter = Some(at);
        } else {
            verdict = Verdict { arm: Arm::Legacy, reason: Reason::Unadapted, ..verdict };
        }
    }
    Decision { verdict, route: Some(route), route_position: Some(position), wants_anonymous_id, adapter }
}

/// Decides one flag for one user. The order is the contract; an unknown flag is `None`.
pub fn decide_flag(
    flag: Option<&CompiledFlag>,
    user: Option<&str>,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Verdict {
    let Some(flag) = flag else { return Verdict::legacy(Reason::Disabled) };
    if flag.emergency() {
        return Verdict::legacy(Reason::Emergency);
    }
    if !flag.enabled {
        return Verdict::legacy(Reason::Disabled);
    }
    let place = user.map(|user| (flag.place(user), user));
    if let Some((place, user)) = &place {
        if place.is_blacklisted(user) {
            return Verdict::legacy(Reason::Blacklisted);
        }
        if place.is_whitelisted(user) {
            return Verdict { arm: Arm::New, ..Verdict::legacy(Reason::Whitelisted) };
        }
    }
    if let Some(failed) = flag.failed_condition(facts, now) {
        return Verdict { failed_condition: Some(failed), ..Verdict::legacy(Reason::Condition) };
    }
    let Some((place, _)) = place else { return Verdict::legacy(Reason::NoKey) };
    let bucket = place.bucket();
    let arm = if bucket.is_in(flag.rollout) { Arm::New } else { Arm::Legacy };
    Verdict { arm, bucket: Some(bucket), unit: place.unit(), ..Verdict::legacy(Reason::Rollout) }
}
