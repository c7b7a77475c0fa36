//! The users of an experiment in one event window, and the part of a batch that is made of them.

use crate::counting::users::take_first;
use cutover_core::{
    decision::counted::MetricSet,
    measurement::{
        batch::WINDOW_MS,
        experiments::{ExperimentPart, Exposure, GuardrailEvent, UserOutcome},
    },
};
use std::{collections::BTreeMap, iter::Sum};

/// Most values of one user for one metric in one event window. Those beyond them are left out.
const MAX_VALUES: usize = 64;

/// Most users with events of guardrails in one event window. Beyond it half of the hashes are left out, in this window
/// alone.
const MAX_GUARDED: usize = 64;

/// Hash of a user with the position of a variant or a metric.
type Key = (u64, u8);

/// The users of one event window.
#[derive(Debug)]
pub(super) struct Window {
    /// Start of the window, in milliseconds since 1970.
    pub(super) start: i64,
    settle_ms: u32,
    /// Times of first exposures in seconds since 1970, by variant.
    exposures: BTreeMap<Key, i64>,
    of_exposed: Outcomes,
    of_others: Outcomes,
    guarded: Guarded,
}

/// Users with events of guardrails in one event window, for hashes below `theta`. No variant has a part in the choice.
#[derive(Debug)]
struct Guarded {
    theta: u64,
    users: BTreeMap<u64, GuardedUser>,
}

impl Default for Guarded {
    fn default() -> Self {
        Self { theta: u64::MAX, users: BTreeMap::new() }
    }
}

/// Events of guardrails of a user in one event window.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardedUser {
    /// Variant that served the user.
    pub(super) variant: u8,
    /// Metrics that count the events.
    pub(super) metrics: MetricSet,
    /// Time of the first event, in seconds since 1970.
    pub(super) at: i64,
}

impl Guarded {
    fn add(&mut self, user: u64, event: GuardedUser) {
        if user >= self.theta {
            return;
        }
        let held = self.users.entry(user).or_insert(event);
        if held.variant == event.variant {
            held.metrics |= event.metrics;
            held.at = held.at.min(event.at);
        }
        while self.users.len() > MAX_GUARDED {
            self.theta /= 2;
            drop(self.users.split_off(&self.theta));
        }
    }
}

/// Group of users: those whom the isolate saw exposed before it noted an outcome, and the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Users who were seen exposed.
    Exposed,
    /// All others. Another isolate may know of an exposure.
    Others,
}

/// Outcomes of a group of users in one event window.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    by_metric: BTreeMap<Key, Vec<Noted>>,
    /// Number of entries whose room they take in a batch.
    room: usize,
}

/// Number of entries waiting to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Waiting {
    /// Exposures, and outcomes of exposed users.
    pub(super) of_exposed: usize,
    /// Outcomes of other users.
    pub(super) others: usize,
    /// Users with events of guardrails.
    pub(super) guarded: usize,
}

impl Waiting {
    /// Returns the number of all entries.
    pub(super) fn count(self) -> usize {
        self.of_exposed + self.others + self.guarded
    }

    /// Takes the entries of one window out, and adds those that it has after a change.
    pub(super) fn replace(&mut self, before: Self, after: Self) {
        self.of_exposed = self.of_exposed + after.of_exposed - before.of_exposed;
        self.others = self.others + after.others - before.others;
        self.guarded = self.guarded + after.guarded - before.guarded;
    }
}

impl Sum for Waiting {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            of_exposed: sum.of_exposed + one.of_exposed,
            others: sum.others + one.others,
            guarded: sum.guarded + one.guarded,
        })
    }
}

/// Value of an outcome, and its id.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Value in thousandths.
    pub value: u64,
    /// Keyed hash of the id by which an event is recognised when it is sent again.
    pub id: Option<u64>,
}

/// A value that a metric counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueEvent {
    /// Time in seconds since 1970.
    pub(super) at: i64,
    pub(super) amount: Amount,
    /// True if the number of events counts beside their values.
    pub(super) is_counted: bool,
}

/// An outcome of a user.
#[derive(Debug, Clone, Copy)]
struct Noted {
    /// Time in seconds since 1970.
    at: i64,
    /// Value in thousandths; `None` for a conversion.
    value: Option<u64>,
    /// Keyed hash of the event's id; `None` for a conversion, of which only the time counts.
    id: Option<u64>,
}

impl Noted {
    /// Returns the number of entries whose room the outcome takes in a batch.
    fn room(&self) -> usize {
        1 + usize::from(self.id.is_some())
    }
}

/// Returns the number of entries whose room outcomes take in a batch.
fn room_of(noted: &[Noted]) -> usize {
    noted.iter().map(Noted::room).sum()
}

impl Outcomes {
    /// Notes a conversion. The last one of the window counts, unless this is the first one of a user who was exposed before.
    /// Returns false if it takes more than `room` entries.
    pub(super) fn convert(&mut self, key: Key, at: i64, is_first: bool, room: usize) -> bool {
        if let Some(held) = self.by_metric.get_mut(&key).and_then(|noted| noted.first_mut()) {
            held.at = if is_first { at } else { held.at.max(at) };
            return true;
        }
        self.push(key, Noted { at, value: None, id: None }, room)
    }

