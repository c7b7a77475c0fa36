//! The circuit breaker of an origin, as one isolate knows it. An origin that keeps failing gets nothing for some
//! seconds, then one probe at a time, and after three good ones a growing share of its requests. Nothing here needs a
//! timer: the state is looked at with the time of the next request.

#[cfg(test)]
mod tests;
mod window;

use window::Window;

/// Failures in a row that open a circuit.
pub const FAILURES_IN_A_ROW: u32 = 5;

/// Requests in the window from which their share of failures can open a circuit.
const MIN_REQUESTS: u32 = 20;

/// Milliseconds for which a circuit is first opened. Each opening that follows before the origin is well lasts twice as
/// long.
const FIRST_MS: i64 = 5_000;

/// Milliseconds for which a circuit is opened at most, before its jitter.
const LONGEST_MS: i64 = 300_000;

/// Probes in a row that must succeed.
const GOOD_PROBES: u32 = 3;

/// Milliseconds after which a request that cannot be sent a second time may be a probe: an origin may get no others.
const ANY_PROBE_MS: i64 = 5_000;

/// Milliseconds after which a half-open circuit without a probe closes: nobody wants the origin, or may try it.
const IDLE_MS: i64 = 60_000;

/// Milliseconds for which a circuit is open at most by the word of others, before this isolate looks for itself.
const LONGEST_TOLD_MS: i64 = 15_000;

/// Milliseconds over which the ends of told openings are spread: the time between two questions.
const TOLD_SPREAD_MS: u64 = 5_000;

/// Percent of the requests that an origin gets in the two halves of its recovery.
const SHARES: [u64; 2] = [10, 50];

/// Milliseconds of one half.
const HALF_MS: i64 = 5_000;

/// Milliseconds from the last good probe until the origin gets all of its requests.
pub const RECOVERY_MS: i64 = 2 * HALF_MS;

/// Tenths of a token in the budget of retries: a failure takes ten, a success gives one back.
const BUDGET: u32 = 100;

/// State of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    /// Nobody is sent to the origin.
    Open {
        /// Begin of this, in milliseconds since 1970.
        since: i64,
        /// End of this, in milliseconds since 1970.
        until: i64,
        /// True if the results of this isolate opened the circuit; otherwise others told of the origin.
        is_own: bool,
    },
    /// One probe at a time is sent to the origin.
    HalfOpen {
        /// Begin of this, or time of the last probe that could be repeated, in milliseconds since 1970.
        since: i64,
        /// Begin of this, or time of the last probe.
        probed_at: i64,
        /// True if the results of this isolate opened the circuit.
        is_own: bool,
        /// Time up to which the probe under way has the only place.
        probe_until: Option<i64>,
        /// Probes in a row that succeeded.
        good: u32,
    },
    /// A share of the requests is sent to the origin.
    Recovering {
        /// Begin of this, in milliseconds since 1970.
        since: i64,
    },
}

/// Name of a circuit's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// The origin gets all of its requests.
    Closed,
    /// The origin gets no requests, as long as another one can answer them.
    Open,
    /// The origin gets one probe at a time.
    HalfOpen,
    /// The origin gets a share of its requests.
    Recovering,
}

/// A request that may be sent to an origin.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Milliseconds since 1970.
    pub now: i64,
    /// True if another origin can answer the request if this one fails.
    pub is_repeatable: bool,
    /// Milliseconds that the origin has for its response.
    pub timeout_ms: u32,
    /// A random number, the same for all requests of a user.
    pub dice: u64,
}

/// The answer of a breaker to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The origin gets the request.
    Send,
    /// The origin gets the request as a probe, whose result must be told.
    Probe,
    /// Another origin gets the request.
    Avoid,
}

