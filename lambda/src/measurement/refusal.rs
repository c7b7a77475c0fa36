//! Refusals of what isolates send: their kinds, and the limit on senders who are refused again and again.

use crate::{access::auth, platform::Limits, problem::Problem};
use axum::http::{StatusCode, request::Parts};
use std::time::{Duration, Instant};

/// Time for the whole handling of a batch or a question: the secret, the write and the head. The isolate has given up before,
/// and sends it again; a process that waits longer is missing for others.
const PATIENCE: Duration = Duration::from_secs(3);

/// Kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The body is too large.
    Oversized,
    /// The body has no signature.
    Unsigned,
    /// The timestamp of the signature is too far from the current time.
    Skewed,
    /// The signature does not match the body.
    Forged,
    /// The body cannot be decoded.
    Malformed,
    /// The sender exceeds its rate limit.
    Limited,
    /// Another batch has the name of this one.
    Conflict,
    /// The body could not be checked, stored or answered.
    Failed,
}

impl RefusalKind {
    /// Returns the name of this kind, as log lines have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::Unsigned => "unsigned",
            Self::Skewed => "skewed",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::Limited => "limited",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

/// A refused batch or question.
#[derive(Debug)]
pub struct Refusal {
    /// Kind of the refusal.
    pub kind: RefusalKind,
    /// Problem for the response.
    pub problem: Box<Problem>,
}

impl Refusal {
    /// Creates a refusal with its problem.
    pub(super) fn new(kind: RefusalKind, problem: Problem) -> Self {
        Self { kind, problem: Box::new(problem) }
    }
}

/// Waits for the handling of a batch or a question, for a bounded time. A batch may be stored although it is refused then; sent
/// again it is a duplicate.
pub(super) async fn in_time<T>(handling: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(PATIENCE, handling).await.unwrap_or_else(|_| {
        let detail = "the table or the secret took too long to answer";
        let hint = "send it again: a batch that is stored already is recognised";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_slow", detail, hint);
        Err(Refusal::new(RefusalKind::Failed, Problem { retry_after: Some(2), ..problem }))
    })
}

/// Refuses a sender who exceeds the rate limit.
pub(super) fn limited(taken: Result<(), u16>) -> Result<(), Refusal> {
    taken.map_err(|seconds| Refusal::new(RefusalKind::Limited, auth::too_many(seconds)))
}

/// Passes a result on. An address that keeps sending what is refused is rate limited. What is signed is accepted regardless
/// of other traffic from the same address, because isolates share addresses with strangers.
pub(super) fn held_back<T>(limits: &Limits, parts: &Parts, taken: Result<T, Refusal>) -> Result<T, Refusal> {
    if let Err(refusal) = &taken
        && !matches!(refusal.kind, RefusalKind::Failed | RefusalKind::Limited)
    {
        limited(limits.refusals.take(auth::source(parts), Instant::now()))?;
    }
    taken
}
