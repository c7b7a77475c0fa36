//! The limiter of one policy as an isolate sees it, and the questions to it.

use cutover_core::{
    limit::{CompiledLimit, Key},
    vocabulary::names::LimitName,
};
use serde::Serialize;

/// Failures in a row after which all limiters of a policy are left alone.
const MAX_FAILURES: u32 = 3;

/// Milliseconds after which a question without an answer is a failure. Before, its limiter is only slow.
pub const LOST_MS: i64 = 1_000;

/// Milliseconds for which it is left alone. Then one request asks it.
const REST_MS: i64 = 1_000;

/// Requests of a policy since the isolate began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LimitCounts {
    /// Requests that the limiter admitted.
    pub allowed: u64,
    /// Requests that were refused.
    pub limited: u64,
    /// Requests that the isolate admitted by its own count, because the limiter did not answer.
    pub fallback: u64,
    /// Questions to the limiter.
    pub asked: u64,
}

/// The limiter of one policy.
#[derive(Debug)]
pub struct Limiter {
    /// Name of the policy.
    pub name: LimitName,
    /// Its requests.
    pub counts: LimitCounts,
    /// The Worker has no binding for it.
    pub is_absent: bool,
    trust: Trust<MAX_FAILURES>,
}

/// Trust in a limiter, which `MAX` failures in a row end. Then it is left alone, but for one question after each pause.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust<const MAX: u32> {
    failures: u32,
    rests_until: i64,
}

impl<const MAX: u32> Trust<MAX> {
    /// Returns true if a request may ask.
    pub fn may_be_asked(self, now: i64) -> bool {
        now >= self.rests_until
    }

    /// Returns true since it failed too often, until it answers.
    pub fn is_lost(self) -> bool {
        self.failures >= MAX
    }

    /// Notes a question. While the limiter is not trusted, it is the only one for a while.
    pub fn note_question(&mut self, now: i64) {
        if self.is_lost() {
            self.rests_until = now + REST_MS;
        }
    }

    /// Notes an answer.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure.
    pub fn failed(&mut self, now: i64) {
        self.failures = self.failures.saturating_add(1);
        self.note_question(now);
    }
}

impl Limiter {
    /// Creates the limiter of a policy, which is trusted, with the counts that it had under earlier rules.
    pub fn new(name: LimitName, counts: LimitCounts) -> Self {
        Self { name, counts, is_absent: false, trust: Trust::default() }
    }

    /// Returns true if a request may ask.
    pub fn may_be_asked(&self, now: i64) -> bool {
        !self.is_absent && self.trust.may_be_asked(now)
    }

    /// Returns true since it failed too often, until it answers.
    pub fn is_lost(&self) -> bool {
        self.trust.is_lost()
    }

    /// Notes a question.
    pub fn note_question(&mut self, now: i64) {
        self.counts.asked += 1;
        self.trust.note_question(now);
    }

    /// Notes an answer.
    pub fn answered(&mut self) {
        self.trust.answered();
    }

    /// Notes a failure.
    pub fn failed(&mut self, now: i64) {
        self.trust.failed(now);
    }
}

/// A question to a limiter, or to wait for the answer to that of another request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Question {
    /// Position of the policy on the route.
    position: usize,
    number: u32,
    /// Content of the question; `None` to wait.
    #[serde(flatten)]
    asked: Option<Content>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Content {
    policy: String,
    key: String,
    wanted: u32,
    interval: u64,
    burst: u32,
    /// The platform's binding; absent for the Durable Object.
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<String>,
}

#[derive(Serialize)]
struct Questions<'q> {
    patience: i64,
    questions: &'q [Question],
}

impl Question {
    /// Builds a request to wait for the answer to a question.
    pub fn wait(position: usize, number: u32) -> Self {
        Self { position, number, asked: None }
    }

    /// Builds a question for tokens.
    pub fn ask(position: usize, number: u32, limit: &CompiledLimit, key: &Key, wanted: u32) -> Self {
        let asked = Content {
            policy: limit.name.to_string(),
            key: key.as_str().to_owned(),
            wanted,
            interval: limit.rate.interval_us(),
            burst: limit.rate.burst(),
            binding: limit.policy.binding.clone(),
        };
        Self { position, number, asked: Some(asked) }
    }

    /// Returns questions as JSON, with the milliseconds for which a request waits.
    pub fn json(questions: &[Self], patience: i64) -> String {
        serde_json::to_string(&Questions { patience, questions }).unwrap_or_default()
    }
}
