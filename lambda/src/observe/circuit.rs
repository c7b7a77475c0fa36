//! A circuit breaker for calls that nothing depends on: after one that failed or was slow, there are
//! none for a while, and the work that went without is counted.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// Time for which a circuit stays open.
pub const PAUSE: Duration = Duration::from_secs(60);

/// A circuit breaker.
#[derive(Debug)]
pub struct Circuit(Mutex<CircuitState>);

#[derive(Debug)]
struct CircuitState {
    open_until: Option<Instant>,
    skipped: u64,
}

impl Circuit {
    /// Creates a circuit that admits calls.
    pub const fn closed() -> Self {
        Self(Mutex::new(CircuitState { open_until: None, skipped: 0 }))
    }

    /// Returns true if a call may be made now. Counts the work that goes without.
    pub fn admits(&self, now: Instant) -> bool {
        let Ok(mut state) = self.0.lock() else { return false };
        let is_open = state.open_until.is_some_and(|until| now < until);
        state.skipped += u64::from(is_open);
        !is_open
    }

    /// Admits no call for [`PAUSE`].
    pub fn open(&self, now: Instant) {
        if let Ok(mut state) = self.0.lock() {
            state.open_until = now.checked_add(PAUSE);
        }
    }

    /// Admits calls again, and returns the number of those that were not made since it was last closed.
    pub fn close(&self) -> u64 {
        let Ok(mut state) = self.0.lock() else { return 0 };
        state.open_until = None;
        std::mem::take(&mut state.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_slow_call_there_is_none_for_a_minute_and_those_left_out_are_counted() {
        let circuit = Circuit::closed();
        let now = Instant::now();
        assert!(circuit.admits(now));
        circuit.open(now);
        for seconds in [0, 1, 59] {
            assert!(!circuit.admits(now + Duration::from_secs(seconds)), "{seconds}");
        }
        // One call tries it, and opens or closes the circuit.
        assert!(circuit.admits(now + PAUSE));
        circuit.open(now + PAUSE);
        assert!(!circuit.admits(now + PAUSE));
        assert_eq!(circuit.close(), 4);
        assert!(circuit.admits(now + PAUSE));
        assert_eq!(circuit.close(), 0);
    }
}
