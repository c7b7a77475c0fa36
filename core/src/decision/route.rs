//! Routes and origins with their references resolved to positions, so that a decision looks up no
//! name.

use crate::{
    caching::CacheRules,
    compare::{Comparison, HiddenError},
    decision::input::Input,
    graphql::Guard,
    measurement::label::SlowLimits,
    request::identity::Source,
    rules::{origin::OriginOptions, route::Fallback},
    vocabulary::names::{OriginName, RouteId},
};

/// An origin in the form that forwarding needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledOrigin {
    /// Name of the origin.
    pub name: OriginName,
    /// Base URL without a trailing slash.
    pub base: String,
    /// Milliseconds until the response headers must have arrived.
    pub timeout_ms: u32,
    /// Changes to requests and responses, if there are any.
    pub options: Option<OriginOptions>,
    /// Help if the origin fails, if there is any.
    pub failover: Option<CompiledFailover>,
}

/// [`Failover`](crate::rules::origin::Failover) with its reference resolved, also of an origin that is the secondary of
/// another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompiledFailover {
    /// Position of the secondary in [`Ruleset::origins`](super::ruleset::Ruleset::origins).
    pub secondary: Option<usize>,
    /// True if a request that failed may be sent to the same origin a second time.
    pub retry: bool,
    /// Path at which the origin says that it is well.
    pub health: Option<String>,
}

/// A route with its references resolved to positions.
#[derive(Debug)]
pub struct CompiledRoute {
    /// Identifier of the route.
    pub id: RouteId,
    /// Position of the flag in [`Ruleset::flags`](super::ruleset::Ruleset::flags); `None` if the snapshot has no such flag.
    pub flag: Option<usize>,
    /// Position of the legacy arm's origin in [`Ruleset::origins`](super::ruleset::Ruleset::origins).
    pub legacy: usize,
    /// Position of the new arm's origin in [`Ruleset::origins`](super::ruleset::Ruleset::origins).
    pub new: usize,
    /// Sources of the user id; the first one that yields an id wins.
    pub identity: Vec<Source>,
    /// Inputs that must be read from a request before this route can be decided.
    pub inputs: Vec<Input>,
    /// Positions of the new arm's adapters in [`Ruleset::adapters`](super::ruleset::Ruleset::adapters).
    pub adapt: Vec<usize>,
    /// Settings for comparing the responses of both arms.
    pub compare: Option<Comparison>,
    /// Rule that recognises responses with status 200 that report an error in their body.
    pub error_when: Option<HiddenError>,
    /// Statuses below 500 that count as errors.
    pub error_statuses: Vec<u16>,
    /// Failures of the new backend after which legacy serves the request.
    pub fallback: Fallback,
    /// Checks that GraphQL requests must pass before a backend gets them.
    pub guard: Option<Guard>,
    /// Rules by which responses are cached; `None` if none is.
    pub cache: Option<CacheRules>,
    /// Positions of the rate limits in [`Ruleset::limits`](super::ruleset::Ruleset::limits).
    pub limits: Vec<usize>,
    /// Limits above which a response is slow; `None` if the flag has no active canary.
    pub slow_limits: Option<SlowLimits>,
}
