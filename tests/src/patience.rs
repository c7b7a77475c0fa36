//! Waiting for something that another part does.

use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for something for at most this time, and returns the time that it took.
pub async fn until(limit: Duration, expected: &str, is_so: impl AsyncFn() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < limit, "not {expected}");
        tokio::time::sleep(LOOK).await;
    }
    started.elapsed()
}