/// A request that failed: no connection, no response in time, or a status by which nobody is served.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failure {
    /// Milliseconds since 1970.
    pub now: i64,
    /// True if the request was admitted as a probe.
    pub is_probe: bool,
    /// Requests that succeeded since the failure before.
    pub successes: u32,
    /// A random number.
    pub dice: u64,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Success {
    /// Milliseconds since 1970.
    pub now: i64,
    /// True if the request was admitted as a probe.
    pub is_probe: bool,
    /// Requests that succeeded since the last result that was told.
    pub successes: u32,
}

/// The circuit breaker of an origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    failures_in_a_row: u32,
    window: Window,
    /// Times that the circuit was opened since the origin was well.
    openings: u32,
    /// Tenths of a token that are missing in the budget of retries.
    spent: u32,
}

impl Breaker {
    /// Returns true if a request is sent to the origin. One probe at a time takes the only place of a half-open
    /// circuit; it has the place for as long as the origin may take to respond.
    pub fn admit(&mut self, candidate: Candidate) -> Admission {
        let Candidate { now, is_repeatable, timeout_ms, dice } = candidate;
        self.advance(now);
        match &mut self.state {
            State::Closed => Admission::Send,
            State::Open { .. } => Admission::Avoid,
            State::HalfOpen { since, probed_at, probe_until, .. } => {
                let is_taken = probe_until.is_some_and(|until| now < until);
                if is_taken || (!is_repeatable && now - *since < ANY_PROBE_MS) {
                    return Admission::Avoid;
                }
                (*probed_at, *probe_until) = (now, Some(now + i64::from(timeout_ms)));
                if is_repeatable {
                    *since = now;
                }
                Admission::Probe
            }
            State::Recovering { since } => {
                let half = usize::try_from((now - *since).max(0) / HALF_MS).unwrap_or_default();
                let share = SHARES.get(half).copied().unwrap_or(100);
                if dice % 100 < share { Admission::Send } else { Admission::Avoid }
            }
        }
    }

    /// Returns true if the origin gets all of its requests.
    pub fn is_closed(&self, now: i64) -> bool {
        self.circuit(now) == Circuit::Closed
    }

    /// Returns the name of the state.
    pub fn circuit(&self, now: i64) -> Circuit {
        let mut advanced = *self;
        advanced.advance(now);
        match advanced.state {
            State::Closed => Circuit::Closed,
            State::Open { .. } => Circuit::Open,
            State::HalfOpen { .. } => Circuit::HalfOpen,
            State::Recovering { .. } => Circuit::Recovering,
        }
    }

    /// Returns the milliseconds until the circuit is half-open; 0 if it is not open.
    pub fn open_for_ms(&self, now: i64) -> i64 {
        match self.state {
            State::Open { until, .. } => (until - now).max(0),
            _ => 0,
        }
    }

    /// Returns the milliseconds for which this isolate keeps away from the origin by its own results; 0 if it does
    /// until a probe says more, `None` if it does not.
    pub fn own_open_for_ms(&self, now: i64) -> Option<i64> {
        let mut advanced = *self;
        advanced.advance(now);
        match advanced.state {
            State::Open { until, is_own, .. } => is_own.then_some(until - now),
            State::HalfOpen { is_own, .. } => is_own.then_some(0),
            State::Closed | State::Recovering { .. } => None,
        }
    }

    /// Returns true if a failed request may be sent to the same origin again: at most one success in ten is worth a
    /// retry, so that retries do not make up for a tenth of the origin's requests.
    pub fn has_budget(&self) -> bool {
        self.spent < BUDGET / 2
    }

    /// Takes in a failure of a request that was begun after the last opening.
    pub fn failed(&mut self, failure: Failure) {
        let Failure { now, is_probe, successes, .. } = failure;
        self.advance(now);
        self.spent = (self.spent.saturating_sub(successes) + 10).min(BUDGET);
        let before = if successes > 0 { 0 } else { self.failures_in_a_row };
        self.failures_in_a_row = before.saturating_add(1);
        self.window.add(now, successes.saturating_add(1), 1);
        match self.state {
            State::Open { .. } => {}
            State::HalfOpen { .. } if is_probe => self.open(failure),
            State::HalfOpen { .. } => {}
            State::Closed | State::Recovering { .. } => {
                let (requests, failures) = self.window.sums(now);
                let is_bad_share = requests >= MIN_REQUESTS && failures.saturating_mul(2) >= requests;
                if self.failures_in_a_row >= FAILURES_IN_A_ROW || is_bad_share {
                    self.open(failure);
                }
            }
        }
    }

