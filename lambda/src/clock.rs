//! The clock: the only place where the functions read the time.

use cutover_core::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the current time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Returns true if less than `limit` has passed from `then` to `now`. A time in the future is not within any limit: the
/// clock was set back. Unlike a monotonic clock, this one goes on while the platform has frozen the process.
pub fn is_within(limit: Duration, then: Timestamp, now: Timestamp) -> bool {
    u64::try_from(now.millis() - then.millis()).is_ok_and(|passed| Duration::from_millis(passed) < limit)
}
