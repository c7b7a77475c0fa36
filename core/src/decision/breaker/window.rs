//! The share of failures of the last seconds.

/// Seconds over which the share of failures is taken.
const WINDOW_S: usize = 10;

/// Requests of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Second {
    number: i64,
    requests: u32,
    failures: u32,
}

/// The requests of the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window([Second; WINDOW_S]);

impl Window {
    /// Adds requests that ended now.
    pub(super) fn add(&mut self, now: i64, requests: u32, failures: u32) {
        let number = now.div_euclid(1_000);
        let index = usize::try_from(number).unwrap_or_default() % WINDOW_S;
        let Some(second) = self.0.get_mut(index) else { return };
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second.requests = second.requests.saturating_add(requests);
        second.failures = second.failures.saturating_add(failures);
    }

    /// Returns the requests of the window and the failures among them.
    pub(super) fn sums(&self, now: i64) -> (u32, u32) {
        let newest = now.div_euclid(1_000);
        let oldest = newest - i64::try_from(WINDOW_S).unwrap_or_default();
        let recent = self.0.iter().filter(|second| second.number > oldest && second.number <= newest);
        recent.fold((0_u32, 0_u32), |(requests, failures), second| {
            (requests.saturating_add(second.requests), failures.saturating_add(second.failures))
        })
    }
}
