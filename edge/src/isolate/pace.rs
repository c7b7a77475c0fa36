//! The paces at which an isolate takes evaluations from each caller, and events from all clients.

use std::{collections::BTreeMap, num::NonZeroU32};

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;

/// Callers that are remembered at the same time; a configuration has fewer.
const MAX_CALLERS: usize = 200;

/// A pace of so many requests a second, all of which may come at once. Each costs its part of a second, and a caller may be in
/// debt for one second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Time at which the requests so far are paid for, in microseconds since 1970.
    paid: i64,
}

impl Pace {
    /// Returns true if another request is taken at a time in milliseconds since 1970. If not, one is a second later.
    pub(super) fn allows(&mut self, per_second: NonZeroU32, now_ms: i64) -> bool {
        let now = now_ms.saturating_mul(1_000);
        let latest = now.saturating_add(SECOND_US);
        // A clock that was set back leaves no debt of more than a second.
        let paid = self.paid.clamp(now, latest);
        let next = paid.saturating_add(SECOND_US / i64::from(per_second.get()));
        let is_allowed = next <= latest;
        self.paid = if is_allowed { next } else { paid };
        is_allowed
    }
}

/// The paces of callers.
#[derive(Debug, Default)]
pub(super) struct Paces(BTreeMap<Box<str>, Pace>);

impl Paces {
    /// Returns true if a caller may send another request at a time in milliseconds since 1970. If not, it may a second later.
    pub(super) fn allows(&mut self, caller: &str, per_second: NonZeroU32, now_ms: i64) -> bool {
        if let Some(pace) = self.0.get_mut(caller) {
            return pace.allows(per_second, now_ms);
        }
        if self.0.len() >= MAX_CALLERS {
            let now = now_ms.saturating_mul(1_000);
            self.0.retain(|_, pace| pace.paid > now);
        }
        self.0.entry(caller.into()).or_default().allows(per_second, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_takes_the_requests_of_a_second_at_once_and_then_each_in_its_turn() {
        let (mut pace, limit) = (Pace::default(), NonZeroU32::new(1_000).unwrap());
        let now = 1_767_225_600_999;
        let mut taken = |now: i64| (0..3_000).filter(|_| pace.allows(limit, now)).count();
        assert_eq!([now, now, now + 1, now + 11, now + 1_011].map(&mut taken), [1_000, 0, 1, 10, 1_000]);
    }

    #[test]
    fn a_caller_has_its_requests_of_a_second_and_shares_them_with_nobody() {
        let mut paces = Paces::default();
        let limit = NonZeroU32::new(4).unwrap();
        let now = 1_767_225_600_000;
        let allowed = |paces: &mut Paces, caller: &str, now: i64| {
            (0..10).filter(|_| paces.allows(caller, limit, now)).count()
        };
        assert_eq!(allowed(&mut paces, "a", now), 4);
        assert_eq!(allowed(&mut paces, "b", now), 4);
        assert_eq!(allowed(&mut paces, "a", now + 249), 0);
        assert_eq!(allowed(&mut paces, "a", now + 250), 1);
        assert_eq!(allowed(&mut paces, "a", now + 1_250), 4);
        assert_eq!(allowed(&mut paces, "a", now - 3_600_000), 0, "the debt of a second stays");
        assert_eq!(allowed(&mut paces, "a", now - 3_600_000 + 1_000), 4);
        for caller in 0..1_000 {
            assert!(paces.allows(&caller.to_string(), limit, now + i64::from(caller) * 1_000));
        }
        assert!(paces.0.len() <= MAX_CALLERS, "{}", paces.0.len());
    }
}
