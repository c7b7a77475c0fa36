//! The clock: the only place where the functions read the time.

use cutover_core::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the current time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the wait before an attempt is repeated that others got in the way of: 20 to 200 ms, drawn anew each time.
pub fn jitter(attempt: u32) -> Duration {
    let mut byte = [0_u8; 1];
    // Without random bytes it is the shortest.
    let _ = getrandom::fill(&mut byte);
    let drawn = u64::from(byte.first().copied().unwrap_or_default());
    Duration::from_millis(20 + drawn * u64::from(attempt.clamp(1, 4)) * 180 / (4 * 255))
}
