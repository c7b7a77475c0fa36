//! A user of an experiment, as far as the user is remembered: the exposure, for each metric the first event and the events of
//! the user's window, and the ids of events that may be repeated.

use crate::{
    experiment::figures::Amounts,
    rules::experiment::{
        analysis::StoppingRules,
        metric::{Metric, MetricKind},
    },
};
use serde::{Deserialize, Serialize};

/// Most ids of events that are remembered of a user: those of the latest events. Without a bound one user could fill the
/// evidence.
pub const MAX_EVENT_IDS: usize = 64;

/// Time from an event for which its id is remembered, in seconds, beside the time that a report takes. An isolate takes events
/// that are up to a day old, and tries for a day to report them.
const ID_KEPT_S: i64 = 2 * 24 * 60 * 60;

/// A user. In documents a list, because there may be thousands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "PackedUser", into = "PackedUser")]
pub(crate) struct ExperimentUser {
    exposed: Option<Exposed>,
    is_crossed: bool,
    is_matured: bool,
    /// Metrics with an event, in the order of their positions.
    metrics: Vec<MetricState>,
    /// Events that wait for an exposure before them.
    aside: Vec<Event>,
    /// Events with ids that were counted or wait, the oldest first.
    ids: Vec<EventId>,
}

/// Id of an event that was counted or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EventId {
    /// Time of the event, in seconds since 1970.
    at: i64,
    metric: u8,
    /// Keyed hash of the id.
    hash: u64,
}

/// First exposure of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exposed {
    variant: u8,
    /// Time of the first exposure, in seconds since 1970.
    first: i64,
}

/// Events of a user that one metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MetricState {
    metric: u8,
    /// Time of the first event, in seconds since 1970.
    first: i64,
    /// Number of events in the window.
    count: u64,
    /// Sum of their values, in thousandths.
    value: u64,
}

/// An event of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    /// Position of the metric.
    pub(crate) metric: u8,
    /// Time, in seconds since 1970.
    pub(crate) at: i64,
    /// Value, in thousandths, not above the cap.
    pub(crate) value: u64,
    /// Keyed hash of the event's id. An event that waits has none: its id is among those of the user.
    pub(crate) id: Option<u64>,
}

/// Flags (1 exposed, 2 crossed, 4 matured), variant, time of the exposure, metrics, events that wait, ids.
type PackedUser = (u8, u8, i64, Vec<PackedMetric>, Vec<PackedEvent>, Vec<PackedId>);

/// Position, time of the first event, number and value of the events.
type PackedMetric = (u8, i64, u64, u64);

/// Position of the metric, time, value.
type PackedEvent = (u8, i64, u64);

/// Time of the event, position of the metric, hash.
type PackedId = (i64, u8, u64);

impl From<ExperimentUser> for PackedUser {
    fn from(user: ExperimentUser) -> Self {
        let flags = u8::from(user.exposed.is_some())
            | (u8::from(user.is_crossed) << 1)
            | (u8::from(user.is_matured) << 2);
        let (variant, first) = user.exposed.map_or((0, 0), |exposed| (exposed.variant, exposed.first));
        let metric = |held: &MetricState| (held.metric, held.first, held.count, held.value);
        let event = |held: &Event| (held.metric, held.at, held.value);
        let id = |held: &EventId| (held.at, held.metric, held.hash);
        (
            flags,
            variant,
            first,
            user.metrics.iter().map(metric).collect(),
            user.aside.iter().map(event).collect(),
            user.ids.iter().map(id).collect(),
        )
    }
}

impl From<PackedUser> for ExperimentUser {
    fn from((flags, variant, first, metrics, aside, ids): PackedUser) -> Self {
        let metric =
            |(metric, first, count, value): PackedMetric| MetricState { metric, first, count, value };
        let event = |(metric, at, value): PackedEvent| Event { metric, at, value, id: None };
        let id = |(at, metric, hash): PackedId| EventId { at, metric, hash };
        Self {
            exposed: (flags & 1 == 1).then_some(Exposed { variant, first }),
            is_crossed: flags & 2 == 2,
            is_matured: flags & 4 == 4,
            metrics: metrics.into_iter().map(metric).collect(),
            aside: aside.into_iter().map(event).collect(),
            ids: ids.into_iter().map(id).collect(),
        }
    }
}

impl ExperimentUser {
    /// Returns the variant that the user counts for; `None` without an exposure, or with exposures to two variants.
    pub(crate) fn variant(&self) -> Option<u8> {
        self.exposed.filter(|_| !self.is_crossed).map(|exposed| exposed.variant)
    }

    /// Returns true if the user was seen in two variants.
    pub(crate) fn is_crossed(&self) -> bool {
        self.is_crossed
    }

    /// Returns true if the outcomes of the user's window are final.
    pub(crate) fn is_matured(&self) -> bool {
        self.is_matured
    }

    /// Returns true if nothing is known of the user that could count later.
    pub(crate) fn is_blank(&self) -> bool {
        self.exposed.is_none() && self.waiting() == 0
    }

    /// Returns the number of events that wait for an exposure, and of ids that are remembered.
    pub(crate) fn waiting(&self) -> usize {
        self.aside.len() + self.ids.len()
    }

    /// Returns true if an exposure of the user is known.
    pub(crate) fn is_exposed(&self) -> bool {
        self.exposed.is_some()
    }

    /// Returns the number of events that wait for an exposure.
    pub(crate) fn events_aside(&self) -> usize {
        self.aside.len()
    }

