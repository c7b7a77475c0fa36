//! Routes map requests to a flag and to the two origins that can serve them.
//!
//! A path pattern consists of literal segments, `{name}` for exactly one segment, and `{*rest}` at
//! the end for any number of segments, including none:
//!
//! ```text
//! /api/v1/reviews               only this path
//! /api/v1/offers/{id}/reviews   /api/v1/offers/17/reviews, but not /api/v1/offers/17/18/reviews
//! /api/v1/reviews/{*rest}       /api/v1/reviews, /api/v1/reviews/ and every path below
//! /api/v1/reviews/latest        more specific than the pattern above, so it wins
//! ```

use crate::{
    caching::CacheRules,
    compare::{Comparison, HiddenError},
    graphql::Guard,
    request::identity::{Source, default_sources, is_default},
    routing::matcher::Matcher,
    vocabulary::names::{AdapterName, FlagName, LimitName, OriginName, RouteId},
};
use serde::{Deserialize, Serialize};

/// A path pattern and methods, the flag that decides, and the origin of each arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Identifier of the route.
    pub id: RouteId,
    /// The requests that the route applies to.
    #[serde(rename = "match")]
    pub matcher: Matcher,
    /// The flag that decides.
    pub flag: FlagName,
    /// The origin of the legacy arm.
    pub legacy: OriginName,
    /// The origin of the new arm.
    pub new: OriginName,
    /// Sources of the user id; the first one that yields an id wins.
    #[serde(default = "default_sources", skip_serializing_if = "is_default_sources")]
    pub identity: Vec<Source>,
    /// Adapters of the new arm; a request goes through the first one that matches its version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapt: Vec<AdapterName>,
    /// Settings for comparing the responses of both arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Comparison>,
    /// Rule that recognises responses with status 200 that report an error in their body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_when: Option<HiddenError>,
    /// Statuses from 400 to 499 that count as errors, on both arms. Those from 500 on always do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_statuses: Vec<u16>,
    /// Failures of the new backend after which legacy serves the request.
    #[serde(default, skip_serializing_if = "is_default_fallback")]
    pub fallback: Fallback,
    /// Checks that GraphQL requests must pass before a backend gets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Rules by which responses are cached; `None` if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheRules>,
    /// Policies of rate limits, all of which must admit a request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limit: Vec<LimitName>,
}

/// Failures of the new backend after which legacy serves the same request, if it can be sent a second time: safe
/// requests after any of them; `PUT` and `DELETE` only if there was no connection. The numbers are codes between the
/// Worker and its JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Fallback {
    /// None: clients see every failure of the new backend.
    Never = 0,
    /// No connection, or no response in time.
    Unreachable = 1,
    /// As [`Self::Unreachable`], and the statuses 502 to 504, 520 to 526 and 530.
    #[default]
    Unavailable = 2,
}

fn is_default_fallback(fallback: &Fallback) -> bool {
    *fallback == Fallback::default()
}

// serde hands over a reference to the field, not a slice.
#[expect(clippy::ptr_arg, reason = "the signature is serde's")]
fn is_default_sources(sources: &Vec<Source>) -> bool {
    is_default(sources)
}
