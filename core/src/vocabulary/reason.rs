//! Reasons of decisions, with the codes that cross between Rust and JavaScript.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Reason for a decision. The numbers are codes between the Worker and its JavaScript.
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
    /// The user's bucket decided. The only reason that counts as evidence for a canary.
    Rollout = 6,
    /// No route matches the request.
    NoRoute = 7,
    /// The edge has no usable snapshot.
    NoSnapshot = 8,
    /// The new origin was unreachable or too slow, and legacy served the request instead.
    Fallback = 9,
    /// The edge had an internal error.
    Internal = 10,
    /// The decision was the new arm, but its adapter has no route for the request.
    Unadapted = 11,
    /// The new origin failed many times in a row, so the isolate sends nobody there for some seconds.
    Diverted = 12,
    /// The decision was the new arm, but a change that the edge knows only as a brake has lowered the flag.
    Braked = 13,
    /// The variant of the experiment that owns the flag decided. No evidence for a canary: the flag's percentage had no part.
    Experiment = 14,
    /// The guard of the route refused the request, so no backend got it.
    Guarded = 15,
    /// A rate limit of the route refused the request, so no backend got it.
    Limited = 16,
    /// The bucket decided, and the request went through the cache of its route. No evidence, whether the cache had the
    /// response or not: the contents of a cache depend on the arm's share.
    Cached = 17,
}

impl Reason {
    /// All reasons, in the order of their codes.
    pub const ALL: [Reason; 18] = [
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
        Reason::Diverted,
        Reason::Braked,
        Reason::Experiment,
        Reason::Guarded,
        Reason::Limited,
        Reason::Cached,
    ];

    /// Returns true if no backend got the request, because the Worker refused it. It says nothing about the speed or the
    /// errors of the arm that it is counted on.
    pub fn is_refusal(self) -> bool {
        matches!(self, Reason::Guarded | Reason::Limited)
    }

    /// Returns the name in headers and documents.
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
            Reason::Diverted => "DIVERTED",
            Reason::Braked => "BRAKED",
            Reason::Experiment => "EXPERIMENT",
            Reason::Guarded => "GUARDED",
            Reason::Limited => "LIMITED",
            Reason::Cached => "CACHED",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
