//! The policy for sending a request again: which failures pass by themselves, and how long to wait for that. The management
//! API makes a change once for each `Idempotency-Key`, so it does not matter if an earlier attempt was made. A host that is
//! not found, a server without TLS and a port that is closed stay as they are, so a read ends with the first contact that fails.

use std::time::{Duration, Instant, SystemTime};

/// Time after which no further attempt to make a change begins.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Time after which no further attempt to read begins. It is shorter, because nothing is left open by a read that failed, and
/// an operator waits for it.
pub const PATIENCE_OF_READS: Duration = Duration::from_secs(10);

/// Limit of the first pause, which doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest limit of a pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Time within which a change must have found no connection to be sent a second time.
const SHORT: Duration = Duration::from_secs(3);

/// Attempts to send one request.
#[derive(Debug)]
pub struct Attempts {
    is_allowed: bool,
    patience: Duration,
    started: Instant,
    failed: u32,
    /// True once an attempt has found no connection.
    was_unconnected: bool,
}

impl Attempts {
    /// Begins with the first attempt. If `is_allowed` is false there is no other one, and else none after `patience`.
    pub fn new(is_allowed: bool, patience: Duration) -> Self {
        Self { is_allowed, patience, started: Instant::now(), failed: 0, was_unconnected: false }
    }

    /// Counts a failed attempt. Returns the pause before the next one; `None` if there is none.
    pub fn pause(&mut self, retry_after: Option<&str>) -> Option<Duration> {
        self.failed += 1;
        let asked = retry_after.and_then(|value| delay(value, SystemTime::now()));
        let pause = pause(self.failed, asked, getrandom::u64().unwrap_or(u64::MAX / 2));
        (self.is_allowed && self.started.elapsed() + pause < self.patience).then_some(pause)
    }

    /// Counts an attempt of a change that found no connection, so that nothing was sent. Returns a short pause before the next
    /// one, once and early only.
    pub fn pause_unconnected(&mut self) -> Option<Duration> {
        let is_last = self.was_unconnected || self.started.elapsed() > SHORT;
        self.was_unconnected = true;
        let pause = self.pause(None)?;
        (!is_last).then_some(pause.min(FIRST_PAUSE))
    }
}

/// Returns true if a response with this status may be another one a little later.
pub fn is_transient(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// Returns the pause after a number of failed attempts: at least as long as the server asked for, and a random time more, so
/// that callers that were refused together do not come back together.
fn pause(failed: u32, asked: Option<Duration>, random: u64) -> Duration {
    let limit = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(8)).min(LONGEST_PAUSE);
    let share = random as f64 / u64::MAX as f64;
    match asked {
        // Half of the limit at least: a server that is being restarted takes a moment.
        None => limit.mul_f64(0.5 + share / 2.0),
        Some(asked) => asked + FIRST_PAUSE.mul_f64(share),
    }
}

/// Reads a `Retry-After`: a number of seconds, or the time to wait for.
pub fn delay(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    // A time in the past is no reason to wait.
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_asks_for_a_delay_in_seconds_or_until_a_time() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
        for (value, expected) in [
            ("2", seconds(2)),
            (" 120 ", seconds(120)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", seconds(3)),
            ("Sunday, 06-Nov-94 08:49:40 GMT", seconds(3)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", seconds(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(delay(value, now), expected, "{value:?}");
        }
    }

    #[test]
    fn pauses_grow_differ_and_respect_the_server() {
        let ms = |failed, asked, random| pause(failed, asked, random).as_millis();
        assert_eq!([ms(1, None, 0), ms(1, None, u64::MAX)], [250, 500]);
        assert_eq!([ms(2, None, u64::MAX), ms(3, None, u64::MAX)], [1_000, 2_000]);
        assert_eq!(ms(1_000, None, u64::MAX), LONGEST_PAUSE.as_millis());
        let asked = Some(Duration::from_secs(3));
        assert_eq!([ms(1, asked, 0), ms(1, asked, u64::MAX)], [3_000, 3_500]);
    }

    #[test]
    fn attempts_end() {
        assert_eq!(Attempts::new(false, PATIENCE).pause(None), None);
        assert!(Attempts::new(true, PATIENCE).pause(None).is_some());
        assert_eq!(Attempts::new(true, PATIENCE).pause(Some("600")), None, "nobody waits for ten minutes");
        assert!(Attempts::new(true, PATIENCE).pause(Some("20")).is_some());
        assert_eq!(
            Attempts::new(true, PATIENCE_OF_READS).pause(Some("20")),
            None,
            "a read is given up sooner"
        );
    }

    #[test]
    fn a_change_without_a_connection_is_tried_a_second_time_and_no_more() {
        let mut attempts = Attempts::new(true, PATIENCE);
        assert!(attempts.pause_unconnected().is_some_and(|pause| pause <= FIRST_PAUSE));
        assert_eq!(attempts.pause_unconnected(), None);
        assert!(attempts.pause(None).is_some(), "a response in between is another failure");
        assert_eq!(Attempts::new(false, PATIENCE).pause_unconnected(), None, "--no-retry");
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        for status in [429, 502, 503, 504] {
            assert!(is_transient(status), "{status}");
        }
        for status in [200, 400, 401, 403, 404, 409, 412, 422, 500] {
            assert!(!is_transient(status), "{status}");
        }
    }
}
