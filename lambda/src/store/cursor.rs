//! The cursor of evaluation: the positions in the log up to which every ledger holds all batches, but for those that are
//! parked, and the sums over all batches before it.

use crate::store::{
    error::{CommitError, StoreError},
    item::NewItem,
    keys::Key,
    lease::Lease,
    table::Store,
};
use cutover_core::{Epoch, Timestamp, canary::Run, measurement::log::Positions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Age up to which a batch is certainly in the log when it is read, in milliseconds: the log keeps it for 24 hours, and reading
/// up to it takes a while.
const LOG_KEPT_MS: i64 = 23 * HOUR_MS;

/// Length of an hour, in milliseconds.
const HOUR_MS: i64 = 60 * 60 * 1_000;

/// A period whose counts of a flag are unknown: the log had expired when they were to be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagGap {
    /// Arrival time up to which the ledger was complete.
    pub since: Timestamp,
    /// Arrival time from which on it was complete again.
    pub until: Timestamp,
}

impl FlagGap {
    /// Returns the gap from the earlier beginning to the later end of two.
    #[must_use]
    fn and(self, other: Self) -> Self {
        Self { since: self.since.min(other.since), until: self.until.max(other.until) }
    }

    /// Returns true if a gap that is noted, alone or as a part of `whole`, is news after the one that was `held`: if it
    /// is another one, or if the whole has grown into a further hour. The gap of a ledger that stays parked grows all
    /// the time.
    fn is_news(self, whole: Self, held: Option<Self>) -> bool {
        held.is_none_or(|held| self.since >= held.until || whole.hours() > held.hours())
    }

    /// Returns the number of full hours.
    fn hours(self) -> i64 {
        self.until.millis().saturating_sub(self.since.millis()) / HOUR_MS
    }
}

/// A ledger that could not be read or written. The cursor moves on without it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parked {
    /// Positions up to which it is complete.
    pub positions: Positions,
    /// Arrival time up to which it is complete, in milliseconds since 1970.
    pub through: i64,
    /// The failure.
    pub reason: String,
    /// True if the ledger has counted what came after the positions that it was parked at. They are known no longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_advanced: bool,
}

impl Parked {
    /// Returns true if a ledger with these positions has counted what came after those that it was parked at.
    pub fn is_passed_by(&self, positions: &Positions) -> bool {
        self.is_advanced || !self.positions.reach(positions)
    }
}

/// Sums over all batches before the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Number of batches.
    pub batches: u64,
    /// Number of batches that could not be decoded. They are in no ledger.
    pub unreadable: u64,
    /// Number of batches with an event window that had ended more than a minute before their arrival.
    pub late: u64,
    /// Number of outcomes that isolates reported as lost.
    pub outcomes_lost: u64,
    /// Number of users in reports that were refused.
    pub users_lost: u64,
    /// Number of responses that may hide an error and were not inspected.
    pub uninspected: u64,
    /// Number of isolates that fell silent while requests were open, without those that reported later.
    pub isolates_lost: u64,
    /// Number of those that fell silent in the last hour.
    pub isolates_lost_lately: u64,
    /// Number of isolates that reported in the last two minutes.
    pub isolates: u64,
    /// Age of the oldest snapshot that one of them decides with, in milliseconds.
    pub oldest_snapshot_ms: Option<u64>,
}

