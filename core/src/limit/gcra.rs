//! The generic cell rate algorithm (ITU-T I.371), on whole microseconds.
//!
//! A key has one number, its *theoretical arrival time*: the time at which its burst will be whole again. Each admitted
//! request moves it by one interval. A request is admitted if it then lies no further ahead than the whole burst takes.
//! Refused requests move nothing. In any window of a length `w` at most `burst + w / interval` requests are admitted.

/// The rate of a policy: one request in each interval, and a burst.
///
/// ```
/// use cutover_core::limit::Rate;
///
/// let rate = Rate::new(1_000_000, 2);
/// let first = rate.take(0, 5_000_000, 1);
/// assert_eq!((first.granted, first.remaining, first.reset_us), (1, 1, 1_000_000));
/// let both = rate.take(first.tat, 5_000_000, 2);
/// assert_eq!((both.granted, both.remaining, both.retry_us), (1, 0, 1_000_000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval_us: u64,
    burst: u32,
}

/// The result of asking a rate for tokens, of which each admits one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The theoretical arrival time from now on, in microseconds.
    pub tat: u64,
    /// Number of granted tokens, at most the wanted ones.
    pub granted: u32,
    /// Tokens that are left.
    pub remaining: u32,
    /// Microseconds until the burst is whole again.
    pub reset_us: u64,
    /// Microseconds until a token can be had; 0 if one is left.
    pub retry_us: u64,
}

impl Rate {
    /// Builds the rate of one token in each interval, of which `burst` can be had at once. Both are at least 1.
    pub const fn new(interval_us: u64, burst: u32) -> Self {
        let interval_us = if interval_us == 0 { 1 } else { interval_us };
        Self { interval_us, burst: if burst == 0 { 1 } else { burst } }
    }

    /// Returns the microseconds between two tokens.
    pub const fn interval_us(self) -> u64 {
        self.interval_us
    }

    /// Returns the most tokens that can be had at once.
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// Returns the microseconds in which an empty burst becomes whole.
    pub const fn refill_us(self) -> u64 {
        self.interval_us.saturating_mul(self.burst as u64)
    }

    /// Takes up to `wanted` tokens from a key with the theoretical arrival time `tat` (0 for a new key), at the time `now`;
    /// both in microseconds of one clock. A time that lies further ahead than the whole burst takes, because the clock was
    /// set back or the burst was made smaller, counts as an empty burst.
    pub fn take(self, tat: u64, now: u64, wanted: u32) -> Taken {
        let latest = now.saturating_add(self.refill_us());
        let base = tat.clamp(now, latest);
        let available = (latest - base) / self.interval_us;
        // The burst, which fits, is the most there can be.
        let available = u32::try_from(available).unwrap_or(self.burst).min(self.burst);
        let granted = wanted.min(available);
        let taken = base.saturating_add(self.interval_us.saturating_mul(u64::from(granted)));
        let remaining = available - granted;
        let next = taken.saturating_add(self.interval_us);
        Taken {
            tat: taken,
            granted,
            remaining,
            reset_us: taken - now,
            retry_us: if remaining > 0 { 0 } else { next.saturating_sub(latest) },
        }
    }
}
