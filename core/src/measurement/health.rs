//! The health of origins as isolates share it: each names with its questions the origins that it holds open, and is
//! answered with those that several isolates hold open. One sick isolate closes nobody's origin.
//!
//! ```json
//! [{ "origin": "rest", "open_for_ms": 4200 }]
//! ```

use crate::vocabulary::names::OriginName;
use serde::{Deserialize, Serialize};

/// Most origins in a question or an answer.
pub const MAX_ORIGINS: usize = 16;

/// Most origins that one isolate reports alone.
const MAX_ALONE: usize = 4;

/// Most reports that are kept of an origin: two are enough, and one more of them may be withdrawn.
const MAX_REPORTS: usize = 3;

/// Reports within so many milliseconds confirm each other.
const CONFIRMED_WITHIN_MS: i64 = 10_000;

/// Longest time for which an isolate may say that it holds an origin open, in milliseconds.
const LONGEST_OPEN_MS: u64 = 360_000;

/// Milliseconds by which the end of an isolate's report must move for it to be written again.
const SAME_END_MS: i64 = 2_000;

/// An origin that gets no requests for some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrigin {
    /// Name of the origin.
    pub origin: OriginName,
    /// Milliseconds until a probe may be sent to it.
    pub open_for_ms: u64,
}

/// The report of one isolate about one origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Identifier of the isolate.
    pub isolate: String,
    /// Time of the report, in milliseconds since 1970.
    pub at: i64,
    /// End of the isolate's opening, in milliseconds since 1970.
    pub until: i64,
}

/// An origin with the isolates that hold it open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ReportedOrigin {
    origin: OriginName,
    reports: Vec<Report>,
}

/// The reports of all isolates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SharedHealth(Vec<ReportedOrigin>);

impl SharedHealth {
    /// Takes in the origins that an isolate holds open. Returns true if that is to be written: the word to others may
    /// differ by it.
    pub fn report(&mut self, isolate: &str, open: &[OpenOrigin], now: i64) -> bool {
        self.forget(now);
        let mut is_changed = false;
        for OpenOrigin { origin, open_for_ms } in open.iter().take(MAX_ORIGINS) {
            let open_for_ms = i64::try_from(*open_for_ms.min(&LONGEST_OPEN_MS)).unwrap_or_default();
            let report = Report { isolate: isolate.to_owned(), at: now, until: now + open_for_ms };
            is_changed |= self.add(origin, report);
        }
        is_changed
    }

    fn add(&mut self, origin: &OriginName, report: Report) -> bool {
        let found = self.0.iter().position(|held| held.origin == *origin);
        let Some(held) = found.and_then(|index| self.0.get_mut(index)) else {
            return self.begin(origin, report);
        };
        if let Some(own) = held.reports.iter_mut().find(|own| own.isolate == report.isolate) {
            let is_same = (own.until - report.until).abs() < SAME_END_MS;
            if !is_same {
                *own = report;
            }
            return !is_same;
        }
        if held.reports.len() >= MAX_REPORTS {
            // One that nobody confirms any more makes room first.
            let old = held.reports.iter().position(|old| is_unconfirmed(old, &held.reports, report.at));
            if let Some(old) = old.and_then(|index| held.reports.get_mut(index)) {
                *old = report;
                return true;
            }
            // Then the one that ends first, for one that holds longer.
            let Some(first) = held.reports.iter_mut().min_by_key(|held| held.until) else { return false };
            let is_later = report.until - first.until >= SAME_END_MS;
            if is_later {
                *first = report;
            }
            return is_later;
        }
        held.reports.push(report);
        true
    }

    /// Adds an origin that nobody has reported. If there is no room, it takes the place of one that a single isolate
    /// reported long ago.
    fn begin(&mut self, origin: &OriginName, report: Report) -> bool {
        let is_alone = |held: &ReportedOrigin| held.reports.len() == 1;
        let is_own = |held: &ReportedOrigin| held.reports.iter().all(|own| own.isolate == report.isolate);
        if self.0.iter().filter(|held| is_alone(held) && is_own(held)).count() >= MAX_ALONE {
            return false;
        }
        if self.0.len() >= MAX_ORIGINS {
            let is_old = |held: &ReportedOrigin| {
                is_alone(held) && held.reports.iter().all(|old| is_old(old, report.at))
            };
            let Some(index) = self.0.iter().position(is_old) else { return false };
            self.0.remove(index);
        }
        self.0.push(ReportedOrigin { origin: origin.clone(), reports: vec![report] });
        true
    }

    /// Returns the origins that at least two isolates hold open, each for as long as two of them do.
    pub fn open_origins(&self, now: i64) -> Vec<OpenOrigin> {
        let open = self.0.iter().filter_map(|ReportedOrigin { origin, reports }| {
            let open_for_ms = u64::try_from(confirmed_until(reports, now)? - now).ok()?;
            Some(OpenOrigin { origin: origin.clone(), open_for_ms })
        });
        open.collect()
    }

