//! Memory of evaluation about one experiment: its ledger, the evidence of its newest phase, and the arrivals that are not folded
//! into it yet. The evidence is judged in memory, and written with the positions of the ledger in one transaction.

mod phase_change;

use crate::{
    clock,
    measurement::account::Horizon,
    platform::Platform,
    store::{
        CommitError, FlagGap, Lease, Ledger, LedgerSubject, LedgerWrite, NewItem, PHASES, PackedEvidence,
        State, error::StoreError, experiment_record_items,
    },
};
use cutover_core::{
    ExperimentName, Timestamp,
    experiment::{Arrivals, Figures, Phase, Record, ReportGap},
    measurement::{batch::Batch, experiments::ExperimentPart, log::Positions},
};

/// Time after which an experiment is judged without news, in milliseconds: windows of users end by time alone.
const JUDGED_EVERY_MS: i64 = 60_000;

/// Ledger of an experiment in memory.
pub(super) struct ExperimentAccount {
    name: ExperimentName,
    /// Most users of a phase that are remembered.
    capacity: u32,
    /// The ledger as it was read or written: its positions and versions.
    ledger: Ledger,
    /// The newest phase, with everything that was folded.
    phase: Option<Phase>,
    /// Figures of the phase as they are written.
    written: Figures,
    /// Arrivals of the phase that are not folded yet.
    arrivals: Option<Arrivals>,
    /// Those of the phase before it.
    late: Option<Arrivals>,
    /// Time at which the newest of them arrived, in milliseconds since 1970.
    arrived_at: i64,
    /// Arrival time up to which everything was read, in milliseconds since 1970.
    through: i64,
    /// Entries that arrived of other phases, and are not counted as such yet.
    unknown: u64,
    /// Records that are not written yet.
    records: Vec<Record>,
    /// Time of the last judgement.
    judged_at: Option<Timestamp>,
    /// True if there is more to write than the figures of the phase tell.
    has_news: bool,
}

impl ExperimentAccount {
    /// Reads the ledger of an experiment and its newest phase. Positions in another stream than this one say nothing.
    pub(super) async fn open(
        platform: &Platform,
        name: ExperimentName,
        stream: &str,
    ) -> Result<Self, StoreError> {
        let subject = LedgerSubject::Experiment(&name);
        let (mut ledger, mut phase) = platform.store.ledger_with_evidence::<Phase>(subject).await?;
        if let Some(phase) = &mut phase {
            phase.hold_conclusion();
        }
        if ledger.stream != stream {
            (ledger.stream, ledger.positions) = (stream.to_owned(), Positions::default());
        }
        let written = phase.as_ref().map(|phase| phase.evidence.figures().clone()).unwrap_or_default();
        Ok(Self {
            name,
            capacity: platform.settings.experiment_users,
            through: ledger.through,
            ledger,
            phase,
            written,
            arrivals: None,
            late: None,
            arrived_at: 0,
            unknown: 0,
            records: Vec::new(),
            judged_at: None,
            has_news: false,
        })
    }

    /// Notes that everything was read that arrived up to this time, in milliseconds since 1970.
    pub(super) fn has_read(&mut self, through: i64) {
        self.through = self.through.max(through);
    }

    /// Notes a period whose reports have expired unread.
    pub(super) fn note_gap(&mut self, gap: FlagGap) {
        let gap = ReportGap { since: gap.since, until: gap.until };
        let Some(phase) = &mut self.phase else { return };
        self.has_news |= phase.note_gap(gap);
        self.has_news |= phase.previous.as_mut().is_some_and(|previous| previous.note_gap(gap));
    }