/// Progress of folding batches into the ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// Arrival time up to which every ledger is complete that is not parked, in milliseconds since 1970.
    pub through: i64,
    /// Epoch in which it was written. A table with a later one was restored since.
    #[serde(skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// Arrival time before which batches are passed over, in milliseconds since 1970: they are of the time before the last
    /// restore, whose counts are unknown.
    pub passed_over: i64,
    /// Stream that the positions belong to.
    pub stream: String,
    /// Positions up to which every ledger is complete that is not parked.
    pub positions: Positions,
    /// Parked ledgers, by flag. The empty name is the ledger for requests that no flag decided.
    pub parked: BTreeMap<String, Parked>,
    /// Gap of each flag that has one. Several in one step of its run are one, see [`Cursor::note_gap`].
    pub gaps: BTreeMap<String, FlagGap>,
    /// Sums over all batches before the positions.
    pub totals: Totals,
    /// Arrival time from which on the roll of isolates has every batch, in milliseconds since 1970: that of the last restore or
    /// loss of the roll, or of the last new stream.
    pub roll_since: i64,
    /// Number of times the cursor has been written, for optimistic locking; 0 if never.
    #[serde(skip)]
    pub version: u64,
}

impl Cursor {
    /// Returns the cursor at `now` in milliseconds since 1970, in the epoch of the head. If the table was restored since it
    /// was written, evaluation begins with what arrives after that: the counts of every active run have a gap until then. The
    /// positions stay as they are, so that it is the same for whoever reads the cursor before it is written again.
    #[must_use]
    pub fn in_epoch<'r>(mut self, epoch: Epoch, active: impl IntoIterator<Item = &'r Run>, now: i64) -> Self {
        if epoch <= self.epoch {
            return self;
        }
        // A clock may have been wrong when the epoch began.
        let until = epoch.millis().min(now);
        let gap =
            FlagGap { since: Timestamp::from_millis(self.through), until: Timestamp::from_millis(until) };
        for run in active {
            self.note_gap(run.flag.as_str(), gap, Some(run));
        }
        (self.epoch, self.passed_over, self.roll_since) = (epoch, until, until);
        self
    }

    /// Notes a gap in the counts of a flag, whose newest run is given. With another gap in the step of that run it becomes one,
    /// because the step lacks the counts of both; a gap of an earlier step is replaced. Returns true if that is worth a
    /// line in the log: the gap is another one, or has grown into a further hour.
    pub fn note_gap(&mut self, flag: &str, gap: FlagGap, run: Option<&Run>) -> bool {
        let known = run.and_then(|run| self.gap_of(run)).copied();
        self.insert_gap(flag, gap, known)
    }

    /// Notes a gap in the reports of an experiment, whose phase began at `began`. With another gap in that phase it becomes one; a
    /// gap of an earlier phase is replaced. Returns true if that is worth a line in the log, as [`Self::note_gap`]
    /// does.
    pub fn note_report_gap(&mut self, ledger: &str, gap: FlagGap, began: Timestamp) -> bool {
        let known = self.gaps.get(ledger).filter(|known| known.until > began).copied();
        self.insert_gap(ledger, gap, known)
    }

    /// Notes a gap, as one with the gap that is known of the same step or phase. Returns true if that is news.
    fn insert_gap(&mut self, ledger: &str, gap: FlagGap, known: Option<FlagGap>) -> bool {
        let whole = known.map_or(gap, |known| known.and(gap));
        let held = self.gaps.insert(ledger.to_owned(), whole);
        gap.is_news(whole, held)
    }

    /// Returns the arrival time up to which the counts of a run's step are complete, in milliseconds since 1970. A gap in the
    /// step ends that until the step begins anew, because an operator resumes the run.
    pub fn through_of(&self, run: &Run) -> i64 {
        let through = self.ledger_through(run.flag.as_str());
        self.gap_of(run).map_or(through, |gap| gap.since.millis().min(through))
    }

    /// Returns the gap of an active run of whose step nothing was read for longer than the log is kept, at `now` in
    /// milliseconds since 1970; `None` if there is none, or it is noted. Shards tell of expired records only
    /// where the cursor has a position.
    pub fn expired_of(&self, run: &Run, now: i64) -> Option<FlagGap> {
        self.expired_since(run.flag.as_str(), run.step_started_at, now)
    }

    /// Returns the gap of a ledger of which nothing was read since `began` for longer than the log is kept, as
    /// [`Self::expired_of`] does.
    pub fn expired_since(&self, ledger: &str, began: Timestamp, now: i64) -> Option<FlagGap> {
        let since = self.ledger_through(ledger).max(began.millis());
        let until = now.saturating_sub(LOG_KEPT_MS);
        let is_new = since < until && self.gaps.get(ledger).is_none_or(|gap| gap.until.millis() < until);
        is_new.then(|| FlagGap { since: Timestamp::from_millis(since), until: Timestamp::from_millis(until) })
    }

    /// Returns the arrival time up to which the ledger of a flag is complete, in milliseconds since 1970.
    pub fn ledger_through(&self, flag: &str) -> i64 {
        self.parked.get(flag).map_or(self.through, |parked| parked.through)
    }

    /// Returns the gap in a run's step.
    fn gap_of(&self, run: &Run) -> Option<&FlagGap> {
        self.gaps.get(run.flag.as_str()).filter(|gap| gap.until > run.step_started_at)
    }
}

