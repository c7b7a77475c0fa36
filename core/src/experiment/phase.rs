//! A phase of an experiment as it is kept: its identity, its design and its evidence, from its first user until it is over.

use crate::{
    experiment::{
        arrivals::Arrivals,
        circumstances::{Circumstances, ReportGap},
        conclusion::Conclusion,
        design::Design,
        evidence::Evidence,
        judgement::Judgement,
        record::{JudgedPhase, PhaseIdentity, Record},
    },
    json::omit::is_false,
    vocabulary::timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Time after the end of a phase for which reports of what happened before it still count, in milliseconds. Isolates report
/// within half a minute, and a report that fails is sent again after minutes at most, unless it fails for longer.
pub const LATE_MS: i64 = 5 * 60_000;

/// A phase with everything that is needed to judge it. It is a document of its own, so that a phase that is over can be judged
/// without the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Identity of the phase.
    pub identity: PhaseIdentity,
    /// Design with which the phase began.
    pub design: Design,
    /// Evidence of its users.
    pub evidence: Evidence,
    /// Conclusion of its newest record; `None` before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concluded: Option<Conclusion>,
    /// Record of the first guardrail that fired: whatever is found later, the experiment is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<Box<Record>>,
    /// Time of the last record of a phase that is over; `None` while it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// True if reports have changed the figures since the last record.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_late: bool,
    /// Circumstances of the next judgement.
    #[serde(default, skip_serializing_if = "Circumstances::is_nothing")]
    pub circumstances: Circumstances,
    /// The phase before, while reports of it may still arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<Phase>>,
}

impl Phase {
    /// Begins to count a phase that remembers at most `capacity` users.
    pub fn begin(identity: PhaseIdentity, design: Design, capacity: u32) -> Self {
        let began = identity.began.millis().div_euclid(1_000);
        let evidence = Evidence::none(&design, capacity).guarded_since(began);
        Self {
            identity,
            design,
            evidence,
            concluded: None,
            harm: None,
            ended: None,
            has_late: false,
            circumstances: Circumstances::default(),
            previous: None,
        }
    }

    /// Adds everything that arrived until `now`, the time through which everything was read.
    pub fn fold(&mut self, arrivals: &Arrivals, now: Timestamp) {
        self.fold_through(arrivals, now, now);
    }

    /// Adds everything that arrived until `now`, if everything was read through an earlier time. Of a phase that is over, what
    /// happened before its end. If users are not split as configured then, that is noted for good: later users can make a wrong
    /// split look right.
    pub fn fold_through(&mut self, arrivals: &Arrivals, now: Timestamp, through: Timestamp) {
        let seconds = |time: Timestamp| time.millis().div_euclid(1_000);
        let Self { design, evidence, circumstances, has_late, .. } = self;
        match circumstances.ended {
            None => evidence.fold_through(design, arrivals, seconds(now), seconds(through)),
            Some(end) => {
                let (before, end) = (evidence.figures().clone(), seconds(end));
                let arrivals = arrivals.until(end);
                evidence.fold_through(design, &arrivals, seconds(now), seconds(through).min(end));
                *has_late |= *evidence.figures() != before;
            }
        }
        circumstances.reached.note_misfits(Judgement::misfits(design, evidence.figures()));
    }

    /// Judges the phase at `now`, or at its end if it is over.
    pub fn judged(&self, now: Timestamp, code: &str) -> Record {
        let Self { identity, design, evidence, circumstances, .. } = self;
        let at = self.ended.unwrap_or(now);
        Record::of(at, code, JudgedPhase { identity, design, evidence, circumstances })
    }

    /// Notes a period whose reports have expired unread, as far as it is one of the phase. Returns true if that is news.
    pub fn note_gap(&mut self, gap: ReportGap) -> bool {
        let end = self.circumstances.ended;
        if gap.until <= self.identity.began || end.is_some_and(|end| gap.since >= end) {
            return false;
        }
        // Nothing may ever have been read before.
        let gap = ReportGap { since: gap.since.max(self.identity.began), ..gap };
        let held = self.circumstances.gap;
        self.circumstances.gap = Some(held.map_or(gap, |held| held.and(gap)));
        self.circumstances.gap != held
    }

    /// Notes the newest record. Returns false if its conclusion is no news after the one before.
    pub fn conclude(&mut self, record: &Record) -> bool {
        let conclusion = &record.judgement.conclusion;
        conclusion.note_in(&mut self.circumstances.reached);
        if !conclusion.is_news_after(self.concluded.as_ref()) {
            return false;
        }
        self.concluded = Some(conclusion.clone());
        if self.harm.is_none() && matches!(conclusion, Conclusion::Off { .. }) {
            self.harm = Some(Box::new(record.clone()));
        }
        true
    }

    /// Notes that the newest conclusion was reached: versions that did not keep such conclusions have written the phase
    /// without it.
    pub fn hold_conclusion(&mut self) {
        if let Some(concluded) = &self.concluded {
            concluded.note_in(&mut self.circumstances.reached);
        }
        if let Some(previous) = &mut self.previous {
            previous.hold_conclusion();
        }
    }

    /// Ends the phase, which was over at `end`, and returns its last record; `None` if it has one. If further reports arrive
    /// within [`LATE_MS`], it gets another one.
    pub fn end(&mut self, end: Timestamp, now: Timestamp, code: &str) -> Option<Record> {
        if self.ended.is_some() {
            return None;
        }
        self.circumstances.ended = Some(end.clamp(self.identity.began, now.max(self.identity.began)));
        Some(self.last_record(now, code))
    }

    /// Returns true if the phase is over, and reports of what happened before its end count while everything was read through
    /// this time. Phases that an earlier version ended wait for none.
    pub fn is_waiting(&self, through: Timestamp) -> bool {
        let end = self.circumstances.ended.filter(|_| self.ended.is_some());
        end.is_some_and(|end| through.millis().saturating_sub(end.millis()) < LATE_MS)
    }

    /// Returns another last record if reports have come since the one before, and are no longer waited for.
    pub fn close(&mut self, through: Timestamp, now: Timestamp, code: &str) -> Option<Record> {
        (self.has_late && !self.is_waiting(through)).then(|| self.last_record(now, code))
    }

    fn last_record(&mut self, now: Timestamp, code: &str) -> Record {
        (self.ended, self.has_late) = (Some(now), false);
        let record = self.judged(now, code);
        self.concluded = Some(record.judgement.conclusion.clone());
        record
    }

    /// Forgets all users of a phase that is over and no longer waits for reports while everything was read through this
    /// time; the figures keep them. Returns false if there are none, or the phase still needs them.
    pub fn forget_users(&mut self, through: Timestamp) -> bool {
        self.ended.is_some() && !self.is_waiting(through) && self.evidence.forget_users()
    }

    /// Leaves half of the remembered users out from now on, so that the document gets smaller; the figures keep them. Returns
    /// false if there are none.
    pub fn halve_users(&mut self) -> bool {
        self.evidence.halve()
    }
}
