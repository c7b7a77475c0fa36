//! The instants at which an isolate asks and reports. Nothing here learns what was counted: an isolate that reported sooner
//! because of an error would show the control plane errors before it shows successes, and roll healthy canaries back.
//! Plain state without I/O.

use cutover_core::{
    measurement::answer::FIRST_INTERVAL_MS,
    statistics::split_mix::{SplitMix64, mix},
};
use std::ops::RangeInclusive;

/// Milliseconds that an answer may set between two reports.
const INTERVALS_MS: RangeInclusive<i64> = 1_000..=60_000;

/// Longest time between two attempts to report while they fail, in milliseconds.
const LONGEST_BACK_OFF_MS: i64 = 60_000;

/// Milliseconds from an answer to the next question.
const QUESTION_MS: RangeInclusive<i64> = 4_000..=4_800;

/// Milliseconds from one question to the next while they get no answer. The upper bound doubles with each, up to the last.
const UNANSWERED_MS: [i64; 4] = [1_000, 2_000, 4_000, 5_000];

/// Milliseconds over which the first questions of isolates are spread that start at once.
const FIRST_QUESTION_MS: i64 = 1_000;

/// Milliseconds after its last request for which an isolate asks.
const AWAKE_MS: i64 = 15_000;

/// Bounds of the time between two looks at the schedule, in milliseconds. A turn that is not the newest any more ends with
/// its next look.
const LOOK_MS: RangeInclusive<i64> = 5..=1_000;

/// The schedule of an isolate. Times are in milliseconds since 1970.
#[derive(Debug)]
pub struct Schedule {
    /// Interval that the environment sets in place of answers.
    fixed_ms: Option<i64>,
    /// Interval of the newest answer.
    answered_ms: i64,
    /// True until a report was scheduled by the interval in force.
    is_new_interval: bool,
    report_at: Option<i64>,
    /// Failed reports in a row.
    failures: u32,
    question_at: Option<i64>,
    /// Questions since the last answer.
    unanswered: usize,
    // Apart from each other, so that a question does not change when the next report is due.
    report_dice: SplitMix64,
    question_dice: SplitMix64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            fixed_ms: None,
            answered_ms: i64::try_from(FIRST_INTERVAL_MS).unwrap_or(*INTERVALS_MS.start()),
            is_new_interval: false,
            report_at: None,
            failures: 0,
            question_at: None,
            unanswered: 0,
            report_dice: SplitMix64::default(),
            question_dice: SplitMix64::default(),
        }
    }
}

/// Draws a whole number, with both bounds.
fn draw(dice: &mut SplitMix64, bounds: RangeInclusive<i64>) -> i64 {
    let width = u64::try_from(bounds.end() - bounds.start()).unwrap_or_default();
    let drawn = dice.draw() % (width + 1);
    bounds.start() + i64::try_from(drawn).unwrap_or_default()
}

impl Schedule {
    /// Seeds the random numbers, so that every isolate draws others.
    pub fn seed(&mut self, seed: u64) {
        self.report_dice = SplitMix64::new(seed);
        self.question_dice = SplitMix64::new(mix(seed));
    }

    /// Sets the interval of the environment; `None` leaves it to the answers.
    pub fn fix_interval(&mut self, interval_ms: Option<i64>) {
        self.fixed_ms = interval_ms;
    }

    /// Returns the milliseconds between two reports.
    pub fn interval_ms(&self) -> i64 {
        self.fixed_ms.unwrap_or(self.answered_ms)
    }

    /// Applies the interval of an answer. A shorter one holds at once; a longer one after the next report. Isolates that
    /// learn of it together spread over the whole of it.
    pub fn set_interval(&mut self, interval_ms: u64, now: i64) {
        let answered = i64::try_from(interval_ms).unwrap_or(i64::MAX);
        let answered = answered.clamp(*INTERVALS_MS.start(), *INTERVALS_MS.end());
        let before = std::mem::replace(&mut self.answered_ms, answered);
        if before == answered || self.fixed_ms.is_some() {
            return;
        }
        self.is_new_interval = true;
        if answered < before {
            let sooner = now + self.next_interval();
            self.report_at = self.report_at.map(|at| at.min(sooner));
        }
    }

