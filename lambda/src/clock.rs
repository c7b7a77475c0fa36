//! The clock: the only place where the functions read the time.

use cutover_core::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the current time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