    /// Notes a value. Values of one second are one sum, unless the number of events counts too. One with an id stays by itself,
    /// and is noted once: the fold leaves out those that other windows and isolates report. Returns false if it takes more than
    /// `room` entries.
    pub(super) fn add_value(&mut self, key: Key, event: ValueEvent, room: usize) -> bool {
        let ValueEvent { at, amount: Amount { value, id }, is_counted } = event;
        if let Some(outcomes) = self.by_metric.get_mut(&key) {
            if id.is_some() && outcomes.iter().any(|held| held.id == id) {
                return true;
            }
            let may_join = !is_counted && id.is_none();
            let same = outcomes.iter_mut().find(|held| may_join && held.id.is_none() && held.at == at);
            if let Some(held) = same {
                held.value = held.value.map(|sum| sum.saturating_add(value));
                return true;
            }
            if outcomes.len() >= MAX_VALUES {
                return true;
            }
        }
        self.push(key, Noted { at, value: Some(value), id }, room)
    }

    fn push(&mut self, key: Key, noted: Noted, room: usize) -> bool {
        let has_room = noted.room() <= room;
        if has_room {
            self.by_metric.entry(key).or_default().push(noted);
            self.room += noted.room();
        }
        has_room
    }

    fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.by_metric.retain(|(user, _), _| is_kept(*user));
        self.room = self.by_metric.values().map(|noted| room_of(noted)).sum();
    }

    fn take(&mut self, taken: &mut Taken, room: &mut usize) {
        while let Some(entry) = self.by_metric.first_entry().filter(|entry| room_of(entry.get()) <= *room) {
            let (key, noted) = entry.remove_entry();
            let taken_room = room_of(&noted);
            *room -= taken_room;
            self.room -= taken_room;
            taken.outcomes.extend(noted.into_iter().map(|noted| (key, noted)));
        }
    }
}

impl Window {
    /// Creates an empty window that is ripe `settle_ms` after its end.
    pub(super) fn new(start: i64, settle_ms: u32) -> Self {
        Self {
            start,
            settle_ms,
            exposures: BTreeMap::new(),
            of_exposed: Outcomes::default(),
            of_others: Outcomes::default(),
            guarded: Guarded::default(),
        }
    }

    /// Returns true if the window is over and every request that began in it has ended.
    pub(super) fn is_ripe(&self, now: i64) -> bool {
        now >= self.start.saturating_add(WINDOW_MS + i64::from(self.settle_ms))
    }

    /// Returns the number of entries.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting {
            of_exposed: self.exposures.len() + self.of_exposed.room,
            others: self.of_others.room,
            guarded: self.guarded.users.len(),
        }
    }

    /// Returns true if there are no entries.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().count() == 0
    }

    /// Notes an exposure to a variant.
    pub(super) fn expose(&mut self, key: Key, at: i64) {
        let first = self.exposures.entry(key).or_insert(at);
        *first = at.min(*first);
    }

    /// Returns the outcomes of a group.
    pub(super) fn outcomes(&mut self, group: Group) -> &mut Outcomes {
        match group {
            Group::Exposed => &mut self.of_exposed,
            Group::Others => &mut self.of_others,
        }
    }

    /// Notes events of guardrails.
    pub(super) fn guard(&mut self, user: u64, event: GuardedUser) {
        self.guarded.add(user, event);
    }

    /// Forgets the events of guardrails.
    pub(super) fn forget_guarded(&mut self) {
        self.guarded.users.clear();
    }

    /// Moves the users with events of guardrails who have the smallest hashes, as many as there is room for.
    pub(super) fn take_guarded(&mut self, taken: &mut Taken, room: &mut usize) {
        taken.guarded.extend(take_first(&mut self.guarded.users, room));
    }

    /// Keeps the users for whom `is_kept` returns true; all of those with events of guardrails stay.
    pub(super) fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.exposures.retain(|(user, _), _| is_kept(*user));
        self.of_exposed.retain(&is_kept);
        self.of_others.retain(&is_kept);
    }

    /// Moves the entries of a group with the smallest hashes, as many as there is room for.
    pub(super) fn take(&mut self, group: Group, taken: &mut Taken, room: &mut usize) {
        if group == Group::Exposed {
            taken.exposures.extend(take_first(&mut self.exposures, room));
        }
        self.outcomes(group).take(taken, room);
    }
}

/// Entries of a part, whose times are not relative yet.
#[derive(Default)]
pub(super) struct Taken {
    exposures: Vec<(Key, i64)>,
    outcomes: Vec<(Key, Noted)>,
    guarded: Vec<(u64, GuardedUser)>,
}

impl Taken {
    /// Returns the time of the first entry, in seconds since 1970; `None` if there is none.
    pub(super) fn since(&self) -> Option<i64> {
        let exposed = self.exposures.iter().map(|(_, at)| *at);
        let noted = self.outcomes.iter().map(|(_, noted)| noted.at);
        exposed.chain(noted).chain(self.guarded.iter().map(|(_, event)| event.at)).min()
    }

    /// Fills an empty part, whose `since` is that of the entries.
    pub(super) fn into_part(self, part: ExperimentPart) -> ExperimentPart {
        let since = part.since;
        let after = |at: i64| u32::try_from(at - since).unwrap_or(u32::MAX);
        let exposure = |((user, variant), at): (Key, i64)| Exposure { user, variant, after_s: after(at) };
        let outcome = |((user, metric), noted): (Key, Noted)| UserOutcome {
            user,
            metric,
            after_s: after(noted.at),
            value: noted.value,
            id: noted.id,
        };
        let guardrail = |(user, event): (u64, GuardedUser)| GuardrailEvent {
            user,
            variant: event.variant,
            metrics: event.metrics.bits(),
            after_s: after(event.at),
        };
        ExperimentPart {
            exposures: self.exposures.into_iter().map(exposure).collect(),
            outcomes: self.outcomes.into_iter().map(outcome).collect(),
            guardrails: self.guarded.into_iter().map(guardrail).collect(),
            ..part
        }
    }
}