impl Store {
    /// Returns the cursor; an empty one if it was never written.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or the item cannot be decoded.
    pub async fn cursor(&self) -> Result<Cursor, StoreError> {
        let Some(item) = self.get(&Key::cursor()).await? else { return Ok(Cursor::default()) };
        Ok(Cursor { version: item.number("version")?, ..item.json("data")? })
    }

    /// Writes the cursor as the successor of the version that was read, by the holder of a lease.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if somebody else has written it or taken the lease, and fails if the table cannot be
    /// written.
    pub async fn write_cursor(&self, cursor: &Cursor, lease: Lease) -> Result<(), CommitError> {
        let item = NewItem::new(&Key::cursor()).json("data", cursor)?;
        self.transact(vec![self.put_after(item, cursor.version)?, self.check_lease(lease)?]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{canary::RunIdentity, config::Config};

    fn run(flag: &str, began: i64) -> Run {
        let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let plan = config.canary_deployments.into_values().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        Run::start(identity, flag.parse().unwrap(), plan, Timestamp::from_millis(began), "operator")
    }

    /// The run of a flag whose ledger is parked must not climb on the progress of the others.
    /// A ledger that has not moved is stored as the versions before stored it.
    #[test]
    fn a_parked_ledger_is_advanced_once_it_has_counted_more() {
        let positions = |number: &str| -> Positions {
            serde_json::from_value(serde_json::json!({ "shard": { "through": number } })).unwrap()
        };
        let parked = Parked { positions: positions("5"), ..Parked::default() };
        let text = serde_json::to_string(&parked).unwrap();
        assert_eq!(text, r#"{"positions":{"shard":{"through":"5"}},"through":0,"reason":""}"#);
        assert_eq!(serde_json::from_str::<Parked>(&text).unwrap(), parked);
        assert!(parked.is_passed_by(&positions("6")));
        for same in [positions("5"), Positions::default()] {
            assert!(!parked.is_passed_by(&same));
        }
        assert!(Parked { is_advanced: true, ..parked }.is_passed_by(&positions("5")));
    }

    #[test]
    fn a_parked_flag_is_complete_up_to_its_own_time() {
        let (one, other) = (run("one", 0), run("other", 0));
        let parked = Parked { through: 5, ..Parked::default() };
        let parked = BTreeMap::from([("one".to_owned(), parked)]);
        let cursor = Cursor { through: 9, parked, ..Cursor::default() };
        assert_eq!([&one, &other].map(|run| cursor.through_of(run)), [5, 9]);
    }

    #[test]
    fn after_a_restore_evaluation_begins_with_what_arrives_from_then_on() {
        let started = run("one", 1_000);
        let cursor = Cursor { through: 5_000, ..Cursor::default() };
        let restored = cursor.clone().in_epoch(Epoch(60), [&started], 61_000);
        assert_eq!((restored.passed_over, restored.through_of(&started)), (60_000, 5_000));
        assert_eq!(restored.roll_since, 60_000, "the roll of the backup is not read");
        // Until the step begins anew, however often the cursor is read.
        assert_eq!(restored.clone().in_epoch(Epoch(60), [&started], 90_000), restored);
        let resumed = started.paused("restored").resumed(Timestamp::from_millis(60_001), "");
        let later = Cursor { through: 90_000, ..restored };
        assert_eq!((later.through_of(&started), later.through_of(&resumed)), (5_000, 90_000));
        assert_eq!(cursor.in_epoch(Epoch(120), [], 61_000).passed_over, 61_000, "a clock that was wrong");
    }

    /// A shard in which the cursor has no position is read from its oldest record on, and does not tell of those that have expired.
    #[test]
    fn a_step_of_which_nothing_was_read_for_a_day_has_a_gap() {
        let time = Timestamp::from_millis;
        let hours = |count: i64| count * 60 * 60 * 1_000;
        let gap = |since, until| Some(FlagGap { since: time(since), until: time(until) });
        let started = run("one", hours(1));
        let never = Cursor::default();
        assert_eq!(never.expired_of(&started, hours(24)), None);
        assert_eq!(never.expired_of(&started, hours(30)), gap(hours(1), hours(7)), "nothing was ever read");
        let cursor = Cursor { through: hours(3), ..Cursor::default() };
        assert_eq!(cursor.expired_of(&started, hours(26)), None);
        assert_eq!(cursor.expired_of(&started, hours(30)), gap(hours(3), hours(7)));
        let resumed = started.paused("").resumed(time(hours(8)), "");
        assert_eq!(cursor.expired_of(&resumed, hours(30)), None, "the log has all of its step");
        let parked = Parked { through: hours(2), ..Parked::default() };
        let parked = BTreeMap::from([("one".to_owned(), parked)]);
        let behind = Cursor { through: hours(29), parked, ..Cursor::default() };
        assert_eq!(behind.expired_of(&started, hours(30)), gap(hours(2), hours(7)));
        let gaps = BTreeMap::from([("one".to_owned(), gap(hours(3), hours(7)).unwrap())]);
        let noted = Cursor { gaps, ..cursor };
        assert_eq!(noted.expired_of(&started, hours(30)), None, "noted once");
        assert_eq!(noted.expired_of(&started, hours(31)), gap(hours(3), hours(8)), "more has expired since");
    }

    /// Else the step would be judged as if the counts of the first gap were known.
    #[test]
    fn a_second_gap_in_a_step_leaves_the_counts_of_the_first_one_unknown() {
        let time = Timestamp::from_millis;
        let gap = |since, until| FlagGap { since: time(since), until: time(until) };
        let started = run("one", 5_000);
        let mut cursor = Cursor { through: 50_000, ..Cursor::default() };
        for (noted, expected) in [
            (gap(7_000, 9_000), gap(7_000, 9_000)),
            (gap(20_000, 30_000), gap(7_000, 30_000)),
            (gap(6_000, 8_000), gap(6_000, 30_000)),
        ] {
            cursor.note_gap("one", noted, Some(&started));
            assert_eq!(
                (cursor.gaps["one"], cursor.through_of(&started)),
                (expected, expected.since.millis())
            );
        }
        let restored = cursor.clone().in_epoch(Epoch(60), [&started], 61_000);
        assert_eq!(restored.gaps["one"], gap(6_000, 60_000));
        let resumed = started.paused("").resumed(time(40_000), "");
        cursor.note_gap("one", gap(41_000, 44_000), Some(&resumed));
        assert_eq!(cursor.gaps["one"], gap(41_000, 44_000), "the step before is over");
        cursor.note_gap("two", gap(1, 2), None);
        assert_eq!(cursor.gaps["two"], gap(1, 2));
    }

    #[test]
    fn gaps_in_one_phase_of_an_experiment_are_one() {
        let time = Timestamp::from_millis;
        let hours = |count: i64| count * 60 * 60 * 1_000;
        let gap = |since, until| FlagGap { since: time(hours(since)), until: time(hours(until)) };
        let mut cursor = Cursor { through: hours(3), ..Cursor::default() };
        assert_eq!(cursor.expired_since("experiment/e", time(hours(1)), hours(26)), None);
        let expired = cursor.expired_since("experiment/e", time(hours(1)), hours(30)).unwrap();
        assert_eq!(expired, gap(3, 7));
        for (noted, began, expected) in
            [(expired, 1, gap(3, 7)), (gap(10, 11), 1, gap(3, 11)), (gap(14, 15), 12, gap(14, 15))]
        {
            cursor.note_report_gap("experiment/e", noted, time(hours(began)));
            assert_eq!(cursor.gaps["experiment/e"], expected, "since {began}");
        }
        let second = cursor.expired_since("experiment/e", time(hours(12)), hours(40)).unwrap();
        assert_eq!(second, gap(12, 17), "of the same phase as the one that is noted");
        cursor.note_report_gap("experiment/e", second, time(hours(12)));
        assert_eq!(cursor.expired_since("experiment/e", time(hours(12)), hours(40)), None, "noted once");
    }

    /// Each invocation notes the gap of a ledger that stays parked anew, a little longer. An alarm that rings all day
    /// is switched off.
    #[test]
    fn a_gap_that_grows_is_news_once_an_hour() {
        let (hour, pass) = (HOUR_MS, 3 * 60 * 1_000);
        let began = Timestamp::from_millis(0);
        let started = run("one", 0);
        let mut cursor = Cursor::default();
        let (mut noted, mut news) = (0, [Vec::new(), Vec::new()]);
        for now in (24 * hour..30 * hour).step_by(usize::try_from(pass).unwrap()) {
            let gap = cursor.expired_of(&started, now).unwrap();
            noted += 1;
            if cursor.note_gap("one", gap, Some(&started)) {
                news[0].push(now / hour);
            }
            let gap = cursor.expired_since("experiment/e", began, now).unwrap();
            if cursor.note_report_gap("experiment/e", gap, began) {
                news[1].push(now / hour);
            }
        }
        assert_eq!((noted, news), (120, [vec![24, 25, 26, 27, 28, 29], vec![24, 25, 26, 27, 28, 29]]));
        // To the last pass, whatever is logged.
        assert_eq!(cursor.gaps["one"].until.millis(), 7 * hour - pass);
        // Another gap is news, however short: of the same step, of another one, and of a flag without a run.
        let gap = |since: i64, until: i64| {
            let [since, until] = [since, until].map(|minutes| Timestamp::from_millis(minutes * 60_000));
            FlagGap { since, until }
        };
        assert!(cursor.note_gap("one", gap(500, 501), Some(&started)));
        let resumed = started.paused("").resumed(Timestamp::from_millis(10 * hour), "");
        assert!(cursor.note_gap("one", gap(601, 602), Some(&resumed)));
        assert!(!cursor.note_gap("one", gap(601, 603), Some(&resumed)));
        let told = [gap(1, 2), gap(1, 3), gap(1, 60), gap(1, 61), gap(1, 62), gap(70, 71)];
        assert_eq!(
            told.map(|gap| cursor.note_gap("two", gap, None)),
            [true, false, false, true, false, true]
        );
    }

    /// Counts that have expired are unknown; a step that has some of them in it is never complete.
    #[test]
    fn a_gap_ends_the_counts_of_a_step_until_it_begins_anew() {
        let time = Timestamp::from_millis;
        let gaps = BTreeMap::from([("one".to_owned(), FlagGap { since: time(3), until: time(6) })]);
        let cursor = Cursor { through: 9, gaps, ..Cursor::default() };
        let started = run("one", 5);
        assert_eq!(cursor.through_of(&started), 3);
        assert_eq!(cursor.through_of(&started.paused("").resumed(time(8), "")), 9);
        assert_eq!(cursor.through_of(&run("other", 5)), 9);
    }
}