    /// Returns the ledger as it was read or written.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Adds the parts of a batch that arrived at `at` and are of the experiment. The state must be newer than the batch: entries of
    /// a phase that it does not count are unknown.
    pub(super) fn add(&mut self, state: &State, at: i64, batch: &Batch) {
        self.follow(state, clock::now());
        let arrived = Timestamp::from_millis(at);
        let is_taken = |phase: &&Phase| phase.ended.is_none() || phase.is_waiting(arrived);
        let Some(phase) = self.phase.as_ref().filter(is_taken) else { return };
        let number = phase.identity.phase;
        let previous = phase.previous.as_deref().filter(is_taken).map(|phase| phase.identity.phase);
        // A ledger that begins anew is read from before its phase on.
        if phase.ended.is_none() && arrived >= phase.identity.began {
            let is_other = |part: &&ExperimentPart| {
                part.experiment == self.name && part.phase != number && Some(part.phase) != previous
            };
            let unknown = batch.experiments.iter().filter(is_other).map(|part| part.entries() as u64);
            self.unknown = self.unknown.saturating_add(unknown.sum());
        }
        let of_phase = |number| Arrivals::new(self.name.clone(), number);
        self.arrivals.get_or_insert_with(|| of_phase(number)).add(batch);
        if let Some(previous) = previous {
            self.late.get_or_insert_with(|| of_phase(previous)).add(batch);
        }
        self.arrived_at = self.arrived_at.max(at);
    }

    /// Folds the arrivals into the evidence of the phase. A backlog is folded as if it were read when it came, however late that is
    /// by the clock: no event is given up, and no user final, whose exposure or conversion is still to be read.
    fn fold(&mut self, now: Timestamp) {
        let (arrived, through) = self.times(now);
        let (arrivals, unknown) = (self.arrivals.take(), std::mem::take(&mut self.unknown));
        let Some(phase) = &mut self.phase else { return };
        // Nothing but arrivals changes a phase that is over.
        if phase.ended.is_none() || arrivals.is_some() {
            let nothing = || Arrivals::new(self.name.clone(), phase.identity.phase);
            let arrivals = arrivals.unwrap_or_else(nothing);
            let theta = phase.evidence.theta();
            phase.fold_through(&arrivals, arrived, through);
            phase.evidence.note_unknown(unknown);
            if phase.evidence.theta() < theta {
                let (experiment, remembered_share) = (&self.name, phase.evidence.remembered_share());
                tracing::warn!(event = "experiment_thinned", %experiment, remembered_share, "users of an experiment are left out");
            }
        }
    }

    /// Returns the time of the newest arrival, and that up to which everything was read; both are not after `now`.
    fn times(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        (now.min(Timestamp::from_millis(self.arrived_at)), now.min(Timestamp::from_millis(self.through)))
    }

    /// Judges the phase that the state counts, if there is news or the last time was long ago. Returns the record of it; once a
    /// guardrail has fired, that record each time.
    pub(super) fn judge(&mut self, state: &State, now: Timestamp) -> Option<Record> {
        self.follow(state, now);
        self.close(state, now);
        let counted = self.phase.as_ref().filter(|phase| phase.ended.is_none());
        if let Some(harm) = counted.and_then(|phase| phase.harm.as_deref()) {
            return Some(harm.clone());
        }
        let is_due = self
            .judged_at
            .is_none_or(|judged| now.millis().saturating_sub(judged.millis()) >= JUDGED_EVERY_MS);
        if self.arrivals.is_none() && self.unknown == 0 && !is_due {
            return None;
        }
        self.fold(now);
        self.judged_at = Some(now);
        let phase = self.phase.as_mut().filter(|phase| phase.ended.is_none())?;
        let record = phase.judged(now, crate::VERSION);
        if phase.conclude(&record) {
            self.records.push(record.clone());
        }
        Some(record)
    }

    /// Returns the record of the guardrail that has fired in the phase that the state counts, judged with everything
    /// that has arrived.
    pub(super) fn harm(&mut self, state: &State, now: Timestamp) -> Option<Record> {
        self.judge(state, now).filter(|record| record.harm().is_some())
    }

    /// Returns true if the phase is over, or none was counted, everything of it is written, and no report is waited for.
    pub(super) fn is_over(&self) -> bool {
        let through = Timestamp::from_millis(self.through);
        let is_over = |phase: &Phase| {
            phase.ended.is_some() && !phase.has_late && phase.previous.is_none() && !phase.is_waiting(through)
        };
        self.phase.as_ref().is_none_or(is_over)
            && self.arrivals.is_none()
            && self.late.is_none()
            && !self.is_waiting()
    }