    /// Draws the time to the next report: 80 to 100 % of the interval, or, once after it has changed, any part of it.
    fn next_interval(&mut self) -> i64 {
        let interval = self.interval_ms();
        let least = if std::mem::take(&mut self.is_new_interval) { 0 } else { interval * 4 / 5 };
        draw(&mut self.report_dice, least..=interval)
    }

    fn begin(&mut self, now: i64) {
        if self.report_at.is_none() {
            self.report_at = Some(now + self.next_interval());
        }
        if self.question_at.is_none() {
            self.question_at = Some(now + draw(&mut self.question_dice, 0..=FIRST_QUESTION_MS));
        }
    }

    /// Returns true if a report is due, and schedules the next one.
    pub fn report_is_due(&mut self, now: i64) -> bool {
        self.begin(now);
        let is_due = self.report_at.is_some_and(|at| now >= at);
        if is_due {
            self.report_at = Some(now + self.next_interval());
        }
        is_due
    }

    /// Notes that a report arrived.
    pub fn reported(&mut self) {
        self.failures = 0;
    }

    /// Notes that a report failed, and puts the next one off: by twice the time for each failure in a row.
    pub fn report_failed(&mut self, now: i64) {
        self.failures = self.failures.saturating_add(1);
        let interval = self.interval_ms();
        let doubled = interval.saturating_mul(1_i64 << self.failures.min(16));
        let longest = doubled.min(LONGEST_BACK_OFF_MS.max(interval));
        self.report_at = Some(now + draw(&mut self.report_dice, longest * 4 / 5..=longest));
    }

    /// Returns true if a question is due, for an isolate whose last request came at `last_request`.
    pub fn question_is_due(&mut self, now: i64, last_request: i64) -> bool {
        self.begin(now);
        self.asks(now, last_request) && self.question_at.is_some_and(|at| now >= at)
    }

    fn asks(&self, now: i64, last_request: i64) -> bool {
        now - last_request <= AWAKE_MS
    }

    /// Notes that a question is sent. Another one follows, unless an answer comes before.
    pub fn asked(&mut self, now: i64) {
        self.unanswered = self.unanswered.saturating_add(1);
        let [least, .., most] = UNANSWERED_MS;
        let most = UNANSWERED_MS.get(self.unanswered).copied().unwrap_or(most);
        self.question_at = Some(now + draw(&mut self.question_dice, least..=most));
    }

    /// Notes an answer, to a question or a report.
    pub fn heard(&mut self, now: i64) {
        self.unanswered = 0;
        self.question_at = Some(now + draw(&mut self.question_dice, QUESTION_MS));
    }

    /// Returns the milliseconds after which the schedule is to be looked at again.
    pub fn pause_ms(&self, now: i64, last_request: i64) -> i64 {
        let question_at = self.question_at.filter(|_| self.asks(now, last_request));
        let next = [self.report_at, question_at].into_iter().flatten().min().unwrap_or(now);
        (next - now).clamp(*LOOK_MS.start(), *LOOK_MS.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded(seed: u64) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.seed(seed);
        schedule
    }

    /// Returns the first instant from `from` on at which a report is due.
    fn next_report(schedule: &mut Schedule, from: i64) -> i64 {
        (from..).find(|now| schedule.report_is_due(*now)).unwrap()
    }

    #[test]
    fn each_interval_is_80_to_100_percent_and_drawn_anew() {
        let mut schedule = seeded(1);
        assert!(!schedule.report_is_due(0));
        let mut instants = vec![next_report(&mut schedule, 1)];
        assert!((4_000..=5_000).contains(&instants[0]), "{instants:?}");
        schedule.set_interval(20_000, instants[0]);
        // The first one by a new interval is spread over the whole of it.
        for _ in 0..30 {
            let last = *instants.last().unwrap();
            instants.push(next_report(&mut schedule, last + 1));
        }
        let gaps: Vec<i64> = instants.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[2..].iter().all(|gap| (16_000..=20_000).contains(gap)), "{gaps:?}");
        assert!(gaps[2..].windows(2).any(|pair| pair[0] != pair[1]), "{gaps:?}");
        let phases: Vec<i64> = (0..200)
            .map(|seed| {
                let mut schedule = seeded(seed);
                let first = next_report(&mut schedule, 0);
                schedule.set_interval(60_000, first);
                let second = next_report(&mut schedule, first + 1);
                next_report(&mut schedule, second + 1) - second
            })
            .collect();
        assert!(
            phases.iter().any(|gap| *gap < 10_000) && phases.iter().any(|gap| *gap > 50_000),
            "{phases:?}"
        );
    }