    /// Returns true if nobody reports anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes reports whose time is over.
    fn forget(&mut self, now: i64) {
        for held in &mut self.0 {
            held.reports.retain(|report| report.until > now);
        }
        self.0.retain(|held| !held.reports.is_empty());
    }
}

/// Returns true if a new report does not confirm a report any more.
fn is_old(report: &Report, now: i64) -> bool {
    now - report.at > CONFIRMED_WITHIN_MS
}

fn is_unconfirmed(report: &Report, reports: &[Report], now: i64) -> bool {
    is_old(report, now) && !reports.iter().any(|other| is_confirmed(report, other))
}

fn is_confirmed(one: &Report, other: &Report) -> bool {
    one.isolate != other.isolate && (one.at - other.at).abs() <= CONFIRMED_WITHIN_MS
}

/// Returns the latest time until which two isolates hold an origin open that reported within ten seconds of each other.
fn confirmed_until(reports: &[Report], now: i64) -> Option<i64> {
    let current = || reports.iter().filter(|report| report.until > now);
    let pairs = current().flat_map(|one| current().map(move |other| (one, other)));
    let confirmed = pairs.filter(|(one, other)| is_confirmed(one, other));
    confirmed.map(|(one, other)| one.until.min(other.until)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(open_for_ms: u64) -> Vec<OpenOrigin> {
        vec![OpenOrigin { origin: "rest".parse().unwrap(), open_for_ms }]
    }

    #[test]
    fn two_isolates_within_ten_seconds_tell_all_and_one_alone_does_not() {
        let mut health = SharedHealth::default();
        assert!(health.report("a", &open(300_000), 0));
        assert!(health.report("a", &open(100_000), 1_000), "it holds it for less time now");
        assert_eq!(health.open_origins(1_000), []);
        let mut late = health.clone();
        assert!(health.report("b", &open(5_000), 11_000));
        assert_eq!(health.open_origins(12_000), open(4_000));
        assert_eq!(health.open_origins(16_000), [], "one is left");
        assert!(late.report("b", &open(50_000), 11_001));
        assert_eq!(late.open_origins(11_001), [], "ten seconds are over");
        // One that says so anew confirms the other.
        assert!(late.report("a", &open(60_000), 12_000));
        assert_eq!(late.open_origins(12_001), open(49_000));
    }

    #[test]
    fn what_changes_nothing_is_not_written() {
        let mut health = SharedHealth::default();
        assert!(health.report("a", &open(30_000), 0));
        assert!(!health.report("a", &open(26_000), 4_400), "the same end, told again");
        for isolate in ["b", "c"] {
            assert!(health.report(isolate, &open(30_000), 1_000));
        }
        for isolate in 0..1_000 {
            assert!(!health.report(&format!("isolate {isolate}"), &open(29_000), 2_000));
        }
        assert!(health.report("z", &open(60_000), 2_000));
        assert!(!health.report("b", &[], 2_000));
        assert!(!health.report("b", &[], 100_000) && health.is_empty());
    }

    #[test]
    fn no_isolate_reports_more_than_there_is_room_for() {
        let mut health = SharedHealth::default();
        let many = |from: usize| {
            let origin =
                |number| OpenOrigin { origin: format!("o{number}").parse().unwrap(), open_for_ms: u64::MAX };
            (from..from + 100).map(origin).collect::<Vec<_>>()
        };
        // Alone it fills a quarter of the room.
        for (number, isolate) in ["a", "b", "c", "d"].into_iter().enumerate() {
            assert!(health.report(isolate, &many(100 * number), 0));
            assert!(!health.report(isolate, &many(100 * number + 50), 0), "{isolate}");
        }
        assert_eq!(health.0.len(), MAX_ORIGINS);
        assert!(!health.report("e", &many(900), 10_000));
        assert!(health.report("e", &many(0), 10_000));
        let told = health.open_origins(10_000);
        assert_eq!((told.len(), told[0].open_for_ms), (MAX_ALONE, LONGEST_OPEN_MS - 10_000));
        // An origin that one isolate reports for long makes room, and one that two report does not.
        assert!(health.report("f", &many(900), 10_001));
        assert_eq!(health.0.len(), MAX_ORIGINS);
        assert_eq!(health.open_origins(10_001).len(), MAX_ALONE);
    }

    #[test]
    fn old_reports_that_nobody_confirms_make_room_for_an_outage_of_now() {
        let mut health = SharedHealth::default();
        for (isolate, at) in [("a", 0), ("b", 20_000), ("c", 40_000)] {
            assert!(health.report(isolate, &open(300_000), at));
        }
        // Both hold it for far less time than the others said.
        assert!(health.report("d", &open(5_000), 60_000));
        assert_eq!(health.open_origins(60_000), []);
        assert!(health.report("e", &open(5_000), 61_000));
        assert_eq!(health.open_origins(61_000), open(4_000));
        // These two confirm each other, so they stay.
        assert!(health.report("f", &open(5_000), 62_000));
        assert!(!health.report("g", &open(3_000), 63_000));
    }
}