    /// Returns true if records are to be written.
    pub(super) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// Returns true if records are to be written, or figures that time alone has changed.
    pub(super) fn is_waiting(&self) -> bool {
        self.has_records()
            || self.has_news
            || self.phase.as_ref().is_some_and(|phase| *phase.evidence.figures() != self.written)
    }

    /// Writes the ledger, complete up to these positions and this horizon, with the phase and its records.
    ///
    /// After a failure, the account is to be dropped: it may have been written.
    pub(super) async fn checkpoint(
        &mut self,
        platform: &Platform,
        state: &State,
        lease: Lease,
        (positions, horizon): (Positions, Horizon),
    ) -> Result<(), CommitError> {
        let now = clock::now();
        self.has_read(horizon.until);
        self.follow(state, now);
        self.fold(now);
        self.close(state, now);
        let mut ledger = self.ledger.clone();
        ledger.positions = positions;
        (ledger.through, ledger.written_at) = (horizon.until, now.millis());
        let others = self.record_items(ledger.version)?;
        let is_counted = self.phase.as_ref().is_some_and(|phase| phase.ended.is_none());
        let counted = state.meta(PHASES, self.name.as_str()).filter(|_| is_counted).map(|meta| meta.version);
        let mut packed = None;
        if let Some(phase) = &mut self.phase {
            let mut evidence = PackedEvidence::of(&*phase)?;
            while !evidence.fits_of_phase(&others) && halve_users(phase) {
                tracing::warn!(event = "evidence_halved", experiment = %self.name, "users are left out of the evidence");
                evidence = PackedEvidence::of(&*phase)?;
            }
            packed = Some(evidence);
        }
        let subject = LedgerSubject::Experiment(&self.name);
        let write = LedgerWrite { subject, ledger, evidence: packed.as_ref(), counted, others, lease };
        self.ledger = platform.store.write_ledger(write).await?;
        self.written = self.phase.as_ref().map(|phase| phase.evidence.figures().clone()).unwrap_or_default();
        self.records.clear();
        self.has_news = false;
        Ok(())
    }

    /// Builds the items of the records that are not written yet.
    fn record_items(&self, version: u64) -> Result<Vec<NewItem>, StoreError> {
        let mut items = Vec::new();
        for (index, record) in self.records.iter().enumerate() {
            items.extend(experiment_record_items(record, &format!("judgement#{version:012}#{index:03}"))?);
        }
        Ok(items)
    }
}

/// Leaves half of the users out: those of the phase before, while it has any. Returns false if there are none.
fn halve_users(phase: &mut Phase) -> bool {
    phase.previous.as_mut().is_some_and(|previous| previous.halve_users()) || phase.halve_users()
}