    /// Returns the time of the latest event that waits or whose id is remembered, in seconds since 1970; `None` without one.
    pub(crate) fn latest_waiting(&self) -> Option<i64> {
        let events = self.aside.iter().map(|event| event.at);
        events.chain(self.ids.iter().map(|id| id.at)).max()
    }

    /// Notes an exposure. A user of two variants counts for none: there is nothing more to know than that.
    pub(crate) fn expose(&mut self, variant: u8, at: i64) {
        let held = self.exposed.get_or_insert(Exposed { variant, first: at });
        held.first = held.first.min(at);
        if held.variant != variant {
            held.variant = held.variant.min(variant);
            self.is_crossed = true;
            self.is_matured = false;
            self.metrics.clear();
            self.aside.clear();
            self.ids.clear();
        }
    }

    /// Notes events, after all exposures that are known. Those before the first exposure wait, as do those that waited
    /// already and still have no exposure before them. An event whose id is remembered for its metric is the same event, and
    /// is left out.
    pub(crate) fn observe(&mut self, events: &[Event], rules: &StoppingRules) {
        if self.is_crossed {
            return;
        }
        let mut events = events.to_vec();
        // In one order, because of repeated events with one id the first one counts.
        events.sort_unstable();
        events.retain(|event| self.admits(event));
        events.append(&mut self.aside);
        events.sort_unstable();
        for event in events {
            match self.exposed {
                Some(exposed) if exposed.first <= event.at => self.count(exposed, event, rules),
                _ => self.aside.push(Event { id: None, ..event }),
            }
        }
        self.ids.sort_unstable();
        let surplus = self.ids.len().saturating_sub(MAX_EVENT_IDS);
        self.ids.drain(..surplus);
    }

    /// Returns true if an event has no id, or one that is not remembered for its metric, and remembers that.
    fn admits(&mut self, event: &Event) -> bool {
        let Event { metric, at, id: Some(hash), .. } = *event else { return true };
        let is_known = self.ids.iter().any(|held| held.metric == metric && held.hash == hash);
        if !is_known {
            self.ids.push(EventId { at, metric, hash });
        }
        !is_known
    }

    fn count(&mut self, exposed: Exposed, event: Event, rules: &StoppingRules) {
        let index = match self.metrics.binary_search_by_key(&event.metric, |held| held.metric) {
            Ok(index) => index,
            Err(index) => {
                let state = MetricState { metric: event.metric, first: event.at, count: 0, value: 0 };
                self.metrics.insert(index, state);
                index
            }
        };
        if let Some(held) = self.metrics.get_mut(index) {
            held.first = held.first.min(event.at);
            if is_in_window(exposed, event.at, rules) {
                held.count = held.count.saturating_add(1);
                held.value = held.value.saturating_add(event.value);
            }
        }
    }

    /// Removes the events whose exposure would be known by `now`, and returns their number. Forgets the ids of events that are
    /// not repeated any more.
    pub(crate) fn settle(&mut self, rules: &StoppingRules, now: i64) -> u64 {
        let kept = ID_KEPT_S.saturating_add(i64::from(rules.settle_s));
        self.ids.retain(|id| id.at.saturating_add(kept) > now);
        let waiting = self.aside.len();
        self.aside.retain(|event| event.at.saturating_add(i64::from(rules.settle_s)) > now);
        (waiting - self.aside.len()) as u64
    }

    /// Returns true if the user's window is over, and was not before.
    pub(crate) fn matures(&mut self, rules: &StoppingRules, now: i64) -> bool {
        let Some(exposed) = self.exposed.filter(|_| !self.is_crossed && !self.is_matured) else {
            return false;
        };
        let wait = i64::from(rules.window_s).saturating_add(i64::from(rules.settle_s));
        self.is_matured = exposed.first.saturating_add(wait) <= now;
        self.is_matured
    }

    /// Returns the outcomes of the user so far, by metric.
    pub(crate) fn running(&self, metrics: &[Metric]) -> impl Iterator<Item = Amounts> {
        self.amounts(metrics, |_| true)
    }

    /// Returns the outcomes of the user's window, by metric.
    pub(crate) fn final_outcomes(
        &self,
        metrics: &[Metric],
        rules: &StoppingRules,
    ) -> impl Iterator<Item = Amounts> {
        self.amounts(metrics, move |held| {
            self.exposed.is_some_and(|exposed| is_in_window(exposed, held.first, rules))
        })
    }

    fn amounts(
        &self,
        metrics: &[Metric],
        has_event: impl Fn(&MetricState) -> bool,
    ) -> impl Iterator<Item = Amounts> {
        (0..=u8::MAX).zip(metrics).map(move |(position, metric)| {
            let held = self.metrics.iter().find(|held| held.metric == position);
            held.map_or_else(Amounts::default, |held| Amounts {
                has_event: has_event(held),
                count: held.count,
                value: capped(metric, held.value),
            })
        })
    }
}

/// Returns true if an event of a user is within the user's window.
fn is_in_window(exposed: Exposed, at: i64, rules: &StoppingRules) -> bool {
    at.saturating_sub(exposed.first) < i64::from(rules.window_s)
}

/// Returns the value of a user that counts. The values of ratios were capped event by event.
fn capped(metric: &Metric, value: u64) -> u64 {
    match metric.kind {
        MetricKind::Value => value.min(metric.cap.unwrap_or(u64::MAX)),
        MetricKind::Conversion | MetricKind::Ratio => value,
    }
}
