//! The watch over the newest requests of a step: a detector and a doubt for each measure, moved once
//! for each closed arrival window, with the counts of the span in which the detector is suspicious.

use crate::{
    canary::{
        group::{Group, GroupMeasure},
        measure::Measure,
        test::Test,
        window::{ArmCounts, BothArms},
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

/// A shared incident that holds the run. Its detector has begun anew, or it would remember the incident for longer than
/// it lasted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Incident {
    /// Number of moves in a row after which the detector suspected nothing.
    #[serde(default)]
    pub quiet: u32,
    /// Counts of the new arm in these moves.
    #[serde(default)]
    pub calm: ArmCounts,
    /// Alarm that the detector has raised since it began anew, until it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Alarm>,
    /// Time from which the detector moves again after legacy was found healthy, in milliseconds since 1970. Requests
    /// from before legacy recovered have ended then, those with the longest time limit too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone_from: Option<i64>,
}

impl Incident {
    fn note(&mut self, is_suspect: bool, new: ArmCounts) {
        if is_suspect {
            (self.quiet, self.calm) = (0, ArmCounts::default());
        } else {
            self.quiet = self.quiet.saturating_add(1);
            self.calm.add(new);
        }
    }
}

/// A beginning of a measure within its step, after a shared incident is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// Number of the beginning, from 1; the step's own is 0.
    pub number: u32,
    /// Counts since then.
    pub total: Span,
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
    /// Shared incident, while the alarm is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
    /// Last beginning of the measure, if there was a shared incident in the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beginning: Option<Beginning>,
}

impl Watch {
    fn step(&mut self, measure: GroupMeasure<'_>, since: i64, counts: BothArms) {
        let new = &counts.new;
        self.doubt.step(measure.kind.against_success(new), new.requests, measure.success_limit());
        if self.incident.and_then(|incident| incident.alone_from).is_some_and(|from| since < from) {
            return;
        }
        self.detector.step(measure.kind.against_rollback(new), new.requests, measure.rollback_limit());
        let is_suspect = self.detector.is_suspect();
        if let Some(incident) = &mut self.incident {
            incident.note(is_suspect, *new);
        }
        if !is_suspect {
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

    /// Holds the alarm, and begins the detector anew in this state of the incident.
    pub(crate) fn hold(&mut self, incident: Incident) {
        self.alarm = self.alarm.map(|alarm| Alarm { held: true, ..alarm });
        (self.detector, self.span, self.incident) = (Detector::default(), None, Some(incident));
    }

    /// Begins the measure anew at `now`, without anything from before but the numbers of its spans and beginnings.
    pub(crate) fn begin_anew(&mut self, now: i64) {
        let number = self.beginnings().saturating_add(1);
        let total = Span { since: now, counts: BothArms::default() };
        let beginning = Some(Beginning { number, total });
        *self = Self { spans: self.spans, beginning, ..Self::default() };
    }

    /// Returns the number of beginnings after the step's own.
    pub(crate) fn beginnings(&self) -> u32 {
        self.beginning.map_or(0, |beginning| beginning.number)
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
        for measure in Measure::ALL {
            if let Some(beginning) = &mut self.of_mut(measure).beginning {
                beginning.total.counts.add(counts);
            }
        }
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
