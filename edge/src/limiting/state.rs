//! The limiter of one policy as an isolate sees it, and the questions to it.

use cutover_core::{
    limit::{CompiledLimit, Key},
    vocabulary::names::LimitName,
};
use serde::Serialize;

/// Failures in a row after which the limiter is left alone.
const MAX_FAILURES: u32 = 3;

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
    failures: u32,
    rests_until: i64,
}

impl Limiter {
    /// Creates the limiter of a policy, which is trusted.
    pub fn new(name: LimitName) -> Self {
        Self { name, counts: LimitCounts::default(), is_absent: false, failures: 0, rests_until: 0 }
    }

    /// Returns true if a request may ask.
    pub fn may_be_asked(&self, now: i64) -> bool {
        !self.is_absent && now >= self.rests_until
    }

    /// Notes a question. While the limiter is not trusted, it is the only one for a while.
    pub fn note_question(&mut self, now: i64) {
        self.counts.asked += 1;
        if self.failures >= MAX_FAILURES {
            self.rests_until = now + REST_MS;
        }
    }

    /// Notes an answer in time.
    pub fn answered(&mut self) {
        self.failures = 0;
        self.rests_until = 0;
    }

    /// Notes a question without an answer in time.
    pub fn failed(&mut self, now: i64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            self.rests_until = now + REST_MS;
        }
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