    /// Takes in a response of the origin, and `successes` before it. Returns true if further ones need not be told:
    /// they are counted with the next failure.
    pub fn succeeded(&mut self, is_probe: bool, successes: u32, now: i64) -> bool {
        self.advance(now);
        self.spent = self.spent.saturating_sub(successes.saturating_add(1));
        match &mut self.state {
            State::Closed | State::Recovering { .. } => {
                self.failures_in_a_row = 0;
                self.window.add(now, successes.saturating_add(1), 0);
                true
            }
            State::HalfOpen { probe_until, good, .. } if is_probe => {
                *probe_until = None;
                *good += 1;
                let is_well = *good >= GOOD_PROBES;
                if is_well {
                    self.state = State::Recovering { since: now };
                    (self.failures_in_a_row, self.window) = (0, Window::default());
                }
                is_well
            }
            State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// Gives up the place of a probe that says nothing about the origin.
    pub fn release(&mut self) {
        if let State::HalfOpen { probe_until, .. } = &mut self.state {
            *probe_until = None;
        }
    }

    /// Opens the circuit because other isolates did so for `told_ms` from now, and for at most 15 s at a time. The ends
    /// are spread by the dice, so that not all isolates probe at once. An isolate that opened the circuit itself, or
    /// probes the origin, knows more.
    pub fn open_by_word(&mut self, told_ms: i64, now: i64, dice: u64) {
        self.advance(now);
        let (since, held_until) = match self.state {
            State::Closed => (now, now),
            State::Open { since, until, is_own: false } => (since, until),
            _ => return,
        };
        let spread = i64::try_from(dice % TOLD_SPREAD_MS).unwrap_or_default();
        let told = now.saturating_add(told_ms.max(0)).saturating_add(spread).min(since + LONGEST_TOLD_MS);
        self.state = State::Open { since, until: held_until.max(told), is_own: false };
    }

    /// Returns the begin of the opening, if the circuit is open.
    pub fn open_since(&self) -> Option<i64> {
        match self.state {
            State::Open { since, .. } => Some(since),
            _ => None,
        }
    }

    /// Returns true if there is nothing left to know: the circuit is closed, and no failure is recent or the last
    /// result.
    pub fn is_settled(&self, now: i64) -> bool {
        self.is_closed(now) && self.failures_in_a_row == 0 && self.window.sums(now).1 == 0
    }

    fn open(&mut self, Failure { now, dice, .. }: Failure) {
        let length = FIRST_MS.saturating_mul(1 << self.openings.min(6)).min(LONGEST_MS);
        // From 80 to 120 %.
        let percent = 80 + i64::try_from(dice % 41).unwrap_or_default();
        let until = now + length * percent / 100;
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open { since: now, until, is_own: true };
        (self.failures_in_a_row, self.window) = (0, Window::default());
    }

    /// Ends the states whose time is over.
    fn advance(&mut self, now: i64) {
        if let State::Open { until, is_own, .. } = self.state
            && now >= until
        {
            self.state =
                State::HalfOpen { since: until, probed_at: until, is_own, probe_until: None, good: 0 };
        }
        let is_over = match self.state {
            State::HalfOpen { probed_at, probe_until, .. } => {
                now - probed_at.max(probe_until.unwrap_or_default()) >= IDLE_MS
            }
            State::Recovering { since } => now - since >= RECOVERY_MS,
            State::Closed | State::Open { .. } => false,
        };
        if is_over {
            self.state = State::Closed;
            self.openings = 0;
        }
    }
}