    #[test]
    fn a_shorter_interval_holds_at_once_and_the_environment_overrides_all() {
        let mut schedule = seeded(2);
        schedule.set_interval(60_000, 0);
        let first = next_report(&mut schedule, 0);
        schedule.set_interval(5_000, first);
        assert!(next_report(&mut schedule, first + 1) - first <= 5_000);
        schedule.fix_interval(Some(200));
        schedule.set_interval(60_000, first);
        assert_eq!(schedule.interval_ms(), 200);
        schedule.fix_interval(None);
        for (answered, expected) in [(0, 1_000), (7_000, 7_000), (u64::MAX, 60_000)] {
            schedule.set_interval(answered, first);
            assert_eq!(schedule.interval_ms(), expected);
        }
    }

    #[test]
    fn failed_reports_wait_twice_as_long_each_time_and_a_minute_at_most() {
        let mut schedule = seeded(3);
        let mut now = next_report(&mut schedule, 0);
        for longest in [10_000, 20_000, 40_000, 60_000, 60_000] {
            schedule.report_failed(now);
            let again = next_report(&mut schedule, now + 1);
            assert!((longest * 4 / 5..=longest).contains(&(again - now)), "{longest}: {}", again - now);
            now = again;
        }
        schedule.reported();
        schedule.report_failed(now);
        assert!(next_report(&mut schedule, now + 1) - now <= 10_000);
    }

    #[test]
    fn questions_follow_an_answer_by_four_to_five_seconds_while_requests_come() {
        let first: Vec<i64> = (0..100)
            .map(|seed| {
                let mut schedule = seeded(seed);
                (0..).find(|now| schedule.question_is_due(*now, 0)).unwrap()
            })
            .collect();
        assert!(first.iter().all(|at| *at <= 1_000) && first.iter().any(|at| *at > 500), "{first:?}");
        let mut schedule = seeded(4);
        let mut now = 0;
        for _ in 0..50 {
            schedule.asked(now);
            schedule.heard(now);
            let next = (now..).find(|at| schedule.question_is_due(*at, *at)).unwrap();
            assert!((4_000..=4_800).contains(&(next - now)), "{}", next - now);
            now = next;
        }
        assert!(!schedule.question_is_due(now + 15_001, now), "no request came for 15 s");
        assert!(schedule.question_is_due(now + 15_000, now));
    }

    #[test]
    fn questions_without_an_answer_are_repeated_after_one_to_five_seconds() {
        let mut schedule = seeded(5);
        let mut now = 0;
        for most in [2_000, 4_000, 5_000, 5_000, 5_000] {
            schedule.asked(now);
            let next = (now..).find(|at| schedule.question_is_due(*at, *at)).unwrap();
            assert!((1_000..=most).contains(&(next - now)), "{most}: {}", next - now);
            now = next;
        }
    }

    #[test]
    fn a_look_is_due_when_something_is_and_each_second() {
        let mut schedule = seeded(6);
        schedule.fix_interval(Some(50));
        assert!(!schedule.report_is_due(0));
        assert!((5..=50).contains(&schedule.pause_ms(0, 0)));
        let mut asleep = seeded(7);
        assert!(!asleep.report_is_due(0));
        assert_eq!(asleep.pause_ms(0, -20_000), 1_000, "a question is not waited for without requests");
    }
}
