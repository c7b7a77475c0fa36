//! Pauses between attempts.

use std::time::Duration;

/// Most times that the limit of a pause is doubled.
const MAX_DOUBLINGS: u32 = 6;

/// Returns a random pause below a limit that doubles from `first_ms` with each attempt, so that callers that collided do
/// not collide again.
pub(crate) fn backoff(first_ms: u64, attempt: u32) -> Duration {
    let limit = first_ms.max(1) << attempt.min(MAX_DOUBLINGS);
    Duration::from_millis(getrandom::u64().unwrap_or(limit / 2) % limit)
}
