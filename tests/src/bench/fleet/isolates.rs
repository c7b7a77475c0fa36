//! Batches as the isolates of a fleet make them: 30 routes behind one flag whose canary is at 5 %, users with first requests
//! and events. They are drawn from a seed, so that each run sends the same.

use crate::bench::fleet::experiments::{CountedExperiment, NewUser, parts};
use cutover_core::{
    Arm, FlagName, PartsPerMillion, Reason, Revision, RouteId, RunId,
    measurement::{
        batch::{Batch, Cell, SeenUser, UserEvents, UserWindow, WINDOW_MS},
        counts::{Counts, Outcome, kinds},
        event_kinds::EventKinds,
        label::SlowLimits,
    },
    statistics::split_mix::{SplitMix64, mix},
};
use std::collections::BTreeMap;

/// Number of routes.
pub(super) const ROUTES: usize = 30;

/// Share of the canary's step.
pub(super) const SHARE: u32 = 5;

/// Name of the flag.
pub(super) const FLAG: &str = "move_to_new";

/// Every so many requests is of a user whom the isolate sees for the first time in the step.
const REQUESTS_PER_USER: u64 = 2;

/// Time limit of the backends, in milliseconds.
const SETTLE_MS: u32 = 10_000;

/// Response times above which a response is slow.
const LIMITS: SlowLimits = SlowLimits { slow_success_ms: 500, slow_rollback_ms: 1_000 };

/// A fleet that makes batches.
pub(super) struct Isolates {
    /// Number of isolates.
    pub(super) count: u64,
    /// Interval of their reports, in milliseconds.
    pub(super) interval_ms: u64,
    /// Mean requests of a batch.
    pub(super) requests: u64,
    /// The active run of the canary.
    pub(super) run: RunId,
    /// Revision of the configuration.
    pub(super) revision: Revision,
    /// Experiments that are counted.
    pub(super) experiments: Vec<CountedExperiment>,
    /// The source of everything that is drawn.
    pub(super) random: SplitMix64,
}

/// Users of one event window.
#[derive(Default)]
struct Window {
    seen: BTreeMap<u64, Arm>,
    events: BTreeMap<u64, UserEvents>,
}

impl Window {
    /// Returns the users whom the isolate saw for the first time. `start` is that of the window, in milliseconds since 1970.
    fn new_users(&self, start: i64) -> impl Iterator<Item = NewUser> {
        self.seen.keys().map(move |user| {
            let kinds = self.events.get(user).map_or(EventKinds::NONE, |events| events.kinds);
            NewUser {
                user: *user,
                at: start.div_euclid(1_000) + i64::try_from(user % 10).expect("a digit"),
                has_error: kinds.contains(EventKinds::ERROR),
                is_slow: kinds.contains(EventKinds::SLOW),
            }
        })
    }
}

/// Returns the name of a route.
pub(super) fn route(index: usize) -> String {
    format!("catalogue.read{index:02}")
}

impl Isolates {
    /// Returns the batch of a number: the isolates report in turn.
    pub(super) fn batch(&mut self, number: u64, now: i64) -> Batch {
        let isolate = number % self.count;
        let name = format!("{:016x}{:016x}", mix(isolate + 1), mix(!isolate));
        let canary = (self.run.clone(), 0);
        let flag: FlagName = FLAG.parse().expect("a name");
        let mut cells: BTreeMap<(usize, Arm), Counts> = BTreeMap::new();
        let mut windows: BTreeMap<i64, Window> = BTreeMap::new();
        for _ in 0..self.requests_of_batch() {
            self.add_request(&mut cells, &mut windows, now);
        }
        let users: Vec<NewUser> =
            windows.iter().flat_map(|(start, window)| window.new_users(*start)).collect();
        let cell = |((index, arm), counts): ((usize, Arm), Counts)| Cell {
            flag: Some(flag.clone()),
            route: Some(route(index).parse::<RouteId>().expect("a name")),
            arm,
            reason: Reason::Rollout,
            revision: self.revision,
            canary: Some(canary.clone()),
            counts,
        };
        let window = |(window, users): (i64, Window)| UserWindow {
            flag: flag.clone(),
            canary: canary.clone(),
            share: PartsPerMillion::of_percent(SHARE),
            window,
            settle_ms: SETTLE_MS,
            seen: users.seen.into_iter().map(|(user, arm)| SeenUser(user, arm)).collect(),
            events: users.events.into_values().collect(),
            compared: Vec::new(),
        };
        Batch {
            revision: self.revision,
            age_ms: 1_200,
            open: 1,
            due_ms: self.interval_ms * 5 / 4 + 30_000,
            cells: cells.into_iter().map(cell).collect(),
            users: windows.into_iter().map(window).collect(),
            experiments: parts(&self.experiments, &users),
            ..Batch::empty(name, number / self.count + 1)
        }
    }

