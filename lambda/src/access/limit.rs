//! Rate limits: a token bucket for each caller, in this process. A process handles one request at a
//! time and the platform bounds the number of processes, so the total rate is bounded too
//! (docs/OPERATIONS.md#limits).

use std::{collections::HashMap, sync::Mutex, time::Instant};

/// Most callers that are tracked. Beyond it, callers with full buckets are dropped, and all callers
/// if that is not enough.
const MAX_CALLERS: usize = 4_096;

/// Rate limiter with a token bucket for each caller.
#[derive(Debug)]
pub struct Limiter {
    /// Sustained rate in requests per second; the burst is twice as large.
    per_second: f64,
    buckets: Mutex<HashMap<String, TokenBucket>>,
}

#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    /// Creates a limiter with the given rate in requests per second; `None` means no limit.
    pub fn new(per_second: Option<f64>) -> Self {
        Self { per_second: per_second.unwrap_or(f64::INFINITY), buckets: Mutex::default() }
    }

    /// Takes one token from a caller's bucket.
    ///
    /// # Errors
    ///
    /// Returns the time to wait, in seconds, if the bucket is empty.
    pub fn take(&self, caller: &str, now: Instant) -> Result<(), u16> {
        if self.per_second.is_infinite() {
            return Ok(());
        }
        let Ok(mut buckets) = self.buckets.lock() else { return Ok(()) };
        let most = self.per_second * 2.0;
        if buckets.len() >= MAX_CALLERS && !buckets.contains_key(caller) {
            // A full bucket belongs to an idle caller.
            let rate = self.per_second;
            buckets.retain(|_, held| held.tokens + now.duration_since(held.at).as_secs_f64() * rate < most);
            if buckets.len() >= MAX_CALLERS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(caller.to_owned()).or_insert(TokenBucket { tokens: most, at: now });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * self.per_second).min(most);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - bucket.tokens) / self.per_second;
        // `Retry-After` is at least a second and at most an hour.
        Err(wait.ceil().clamp(1.0, 3_600.0) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_caller_gets_twice_the_rate_at_once_and_then_the_rate() {
        let limiter = Limiter::new(Some(5.0));
        let start = Instant::now();
        let granted = (0..30).filter(|_| limiter.take("a", start).is_ok()).count();
        assert_eq!(granted, 10);
        assert_eq!(limiter.take("b", start), Ok(()), "another caller is not held back");
        let later = start + Duration::from_secs(1);
        let granted = (0..30).filter(|_| limiter.take("a", later).is_ok()).count();
        assert_eq!(granted, 5);
        assert_eq!(limiter.take("a", later), Err(1));
    }

    #[test]
    fn ever_new_callers_do_not_fill_the_memory() {
        let limiter = Limiter::new(Some(1.0));
        let start = Instant::now();
        for caller in 0..20_000 {
            let _ = limiter.take(&caller.to_string(), start);
        }
        assert!(limiter.buckets.lock().unwrap().len() <= MAX_CALLERS);
    }

    #[test]
    fn no_limit_is_none() {
        let limiter = Limiter::new(None);
        assert!((0..1_000).all(|_| limiter.take("a", Instant::now()).is_ok()));
    }
}