#[cfg(test)]
mod endings;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CountedPhase;
    use cutover_core::{
        config::Config,
        experiment::{Conclusion, DEFAULT_CAPACITY, LATE_MS},
        measurement::experiments::{Exposure, UserOutcome},
    };

    /// Time at which batches arrive, in milliseconds since 1970.
    pub(super) const AT: i64 = 60_000;

    pub(super) fn name() -> ExperimentName {
        "e".parse().unwrap()
    }

    pub(super) fn account() -> ExperimentAccount {
        ExperimentAccount {
            name: name(),
            capacity: DEFAULT_CAPACITY,
            ledger: Ledger::default(),
            phase: None,
            written: Figures::default(),
            arrivals: None,
            late: None,
            arrived_at: 0,
            through: i64::MAX,
            unknown: 0,
            records: Vec::new(),
            judged_at: None,
            has_news: false,
        }
    }

    /// A state in which a phase of the experiment is counted since the epoch; none if the number is 0.
    pub(super) fn state(phase: u32) -> State {
        let text = "experiments: { e: { name: E, success_metrics: [error_rate, order], variants: { control: C, treatment: T } } }";
        let mut state = State::default();
        state.config = Config::from_yaml(text).unwrap();
        state.config.ab_tests.values_mut().for_each(|experiment| experiment.phase = phase.max(1));
        if phase > 0 {
            let counted = CountedPhase { phase, began: Timestamp::from_millis(0), key: "0".repeat(32) };
            state.phases.insert(name(), counted);
        }
        state
    }

    /// A batch in which users of one variant are exposed, and fail.
    pub(super) fn failing(sequence: u64, phase: u32, variant: u8, users: u64) -> Batch {
        let hashes = (0..users).map(|user| 1 + user + 1_000_000 * u64::from(variant) + 10_000_000 * sequence);
        let mut part = ExperimentPart::empty(name(), phase, 10);
        for user in hashes {
            part.exposures.push(Exposure { user, variant, after_s: 0 });
            part.outcomes.push(UserOutcome { user, metric: 0, after_s: 1, value: None, id: None });
        }
        Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), sequence) }
    }

    pub(super) fn exposed(account: &ExperimentAccount) -> Vec<u64> {
        let phase = account.phase.as_ref().unwrap();
        phase.evidence.figures().running.iter().map(|sums| sums.users).collect()
    }

    #[test]
    fn a_batch_that_is_read_twice_before_it_is_folded_counts_once() {
        let (mut account, state, now) = (account(), state(1), Timestamp::from_millis(60_000));
        for _ in 0..2 {
            account.add(&state, AT, &failing(1, 1, 0, 5));
        }
        account.judge(&state, now).unwrap();
        assert_eq!(exposed(&account), [5, 0]);
        assert_eq!(account.judge(&state, now), None, "there is no news");
        let later = Timestamp::from_millis(60_000 + JUDGED_EVERY_MS);
        assert!(account.judge(&state, later).is_some(), "a minute later");
    }

    #[test]
    fn entries_of_another_phase_are_unknown() {
        let (mut account, state) = (account(), state(2));
        account.add(&state, AT, &failing(1, 1, 0, 5));
        account.add(&state, AT, &failing(2, 2, 1, 3));
        let record = account.judge(&state, Timestamp::from_millis(60_000)).unwrap();
        assert_eq!((exposed(&account), record.figures.unknown), (vec![0, 3], 10));
    }

    #[test]
    fn a_guardrail_that_fires_is_recorded_once() {
        let (mut account, state, now) = (account(), state(1), Timestamp::from_millis(60_000));
        account.add(&state, AT, &failing(1, 1, 1, 40));
        let record = account.judge(&state, now).unwrap();
        assert_eq!(record.judgement.conclusion, Conclusion::Off { variant: 1, metric: 0 });
        let harm = record.harm().unwrap();
        let expected = "the guardrail error_rate fired: of 40 users with an event, 40 are in treatment, which has 50 percent of \
                        the users";
        assert_eq!(harm, expected);
        // Whoever could not stop the experiment tries again, whatever came since.
        account.add(&state, AT, &failing(2, 1, 0, 400));
        assert_eq!((account.judge(&state, now), account.records.len()), (Some(record), 1));
    }

    #[test]
    fn a_phase_that_is_over_has_a_last_record_and_stays_as_it_is() {
        let (mut account, now) = (account(), Timestamp::from_millis(60_000));
        account.add(&state(1), AT, &failing(1, 1, 0, 5));
        let over = state(0);
        assert_eq!(account.judge(&over, now), None);
        assert_eq!(account.records.len(), 1);
        assert_eq!((account.records[0].at, account.records[0].figures.running[0].users), (now, 5));
        account.add(&over, AT + LATE_MS, &failing(2, 1, 0, 5));
        account.judge(&over, Timestamp::from_millis(600_000));
        assert_eq!((exposed(&account), account.records.len()), (vec![5, 0], 1));
        // The next phase begins with nobody.
        account.judge(&state(2), Timestamp::from_millis(700_000));
        assert_eq!((exposed(&account), account.records.len()), (vec![0, 0], 2));
    }

    /// Evaluation closes such an account: hundreds of experiments that are over would fill its memory.
    #[test]
    fn an_account_is_over_once_the_last_record_is_written() {
        let (mut account, now) = (account(), Timestamp::from_millis(60_000));
        account.through = AT;
        assert!(account.is_over(), "nobody was ever counted");
        account.add(&state(1), AT, &failing(1, 1, 0, 5));
        assert!(!account.is_over());
        account.judge(&state(1), now);
        assert!(!account.is_over(), "it goes on");
        account.judge(&state(0), now);
        assert!(!account.is_over(), "its last record is not written");
        // As a checkpoint does.
        account.records.clear();
        assert!(!account.is_over(), "its figures are not written");
        account.written = account.phase.as_ref().unwrap().evidence.figures().clone();
        assert!(!account.is_over(), "reports may still come");
        account.has_read(now.millis() + LATE_MS);
        assert!(account.is_over());
        // Its users are read by every invocation until that is written.
        account.judge(&state(0), now);
        assert_eq!(account.phase.as_ref().unwrap().evidence.remembered(), 0);
        assert!(!account.is_over(), "that they are forgotten is not written");
        account.has_news = false;
        account.judge(&state(0), now);
        assert!(account.is_over() && exposed(&account) == [5, 0]);
    }

    /// An event whose exposure comes with a later batch of a backlog waits for it, however long ago both came, and however often
    /// the phase is judged meanwhile.
    #[test]
    fn a_backlog_is_folded_as_of_its_arrival() {
        let (mut account, state) = (account(), state(1));
        account.through = AT - 2_000;
        let mut part = ExperimentPart::empty(name(), 1, 10);
        part.outcomes.push(UserOutcome { user: 7, metric: 1, after_s: 20, value: None, id: None });
        let event = Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) };
        account.add(&state, AT, &event);
        // A day later.
        let now = Timestamp::from_millis(86_400_000);
        account.judge(&state, now).unwrap();
        account.judge(&state, Timestamp::from_millis(now.millis() + JUDGED_EVERY_MS)).unwrap();
        let mut part = ExperimentPart::empty(name(), 1, 10);
        part.exposures.push(Exposure { user: 7, variant: 1, after_s: 0 });
        let exposure = Batch { experiments: vec![part], ..Batch::empty("b".repeat(32), 1) };
        account.add(&state, AT + 1_000, &exposure);
        let figures = account.judge(&state, now).unwrap().figures;
        assert_eq!((figures.running[1].users, figures.running[1].metrics[1].with_event), (1, 1));
        assert_eq!(figures.before_exposure, 0);
        assert_eq!(figures.matured[1].users, 0, "nothing says that the user's window is over");
    }

    /// The largest evidence of a phase: every user that is remembered has an event of each metric. What is too large loses
    /// half of its users at a time, and none of its figures.
    #[test]
    fn the_largest_phase_can_be_written() {
        let metrics: Vec<String> = (0..16).map(|number| format!("event_{number}")).collect();
        let mut state = state(1);
        state
            .config
            .ab_tests
            .values_mut()
            .for_each(|experiment| experiment.success_metrics.clone_from(&metrics));
        let (identity, design) = state.counted_phase(&name()).unwrap();
        let mut phase = Phase::begin(identity, design, DEFAULT_CAPACITY);
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for chunk in 0..u64::from(DEFAULT_CAPACITY) / 1_024 {
            let mut part = ExperimentPart::empty(name(), 1, 10);
            for user in (1..=1_024).map(|number| hash(1 + number + 1_024 * chunk)) {
                part.exposures.push(Exposure { user, variant: (user % 2) as u8, after_s: 0 });
                let outcome = |metric| UserOutcome {
                    user,
                    metric,
                    after_s: (user % 49) as u32,
                    value: Some(user >> 20),
                    id: None,
                };
                part.outcomes.extend((0..16).map(outcome));
            }
            let mut arrivals = Arrivals::new(name(), 1);
            arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1 + chunk) });
            phase.fold(&arrivals, Timestamp::from_millis(AT));
        }
        assert_eq!(phase.evidence.remembered(), DEFAULT_CAPACITY as usize);
        assert!(PackedEvidence::of(&phase).unwrap().fits_of_phase(&[]));
        let figures = phase.evidence.figures().clone();
        assert!(phase.halve_users() && phase.evidence.remembered() < 9_000);
        assert_eq!(*phase.evidence.figures(), figures);
        while phase.evidence.remembered() > 0 {
            assert!(phase.halve_users());
        }
        assert!(!phase.halve_users(), "nobody is left");
    }
}
