//! The watch over the newest requests of a step: a detector and a doubt for each measure, moved once
//! for each closed arrival window, with the counts of the span in which the detector is suspicious.

use crate::{
    canary::{
        group::{Group, GroupMeasure},
        measure::Measure,
        test::Test,
        window::BothArms,
    },
    measurement::batch::WINDOW_MS,
    statistics::{Detector, Doubt},
};
use serde::{Deserialize, Serialize};

/// The arrival windows since the detector was last not suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Start of the first window, in milliseconds since 1970.
    pub since: i64,
    /// Counts of these windows.
    pub counts: BothArms,
}

/// An alarm: the new arm is above a rollback limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Time of the alarm, in milliseconds since 1970.
    pub since: i64,
    /// True once legacy was found to share the incident.
    pub held: bool,
    /// The test that raised it.
    pub test: Test,
    /// Its evidence, log E.
    pub evidence: f64,
    /// Start of the suspect span that the test looked at; `None` for the whole step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect_since: Option<i64>,
    /// The counts that it looked at. Those that came later are not known by users yet.
    pub counts: BothArms,
}

/// State of the watch over one measure.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watch {
    /// Detector of a rate above the rollback limit.
    pub detector: Detector,
    /// Doubt that the rate is within the success limit.
    pub doubt: Doubt,
    /// Suspect span, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// Number of suspect spans that have begun.
    #[serde(default)]
    pub spans: u32,
    /// Alarm that is neither a breach nor over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
}

impl Watch {
    fn step(&mut self, measure: GroupMeasure<'_>, since: i64, counts: BothArms) {
        let new = &counts.new;
        self.detector.step(measure.kind.against_rollback(new), new.requests, measure.rollback_limit());
        self.doubt.step(measure.kind.against_success(new), new.requests, measure.success_limit());
        if !self.detector.is_suspect() {
            self.span = None;
            return;
        }
        match &mut self.span {
            Some(span) => span.counts.add(counts),
            None => {
                self.span = Some(Span { since, counts });
                self.spans = self.spans.saturating_add(1);
            }
        }
    }

    /// Returns the number of the open suspect span, from 1; 0 if there is none.
    pub(crate) fn span_number(&self) -> u32 {
        if self.span.is_some() { self.spans } else { 0 }
    }
}

/// Counts that no detector has been moved by yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Start of the first arrival window, in milliseconds since 1970.
    pub since: i64,
    /// Start of the last one.
    pub newest: i64,
    /// Counts of these windows.
    pub counts: BothArms,
}

/// The watches over one group of requests in a step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watches {
    /// Watch over errors.
    pub errors: Watch,
    /// Watch over slow responses.
    pub slow: Watch,
    /// Counts of the open arrival window, and of windows without requests on the new arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
}

impl Watches {
    pub(crate) fn of(&self, measure: Measure) -> &Watch {
        match measure {
            Measure::Errors => &self.errors,
            Measure::Slow => &self.slow,
        }
    }

    pub(crate) fn of_mut(&mut self, measure: Measure) -> &mut Watch {
        match measure {
            Measure::Errors => &mut self.errors,
            Measure::Slow => &mut self.slow,
        }
    }

    /// Adds the counts of an arrival window, or of a part of it.
    pub(crate) fn add(&mut self, start: i64, counts: BothArms) {
        let pending =
            self.pending.get_or_insert(Pending { since: start, newest: start, counts: BothArms::default() });
        pending.newest = pending.newest.max(start);
        pending.counts.add(counts);
    }

    /// Moves the detectors by the counts of all windows that began before `closed`. Without requests
    /// on the new arm they do not move, and the counts stay for the next move.
    pub(crate) fn close(&mut self, closed: i64, group: Group<'_>) {
        let ready = |pending: &mut Pending| pending.newest < closed && pending.counts.new.requests > 0;
        if let Some(Pending { since, counts, .. }) = self.pending.take_if(ready) {
            for measure in group.measures() {
                self.of_mut(measure.kind).step(measure, since, counts);
            }
        }
    }

    /// Returns true if the detectors have counts of a window that is closed at `now`.
    pub(crate) fn awaits_close(&self, now: i64) -> bool {
        let is_closed = |pending: Pending| pending.newest.saturating_add(WINDOW_MS) <= now;
        self.pending.is_some_and(|pending| pending.counts.new.requests > 0 && is_closed(pending))
    }
}
