//! Information for clients about rate limits: the fields `RateLimit-Policy`, `RateLimit` and `Retry-After` of
//! draft-ietf-httpapi-ratelimit-headers-10, and the bodies of refusals (RFC 9457).

use cutover_core::limit::{CompiledLimit, Left};
use serde::Serialize;
use std::fmt::Write;

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Information for the client of one request.
#[derive(Debug, Default)]
pub struct Told {
    policies: String,
    limits: String,
    violated: Vec<String>,
    is_unavailable: bool,
    retry_seconds: i64,
}

#[derive(Serialize)]
struct Problem<'p> {
    r#type: &'p str,
    title: &'p str,
    status: u16,
    code: &'p str,
    detail: &'p str,
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    violated: &'p [String],
}

fn seconds(ms: i64) -> i64 {
    ms.max(0).saturating_add(999) / 1_000
}

impl Told {
    fn policy(&mut self, limit: &CompiledLimit) {
        if !self.policies.is_empty() {
            self.policies.push_str(", ");
        }
        self.policies.push_str(&limit.item);
    }

    fn limit(&mut self, limit: &CompiledLimit, tokens: u32, ms: i64) {
        let separator = if self.limits.is_empty() { "" } else { ", " };
        let (name, seconds) = (&limit.name, seconds(ms).unsigned_abs().min(limit.window_seconds));
        // Writing to a string cannot fail.
        write!(self.limits, "{separator}\"{name}\";r={tokens};t={seconds}").unwrap_or_default();
    }

    /// Adds a policy that admits the request, with the tokens that are left if they are known.
    pub fn admitted(&mut self, limit: &CompiledLimit, left: Option<Left>) {
        self.policy(limit);
        if let Some(left) = left {
            self.limit(limit, left.tokens, left.ms);
        }
    }

    /// Adds a policy that refuses the request for some milliseconds.
    pub fn refused(&mut self, limit: &CompiledLimit, ms: i64) {
        self.policy(limit);
        self.limit(limit, 0, ms.max(1));
        self.violated.push(limit.name.to_string());
        self.retry_seconds = self.retry_seconds.max(seconds(ms)).max(1);
    }

    /// Adds a policy whose limiter does not answer, so that it refuses.
    pub fn unavailable(&mut self, limit: &CompiledLimit) {
        self.policy(limit);
        self.is_unavailable = true;
        self.retry_seconds = self.retry_seconds.max(1);
    }

    /// Returns the lines for JavaScript, see [`Limits::lines`](super::Limits::lines).
    pub fn lines(self) -> String {
        let Self { policies, limits, violated, is_unavailable, retry_seconds } = self;
        let problem = match (violated.is_empty(), is_unavailable) {
            (true, false) => return format!("{policies}\n{limits}"),
            (true, true) => Problem {
                r#type: "about:blank",
                title: "Service Unavailable",
                status: 503,
                code: "limiter_unavailable",
                detail: "The request could not be counted against its limit, so no backend got it. Send it again.",
                violated: &[],
            },
            (false, _) => Problem {
                r#type: QUOTA_EXCEEDED,
                title: "Request cannot be satisfied as assigned quota has been exceeded",
                status: 429,
                code: "limited",
                detail: "Too many requests. Wait for the seconds of Retry-After, then send it again.",
                violated: &violated,
            },
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
        format!("{policies}\n{limits}\n{}\n{retry_seconds}\n{body}", problem.status)
    }
}
