//! Isolates of the edge that report in turns, by the rules of `edge/js/report.js` and `edge/src/counting/users.rs`: counts
//! as soon as they are known, users when their window is ripe, and everything when the isolate goes to rest.

use crate::{
    canary::simulation::{crowd::Ended, random::Random, scenario::Isolates},
    measurement::{
        batch::{SeenUser, UserEvents, WINDOW_MS},
        event_kinds::EventKinds,
    },
    vocabulary::{arm::Arm, share::PartsPerMillion},
};
use std::collections::{BTreeMap, BTreeSet};

/// Time between two reports of a turn, in milliseconds.
const INTERVAL_MS: i64 = 5_000;

/// Age beyond which a turn ends, in milliseconds.
const LONGEST_TURN_MS: i64 = 24_000;

/// Time from a report to its arrival in the control plane, in milliseconds.
const DELIVERY_MS: i64 = 1_000;

/// A request in an isolate. Times are in milliseconds since the start of the step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) begun: i64,
    /// Time of the outcome.
    pub(super) end: i64,
    pub(super) user: u64,
    pub(super) arm: Arm,
    /// True if the id was minted for the request.
    pub(super) minted: bool,
    /// Share in the snapshot that decided it.
    pub(super) share: PartsPerMillion,
    pub(super) ended: Ended,
}

/// Users of an event window, as an isolate reports them.
#[derive(Debug, Default)]
pub(super) struct ReportedUsers {
    pub(super) seen: Vec<SeenUser>,
    pub(super) events: Vec<UserEvents>,
}

/// Number of an event window, and the share in the snapshots that decided its requests.
type WindowKey = (i64, PartsPerMillion);

/// A report of an isolate.
#[derive(Debug)]
pub(super) struct Report {
    /// Time of its arrival, in milliseconds since the start of the step.
    pub(super) arrival: i64,
    /// Requests whose outcomes it counts.
    pub(super) requests: Vec<Request>,
    /// Users by event window.
    pub(super) users: BTreeMap<WindowKey, ReportedUsers>,
}

/// A turn of reporting.
#[derive(Debug, Clone, Copy)]
struct Turn {
    since: i64,
    /// Time of the next report.
    next: i64,
    is_first: bool,
}

/// An isolate, with what it has not reported yet.
#[derive(Debug, Default)]
struct Isolate {
    turn: Option<Turn>,
    /// End of the last turn.
    turned: i64,
    /// Requests whose outcomes were not noted.
    requests: Vec<Request>,
    seen: BTreeSet<u64>,
    failed: BTreeSet<u64>,
    users: BTreeMap<WindowKey, ReportedUsers>,
}

/// The isolates of a scenario.
#[derive(Debug)]
pub(super) struct Edge {
    spread: Isolates,
    settle_ms: i64,
    random: Random,
    isolates: Vec<Isolate>,
}

impl Edge {
    pub(super) fn new(spread: Isolates, settle_ms: i64, seed: u64) -> Self {
        let isolates = (0..spread.busy.saturating_add(spread.resting)).map(|_| Isolate::default()).collect();
        Self { spread, settle_ms, random: Random::new(seed), isolates }
    }

    /// Sends a request to an isolate, drawn at random.
    pub(super) fn send(&mut self, request: Request) {
        let Isolates { busy, resting, resting_part } = self.spread;
        let number = if self.random.unit() < resting_part {
            busy + self.random.below(resting)
        } else {
            self.random.below(busy)
        };
        if let Some(isolate) = self.isolates.get_mut(number as usize) {
            isolate.requests.push(request);
        }
    }

    /// Returns the reports that are made before `end`. All requests that begin before it must have been sent.
    pub(super) fn report_until(&mut self, end: i64) -> Vec<Report> {
        let settle_ms = self.settle_ms;
        self.isolates.iter_mut().flat_map(|isolate| isolate.report_until(end, settle_ms)).collect()
    }
}

