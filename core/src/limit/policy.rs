//! Policies of rate limits, as operators write them and as requests are checked against them.

use crate::{
    limit::{gcra::Rate, key::KeyPart},
    vocabulary::names::LimitName,
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Most requests of a period.
pub const MAX_REQUESTS: u32 = 10_000_000;

/// Most requests in a second of one key. Above it microseconds would be too coarse.
pub const MAX_REQUESTS_PER_SECOND: u32 = 10_000;

/// Longest period, in seconds: 31 days.
pub const MAX_PERIOD_SECONDS: u32 = 2_678_400;

/// Most policies of one route.
pub const MAX_POLICIES: usize = 8;

/// Bursts below this are never lent: an isolate asks for each request.
const SMALLEST_LENT: u32 = 20;

/// A rate limit by a key.
///
/// ```
/// use cutover_core::limit::{LimitMode, LimitPolicy};
///
/// let policy: LimitPolicy = serde_json::from_str(r#"{"key":["user"],"requests":100,"period_seconds":60}"#)?;
/// assert_eq!((policy.mode, policy.rate().burst(), policy.rate().interval_us()), (LimitMode::Lease, 100, 600_000));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitPolicy {
    /// Parts of the requests by which they are counted, joined to one key.
    pub key: Vec<KeyPart>,
    /// Requests in each period.
    pub requests: u32,
    /// Length of a period in seconds.
    pub period_seconds: u32,
    /// Most requests at once; `None` for those of a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Reach of the limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: LimitScope,
    /// Number of tokens that an isolate asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: LimitMode,
    /// Treatment of requests while the limiter does not answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnLimiterFailure,
    /// The platform's rate limit binding, for [`LimitScope::Location`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
}

/// Reach of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// All isolates share one limit.
    #[default]
    Global,
    /// Each location of the platform has a limit of its own, which the platform counts.
    Location,
}

/// Number of tokens that an isolate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    /// As many as it is likely to need soon.
    #[default]
    Lease,
    /// One for each request.
    Exact,
}

/// Treatment of requests while the limiter does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimiterFailure {
    /// Each isolate limits by itself.
    #[default]
    Open,
    /// They are refused.
    Closed,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl LimitPolicy {
    /// Returns the rate of the policy. The interval is rounded up to whole microseconds, so that no more is admitted.
    pub fn rate(&self) -> Rate {
        let period_us = u64::from(self.period_seconds).saturating_mul(1_000_000);
        let requests = u64::from(self.requests.max(1));
        Rate::new(period_us.div_ceil(requests), self.burst.unwrap_or(self.requests))
    }
}

/// A policy with everything computed that requests need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledLimit {
    /// Name of the policy.
    pub name: LimitName,
    /// The policy as it was written.
    pub policy: LimitPolicy,
    /// Its rate.
    pub rate: Rate,
    /// Most tokens that an isolate asks for at once.
    pub most_lent: u32,
    /// Hash of the name and the policy, by which keys of different policies differ.
    pub seed: u64,
    /// Seconds in which an empty burst becomes whole, rounded up.
    pub window_seconds: u64,
    /// Item of the response header `RateLimit-Policy`.
    pub item: String,
}

impl CompiledLimit {
    /// Compiles a policy.
    pub fn new(name: &LimitName, policy: &LimitPolicy) -> Self {
        let rate = policy.rate();
        let is_lent = policy.mode == LimitMode::Lease
            && policy.scope == LimitScope::Global
            && rate.burst() >= SMALLEST_LENT;
        // By the policy, because the interval is rounded.
        let of_all = u64::from(rate.burst()) * u64::from(policy.period_seconds);
        let window_seconds = of_all.div_ceil(u64::from(policy.requests.max(1)));
        Self {
            name: name.clone(),
            policy: policy.clone(),
            rate,
            most_lent: if is_lent { rate.burst() / SMALLEST_LENT } else { 1 },
            seed: xxh3_64(format!("{name}\n{policy:?}").as_bytes()),
            window_seconds,
            item: format!("\"{name}\";q={};w={window_seconds}", rate.burst()),
        }
    }

    /// Returns true if requests with a method are counted. Browsers ask with `OPTIONS` before a request of another origin
    /// (CORS), without the user's id: only limits by address count that.
    pub fn counts(&self, method: &str) -> bool {
        method != "OPTIONS" || self.policy.key.iter().all(|part| *part == KeyPart::Ip)
    }
}
