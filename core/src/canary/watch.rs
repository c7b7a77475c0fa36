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
    statistics::{Detector, Doubt, Recovery},
};
use serde::{Deserialize, Deserializer, Serialize};

/// The arrival windows since the detector was last not suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Start of the first window, in milliseconds since 1970.
    pub since: i64,
    /// Counts of these windows.
    pub counts: BothArms,
}

/// An open or closed suspect span, with the number under which users are counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// Number of the span, from 1.
    pub number: u32,
    /// Its start and its counts.
    pub span: Span,
}

/// An alarm: the new arm is above a rollback limit. It has its own counts, because the detector may suspect nothing any
/// more when the users behind the alarm are known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Time of the alarm, in milliseconds since 1970.
    pub since: i64,
    /// The test that raised it.
    pub test: Test,
    /// Its evidence, log E.
    pub evidence: f64,
    /// Start of the counts below; `None` for the whole step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_since: Option<i64>,
    /// The counts that the test looked at. Those that came later are not known by users yet.
    pub counts: BothArms,
    /// Suspect span of the alarm, over which legacy's part is judged; `None` if the detector suspected nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<Suspect>,
}

impl Alarm {
    /// Follows a move of the watch. The alarm's span grows while it is open.
    ///
    /// Once it is closed, only late outcomes of legacy belong to it: those of a move in which legacy resembles the new arm of
    /// the span. All others would dilute an incident that legacy reports later, because its time limit is longer.
    fn follow(&mut self, open: Option<Suspect>, legacy: ArmCounts, measure: GroupMeasure<'_>) {
        let Some(own) = &mut self.suspect else {
            self.suspect = open;
            return;
        };
        match open {
            Some(open) if open.number == own.number => *own = open,
            _ => {
                let late = BothArms { new: own.span.counts.new, legacy };
                if measure.shared_evidence(&late) > 0.0 {
                    own.span.counts.legacy.add(legacy);
                }
            }
        }
    }
}

/// State of an alarm that is neither a breach nor over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// The alarm waits for its users, or for the counts that tell if legacy shares it.
    Waiting(Alarm),
    /// Legacy was found to share the incident, which holds the run.
    Held(Incident),
}

impl AlarmState {
    /// Returns the time of the alarm, in milliseconds since 1970: of a shared incident, that of the first one.
    pub fn since(&self) -> i64 {
        match self {
            Self::Waiting(alarm) => alarm.since,
            Self::Held(incident) => incident.since,
        }
    }

    /// Returns true if legacy was found to share the incident.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// Returns the alarm that is not decided, if there is one: it may wait inside a shared incident.
    pub(crate) fn undecided(&self) -> Option<&Alarm> {
        match self {
            Self::Waiting(alarm) => Some(alarm),
            Self::Held(incident) => incident.again.as_ref(),
        }
    }

    fn undecided_mut(&mut self) -> Option<&mut Alarm> {
        match self {
            Self::Waiting(alarm) => Some(alarm),
            Self::Held(incident) => incident.again.as_mut(),
        }
    }
}

/// The two ways in which the state of an alarm is stored.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredAlarm {
    Current(Box<AlarmState>),
    /// An alarm of an earlier version, which had one form for both states.
    Earlier {
        since: i64,
        held: bool,
    },
}

/// Reads the state of an alarm. One of an earlier version that was held stays held; one that waited is raised again.
fn stored_alarm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AlarmState>, D::Error> {
    Ok(match Option::<StoredAlarm>::deserialize(deserializer)? {
        Some(StoredAlarm::Current(state)) => Some(*state),
        Some(StoredAlarm::Earlier { since, held: true }) => Some(AlarmState::Held(Incident::begun(since))),
        Some(StoredAlarm::Earlier { held: false, .. }) | None => None,
    })
}

/// A shared incident that holds the run. Its detector has begun anew, or it would remember the incident for longer than
/// it lasted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Time of its first alarm, in milliseconds since 1970.
    pub since: i64,
    /// Recovery of the new arm since the run is held.
    #[serde(default)]
    pub recovery: Recovery,
    /// Alarm that the detector has raised since it began anew, until it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Alarm>,
    /// Time from which the detector moves again after legacy was found healthy, in milliseconds since 1970. Requests
    /// from before legacy recovered have ended then, those with the longest time limit too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone_from: Option<i64>,
}

impl Incident {
    /// Begins an incident with the time of its first alarm, in milliseconds since 1970.
    pub(crate) fn begun(since: i64) -> Self {
        Self { since, recovery: Recovery::default(), again: None, alone_from: None }
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
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "stored_alarm")]
    pub alarm: Option<AlarmState>,
    /// Last beginning of the measure, if there was a shared incident in the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beginning: Option<Beginning>,
}

impl Watch {
    fn step(&mut self, measure: GroupMeasure<'_>, since: i64, counts: BothArms) {
        let new = &counts.new;
        self.doubt.step(measure.kind.against_success(new), new.requests, measure.success_limit());
        let events = measure.kind.against_rollback(new);
        if let Some(AlarmState::Held(incident)) = &mut self.alarm {
            incident.recovery.step(events, new.requests, measure.rollback_limit());
            if incident.alone_from.is_some_and(|from| since < from) {
                return;
            }
        }
        self.detector.step(events, new.requests, measure.rollback_limit());
        if self.detector.is_suspect() {
            match &mut self.span {
                Some(span) => span.counts.add(counts),
                None => {
                    self.span = Some(Span { since, counts });
                    self.spans = self.spans.saturating_add(1);
                }
            }
        } else {
            self.span = None;
        }
        let open = self.suspect();
        if let Some(alarm) = self.alarm.as_mut().and_then(AlarmState::undecided_mut) {
            alarm.follow(open, counts.legacy, measure);
        }
    }

    /// Holds the run in this state of a shared incident, and begins the detector anew.
    pub(crate) fn hold(&mut self, incident: Incident) {
        (self.detector, self.span) = (Detector::default(), None);
        self.alarm = Some(AlarmState::Held(incident));
    }

    /// Returns the shared incident, if one holds the run.
    pub(crate) fn incident(&self) -> Option<&Incident> {
        match &self.alarm {
            Some(AlarmState::Held(incident)) => Some(incident),
            _ => None,
        }
    }

    /// Begins the measure anew at `now`, as the beginning of this number, without anything from before but the number of its
    /// spans.
    pub(crate) fn begin_anew(&mut self, number: u32, now: i64) {
        let total = Span { since: now, counts: BothArms::default() };
        let beginning = Some(Beginning { number, total });
        *self = Self { spans: self.spans, beginning, ..Self::default() };
    }

    /// Returns the number of beginnings after the step's own.
    pub(crate) fn beginnings(&self) -> u32 {
        self.beginning.map_or(0, |beginning| beginning.number)
    }

    /// Returns the open suspect span, if there is one.
    pub(crate) fn suspect(&self) -> Option<Suspect> {
        self.span.map(|span| Suspect { number: self.spans, span })
    }

    /// Returns the number of the suspect span to which users belong who are learned now: that of the alarm that waits for
    /// them, or the open one; 0 if there is none.
    pub(crate) fn span_number(&self) -> u32 {
        let waiting = self.alarm.as_ref().and_then(AlarmState::undecided).and_then(|alarm| alarm.suspect);
        waiting.or_else(|| self.suspect()).map_or(0, |suspect| suspect.number)
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
