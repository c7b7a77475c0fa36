//! Rate limits: a token bucket for each caller, in this process. A process handles one request at a
//! time and the platform bounds the number of processes, so the total rate is bounded too
//! (docs/OPERATIONS.md#limits).

use std::{collections::HashMap, sync::Mutex, time::Instant};

/// Most callers that are tracked. Beyond it, callers with full buckets are dropped, and some with the
/// fullest if there are none: a flood of new callers cannot make the limiter forget those that it refuses.
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

impl TokenBucket {
    /// Returns the number of tokens now.
    fn level(&self, now: Instant, per_second: f64) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + passed * per_second).min(most(per_second))
    }
}

/// Returns the number of tokens in a full bucket.
fn most(per_second: f64) -> f64 {
    per_second * 2.0
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
        let full = most(self.per_second);
        if buckets.len() >= MAX_CALLERS && !buckets.contains_key(caller) {
            make_room(&mut buckets, now, self.per_second);
        }
        let bucket = buckets.entry(caller.to_owned()).or_insert(TokenBucket { tokens: full, at: now });
        bucket.tokens = bucket.level(now, self.per_second);
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

/// Drops the callers with full buckets, which are idle, and if there are none an eighth of all, those with
/// the fullest buckets: they lose least.
fn make_room(buckets: &mut HashMap<String, TokenBucket>, now: Instant, per_second: f64) {
    let full = most(per_second);
    buckets.retain(|_, bucket| bucket.level(now, per_second) < full);
    if buckets.len() < MAX_CALLERS {
        return;
    }
    let level = |(caller, bucket): (&String, &TokenBucket)| (bucket.level(now, per_second), caller.clone());
    let mut levels: Vec<(f64, String)> = buckets.iter().map(level).collect();
    levels.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
    for (_, caller) in levels.into_iter().take(MAX_CALLERS / 8) {
        buckets.remove(&caller);
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
    fn a_flood_of_callers_resets_nobody_who_is_refused() {
        let limiter = Limiter::new(Some(5.0));
        let start = Instant::now();
        let refused = ["first", "second"];
        for caller in refused {
            while limiter.take(caller, start).is_ok() {}
        }
        for caller in 0..2 * MAX_CALLERS {
            assert_eq!(limiter.take(&caller.to_string(), start), Ok(()), "a new caller is served");
        }
        for caller in refused {
            assert_eq!(limiter.take(caller, start), Err(1), "{caller}");
        }
        // Full buckets are dropped first.
        let tracked = || limiter.buckets.lock().unwrap().len();
        for caller in 0..MAX_CALLERS {
            if tracked() < MAX_CALLERS {
                assert_eq!(limiter.take(&format!("more {caller}"), start), Ok(()));
            }
        }
        assert_eq!(tracked(), MAX_CALLERS);
        assert_eq!(limiter.take("new", start + Duration::from_secs(3)), Ok(()));
        assert_eq!(tracked(), 1);
    }

    #[test]
    fn no_limit_is_none() {
        let limiter = Limiter::new(None);
        assert!((0..1_000).all(|_| limiter.take("a", Instant::now()).is_ok()));
    }
}