    /// Draws the number of requests of a batch: half of the mean to one and a half.
    fn requests_of_batch(&mut self) -> u64 {
        let mean = self.requests.max(1);
        (mean / 2 + self.random.draw() % (mean + 1)).max(1)
    }

    fn add_request(
        &mut self,
        cells: &mut BTreeMap<(usize, Arm), Counts>,
        windows: &mut BTreeMap<i64, Window>,
        now: i64,
    ) {
        // The product of two numbers: some routes have many requests, most have few.
        let routes = ROUTES as u64;
        let index = (self.random.draw() % routes) * (self.random.draw() % routes) / routes;
        let user = self.random.draw();
        let arm = if mix(user) % 100 < u64::from(SHARE) { Arm::New } else { Arm::Legacy };
        let ms =
            20 + (self.random.draw() % 60) + if self.random.draw().is_multiple_of(100) { 1_500 } else { 0 };
        let outcome = Outcome::Status(match self.random.draw() % 1_000 {
            0..=1 => 503,
            2..=11 => 404,
            _ => 200,
        });
        let ms = u32::try_from(ms).expect("seconds");
        let counts = cells.entry((usize::try_from(index).expect("a route"), arm)).or_default();
        counts.add(outcome, ms, false, Some(LIMITS));
        let spread = i64::try_from(self.random.draw() % self.interval_ms.max(1)).expect("an interval");
        // Windows are sent when they are over and the time limit has passed.
        let begun = now - 2 * WINDOW_MS - i64::from(SETTLE_MS) - spread;
        let window = windows.entry(begun.div_euclid(WINDOW_MS) * WINDOW_MS).or_default();
        if self.random.draw().is_multiple_of(REQUESTS_PER_USER) {
            window.seen.insert(user, arm);
        }
        let kinds = kinds(outcome, ms, Some(LIMITS));
        if !kinds.is_empty() {
            let errors = u32::from(kinds.contains(EventKinds::ERROR));
            let events = UserEvents { user, arm, minted: false, kinds, errors, requests: errors };
            window.events.insert(user, events);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_sends_what_ingest_reads() {
        let counted = |name: &str| CountedExperiment { name: name.parse().unwrap(), phase: 1 };
        let mut isolates = Isolates {
            count: 3,
            interval_ms: 20_000,
            requests: 40,
            run: "r1".parse().unwrap(),
            revision: Revision(2),
            experiments: ["one", "two"].map(counted).into(),
            random: SplitMix64::new(1),
        };
        let now = 1_767_225_600_000;
        let batches: Vec<Batch> = (0..300).map(|number| isolates.batch(number, now)).collect();
        for batch in &batches {
            let read = cutover_lambda::measurement::ingest::read(batch.encode().as_bytes());
            assert_eq!(read.map_err(|_| "refused").as_ref(), Ok(batch));
        }
        let names: std::collections::BTreeSet<(&str, u64)> =
            batches.iter().map(|batch| (batch.isolate.as_str(), batch.sequence)).collect();
        assert_eq!(names.len(), batches.len());
        let of = |arm: Option<Arm>| {
            let cells = batches.iter().flat_map(|batch| &batch.cells);
            let counted = cells.filter(|cell| arm.is_none_or(|arm| cell.arm == arm));
            counted.map(|cell| cell.counts.requests).sum::<u64>() as f64
        };
        let (new, all) = (of(Some(Arm::New)), of(None));
        assert!((0.04..0.06).contains(&(new / all)), "{new} of {all}");
        let exposures = |index: usize| -> Vec<u64> {
            let parts = batches.iter().filter_map(|batch| batch.experiments.get(index));
            parts.flat_map(|part| part.exposures.iter().map(|exposure| exposure.user)).collect()
        };
        let (one, two) = (exposures(0), exposures(1));
        let seen: usize = batches.iter().flat_map(|batch| &batch.users).map(|users| users.seen.len()).sum();
        assert_eq!((one.len(), two.len()), (seen, seen));
        assert!(one.iter().all(|user| !two.contains(user)), "each experiment has hashes of its own");
        let parts = batches.iter().flat_map(|batch| &batch.experiments);
        let converted = parts.flat_map(|part| &part.outcomes).filter(|outcome| outcome.metric == 0).count();
        assert!(
            (0.02..0.06).contains(&(converted as f64 / (2 * seen) as f64)),
            "{converted} of {seen} twice"
        );
        // A report comes after 80 to 100 % of the interval.
        assert!((34.0..42.0).contains(&(all / 300.0)), "{all}");
    }
}
