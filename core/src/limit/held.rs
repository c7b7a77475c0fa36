//! The state of one key in an isolate: tokens that it has borrowed, a refusal that it remembers, and its own count for the
//! time in which the limiter does not answer.
//!
//! Borrowed tokens are deducted from the limit before they are spent, at most [`LEASE_MS`] before: they are lost that long
//! after they were asked for.

use crate::limit::{gcra::Taken, policy::CompiledLimit};

/// Milliseconds after the question after which borrowed tokens are lost.
pub const LEASE_MS: i64 = 1_000;

/// Milliseconds for which an isolate borrows tokens at its own rate.
const AHEAD_MS: u64 = 100;

/// Milliseconds over which an isolate measures its own rate.
const PACE_MS: i64 = 200;

/// The answer of a limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Number of granted tokens; 0 is a refusal.
    pub granted: u32,
    /// Tokens that are left for others; `None` if the limiter does not count for us.
    pub remaining: Option<u32>,
    /// Microseconds until the burst is whole again.
    pub reset_us: u64,
    /// Microseconds until a token can be had.
    pub retry_us: u64,
}

/// Tokens that are left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Number of tokens.
    pub tokens: u32,
    /// Milliseconds until the burst is whole again; if no token is left, until one can be had.
    pub ms: i64,
}

impl From<Taken> for Left {
    fn from(taken: Taken) -> Self {
        let us = if taken.remaining == 0 { taken.retry_us } else { taken.reset_us };
        Self { tokens: taken.remaining, ms: millis(us) }
    }
}

/// Knowledge of an isolate about a key without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds a token.
    Token,
    /// The limiter has refused, until this many milliseconds from now.
    Refused(i64),
    /// Nothing: the limiter must be asked.
    Unknown,
}

/// The state of one key in an isolate. Times are in milliseconds of the isolate's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    tokens: u32,
    tokens_until: i64,
    /// Time at which a token of the last answers is lost.
    granted_until: i64,
    refused_until: i64,
    /// Theoretical arrival time by the isolate's own count of admissions, in microseconds.
    own_tat: u64,
    /// Tokens that were left for others at the last answer.
    left: Option<u32>,
    whole_at: i64,
    next_at: i64,
    /// The requests of this and of the period before it.
    pace: Pace,
}

/// Requests of a period and of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Pace {
    begun: i64,
    current: u32,
    before: u32,
}

impl Pace {
    fn note(&mut self, now: i64) {
        match now - self.begun {
            0..PACE_MS => {}
            period => {
                self.before = if (PACE_MS..2 * PACE_MS).contains(&period) { self.current } else { 0 };
                self.current = 0;
                self.begun = now - period.rem_euclid(PACE_MS);
            }
        }
        self.current = self.current.saturating_add(1);
    }

    /// Returns the requests of the last [`PACE_MS`], those of the period before in their part.
    fn requests(&self, now: i64) -> u64 {
        let elapsed = (now - self.begun).clamp(0, PACE_MS);
        let part = u64::try_from(PACE_MS - elapsed).unwrap_or_default();
        u64::from(self.current) + u64::from(self.before) * part / PACE_MS.unsigned_abs()
    }
}

impl Held {
    /// Counts a request for the rate by which tokens are borrowed.
    pub fn note(&mut self, now: i64) {
        self.pace.note(now);
    }

    /// Returns the number of tokens to ask for: those of the next 100 ms at the rate of late.
    pub fn wanted(&self, limit: &CompiledLimit, now: i64) -> u32 {
        let ahead = self.pace.requests(now) * AHEAD_MS / PACE_MS.unsigned_abs();
        u32::try_from(ahead).unwrap_or(u32::MAX).clamp(1, limit.most_lent.max(1))
    }

    /// Returns the answer that is known without asking.
    pub fn standing(&self, now: i64) -> Standing {
        if self.tokens > 0 && now < self.tokens_until {
            Standing::Token
        } else if now < self.refused_until {
            Standing::Refused(self.refused_until - now)
        } else {
            Standing::Unknown
        }
    }

    /// Spends a token of a [`Standing::Token`].
    pub fn spend(&mut self) {
        self.tokens = self.tokens.saturating_sub(1);
    }

    /// Puts a token that was granted for one request at the disposal of all.
    pub fn put_back(&mut self, now: i64) {
        self.lend(1, self.granted_until, now);
    }

    fn lend(&mut self, tokens: u32, until: i64, now: i64) {
        if self.tokens == 0 || now >= self.tokens_until {
            self.tokens = 0;
            self.tokens_until = until;
        }
        self.tokens = self.tokens.saturating_add(tokens);
        // The kept ones would live on with the later ones.
        self.tokens_until = self.tokens_until.min(until);
    }

    /// Takes in the answer of the limiter to a question of the time `asked_at`. One token of it is for the request that
    /// asked, if that still waits.
    pub fn answered(&mut self, answer: Answer, asked_at: i64, is_awaited: bool, now: i64) {
        self.left = answer.remaining;
        self.whole_at = now.saturating_add(millis(answer.reset_us));
        self.next_at = now.saturating_add(millis(answer.retry_us));
        if answer.granted == 0 {
            self.refused_until = now.saturating_add(millis(answer.retry_us).max(1));
            return;
        }
        // No other isolate gives back what it has borrowed.
        let is_last = answer.remaining == Some(0) && answer.retry_us > 0;
        self.refused_until = if is_last { self.next_at } else { 0 };
        let until = asked_at.saturating_add(LEASE_MS);
        self.granted_until = if now < self.granted_until { self.granted_until.min(until) } else { until };
        let surplus = answer.granted - u32::from(is_awaited);
        if surplus > 0 {
            self.lend(surplus, until, now);
        }
    }

    /// Takes a token by the isolate's own count, which no other isolate shares. Each admitted request does, also by a token
    /// of the limiter: admissions are in the isolate's count if the limiter fails.
    pub fn take_own(&mut self, limit: &CompiledLimit, now: i64) -> Taken {
        let taken = self.own(limit, now, 1);
        self.own_tat = taken.tat;
        taken
    }

    /// Returns the answer of [`Held::take_own`], and takes nothing.
    pub fn own(&self, limit: &CompiledLimit, now: i64, wanted: u32) -> Taken {
        let now_us = u64::try_from(now).unwrap_or_default().saturating_mul(1_000);
        limit.rate.take(self.own_tat, now_us, wanted)
    }

    /// Returns the tokens that are left, those for others included; `None` if the limiter does not tell.
    pub fn left(&self, now: i64) -> Option<Left> {
        let lent = if now < self.tokens_until { self.tokens } else { 0 };
        let tokens = self.left?.saturating_add(lent);
        let at = if tokens == 0 { self.next_at } else { self.whole_at };
        Some(Left { tokens, ms: (at - now).max(0) })
    }
}

/// Returns whole milliseconds, rounded up.
fn millis(us: u64) -> i64 {
    i64::try_from(us.div_ceil(1_000)).unwrap_or(i64::MAX)
}