impl Isolate {
    fn report_until(&mut self, end: i64, settle_ms: i64) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(turn) = self.turn.or_else(|| self.begin_turn(end)) {
            self.turn = Some(turn);
            if turn.next >= end {
                break;
            }
            reports.push(self.report(turn, settle_ms));
        }
        reports
    }

    /// Returns the turn that a request begins before `end`, at its own beginning or at its outcome.
    fn begin_turn(&self, end: i64) -> Option<Turn> {
        let times = self.requests.iter().flat_map(|request| [request.begun, request.end]);
        let since = times.filter(|time| (self.turned..end).contains(time)).min()?;
        Some(Turn { since, next: since + INTERVAL_MS, is_first: true })
    }

    fn report(&mut self, turn: Turn, settle_ms: i64) -> Report {
        let now = turn.next;
        let all = std::mem::take(&mut self.requests).into_iter();
        let (mut ended, open): (Vec<Request>, Vec<Request>) = all.partition(|request| request.end <= now);
        self.requests = open;
        ended.sort_by_key(|request| request.end);
        for request in &ended {
            self.note(request);
        }
        let is_open = self.requests.iter().any(|request| request.begun <= now);
        let is_at_rest = !turn.is_first && ended.is_empty() && !is_open;
        if is_at_rest || now - turn.since > LONGEST_TURN_MS {
            (self.turn, self.turned) = (None, now);
        } else {
            self.turn = Some(Turn { next: now + INTERVAL_MS, is_first: false, ..turn });
        }
        let is_ripe = |number: i64| (number + 1) * WINDOW_MS + settle_ms <= now;
        let held = std::mem::take(&mut self.users).into_iter();
        let (users, unripe) = held.partition(|((number, _), _)| is_at_rest || is_ripe(*number));
        self.users = unripe;
        Report { arrival: now + DELIVERY_MS, requests: ended, users }
    }

    /// Notes the user of a request at its outcome.
    fn note(&mut self, request: &Request) {
        let Request { user, arm, minted, ended: Ended { kinds, .. }, .. } = *request;
        let is_error = kinds.contains(EventKinds::ERROR);
        if is_error {
            self.failed.insert(user);
        }
        let is_new = self.seen.insert(user);
        // Of a user who has failed, all further requests are counted.
        let has_failed = self.failed.contains(&user);
        let key = (request.begun.div_euclid(WINDOW_MS), request.share);
        let users = self.users.entry(key).or_default();
        if is_new {
            users.seen.push(SeenUser(user, arm));
        }
        if has_failed || !kinds.is_empty() {
            let (errors, requests) = (u32::from(is_error), u32::from(has_failed));
            users.events.push(UserEvents { user, arm, minted, kinds, errors, requests });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(begun: i64, lasts: i64) -> Request {
        let ended = Ended { kinds: EventKinds::ERROR, timed_out: false };
        let share = PartsPerMillion::of_percent(50);
        Request { begun, end: begun + lasts, user: begun as u64, arm: Arm::New, minted: false, share, ended }
    }

    /// Returns the arrivals of the reports of one isolate with outcomes, and of those with users.
    fn arrivals(requests: &[Request], until: i64) -> (Vec<i64>, Vec<i64>) {
        let mut edge = Edge::new(Isolates { busy: 1, resting: 0, resting_part: 0.0 }, 30_000, 1);
        requests.iter().for_each(|request| edge.send(*request));
        let (mut counted, mut named) = (Vec::new(), Vec::new());
        // The window of the last request is the first whose requests have all been sent.
        for end in (2..=until / WINDOW_MS).map(|number| number * WINDOW_MS) {
            for report in edge.report_until(end) {
                counted.extend((!report.requests.is_empty()).then_some(report.arrival));
                named.extend((!report.users.is_empty()).then_some(report.arrival));
            }
        }
        (counted, named)
    }

    #[test]
    fn an_isolate_at_rest_reports_users_of_windows_that_are_not_ripe() {
        let found = arrivals(&[request(1_000, 100)], 60_000);
        assert_eq!(found, (vec![7_000], vec![12_000]));
    }

    #[test]
    fn a_request_under_way_keeps_an_isolate_from_rest() {
        // Its first turn ends before the second outcome, which begins another one.
        let found = arrivals(&[request(1_000, 100), request(2_000, 30_000)], 90_000);
        assert_eq!(found, (vec![7_000, 38_000], vec![43_000]));
    }
}
