//! Gaps: counts that have expired before they were folded, of runs, of phases, and of ledgers that are parked. Each is
//! in the cursor, and is logged when it begins and for each hour by which it grows.

use crate::{
    clock,
    measurement::fold::Folding,
    store::{Cursor, FlagGap, LedgerSubject},
};
use cutover_core::{ExperimentName, Timestamp, canary::Run};

impl Folding<'_> {
    /// Notes the counts of active runs that have expired because nobody read the log for so long.
    pub(super) fn note_expired(&mut self) {
        let now = clock::now().millis();
        for run in self.running() {
            let Some(gap) = self.cursor.expired_of(&run, now) else { continue };
            if note_gap(&mut self.cursor, run.flag.as_str(), gap, Some(&run)) {
                let why = "nothing was read for longer than the log is kept";
                tracing::error!(event = "log_gap", why, since = gap.since.millis(), "counts have expired");
            }
        }
        self.note_expired_reports(now);
    }

    /// Notes that counts of all active runs and phases have expired before they were folded.
    pub(super) fn note_gap(&mut self, why: &str) {
        let gap = FlagGap { since: Timestamp::from_millis(self.cursor.through), until: clock::now() };
        let (since, until) = (gap.since.millis(), gap.until.millis());
        tracing::error!(event = "log_gap", why, since, until, "counts have expired");
        for run in self.running() {
            note_gap(&mut self.cursor, run.flag.as_str(), gap, Some(&run));
        }
        self.note_report_gap(gap);
    }

    /// Notes that records have expired which a parked ledger lacks. It was complete up to `through`, in milliseconds since
    /// 1970.
    pub(super) fn note_gap_apart(&mut self, name: &str, through: i64) {
        let [since, until] = [through, self.through].map(Timestamp::from_millis);
        let gap = FlagGap { since, until };
        match LedgerSubject::experiment(name) {
            None => {
                note_gap(&mut self.cursor, name, gap, self.state.runs.get(name));
            }
            // What its phase lacks is noted when an invocation begins. Others may have expired before the phase began.
            Some(experiment) if self.state.phases.contains_key(&experiment) => {}
            Some(experiment) => note_report_gap(&mut self.cursor, &experiment, gap, since),
        }
    }

    /// Notes that a parked ledger of an experiment was removed which had caught up in part: its positions stay, and
    /// what it had counted of the phase is lost.
    pub(super) fn note_lost_progress(&mut self, name: &str) {
        let own = self.fold.own(name);
        let is_advanced = self.cursor.parked.get(name).is_some_and(|parked| parked.is_passed_by(&own));
        let Some(experiment) = LedgerSubject::experiment(name).filter(|_| is_advanced) else { return };
        if let Some(began) = self.state.phases.get(&experiment).map(|counted| counted.began) {
            let gap = FlagGap { since: began, until: clock::now() };
            note_report_gap(&mut self.cursor, &experiment, gap, began);
        }
    }

    /// Notes that reports of all phases that are counted have expired before they were folded.
    pub(super) fn note_report_gap(&mut self, gap: FlagGap) {
        for (name, counted) in &self.state.phases {
            note_report_gap(&mut self.cursor, name, gap, counted.began);
        }
    }

    /// Notes the reports of phases that have expired because nobody read the log for so long.
    fn note_expired_reports(&mut self, now: i64) {
        for (name, counted) in &self.state.phases {
            let ledger = LedgerSubject::Experiment(name).to_string();
            if let Some(gap) = self.cursor.expired_since(&ledger, counted.began, now) {
                note_report_gap(&mut self.cursor, name, gap, counted.began);
            }
        }
    }
}

/// Notes that the counts of a flag in a period have expired before they were folded. The run is the newest one of the
/// flag. Returns true if that was logged: it is not if the same gap has hardly grown since the last time.
fn note_gap(cursor: &mut Cursor, flag: &str, gap: FlagGap, run: Option<&Run>) -> bool {
    let is_news = cursor.note_gap(flag, gap, run);
    if is_news {
        let FlagGap { since, until } = gap;
        tracing::error!(event = "flag_gap", flag, %since, %until, "counts of a flag have expired");
    }
    is_news
}

/// Notes that the reports of an experiment, whose phase began at `began`, have expired in a period before they were
/// folded. It is logged unless the same gap has hardly grown since the last time.
fn note_report_gap(cursor: &mut Cursor, name: &ExperimentName, gap: FlagGap, began: Timestamp) {
    if cursor.note_report_gap(&LedgerSubject::Experiment(name).to_string(), gap, began) {
        let FlagGap { since, until } = gap;
        tracing::error!(
            event = "report_gap",
            experiment = %name,
            %since,
            %until,
            "reports of an experiment have expired"
        );
    }
}
