//! The users of an experiment in one event window, and the part of a batch that is made of them.

use crate::counting::users::take_first;
use cutover_core::measurement::{
    batch::WINDOW_MS,
    experiments::{ExperimentPart, Exposure, UserOutcome},
};
use std::collections::BTreeMap;

/// Most values of one user for one metric in one event window. Those beyond them are left out.
const MAX_VALUES: usize = 64;

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
    /// Outcomes by metric.
    outcomes: BTreeMap<Key, Vec<Noted>>,
    /// Number of outcomes.
    noted: usize,
}

/// An outcome of a user.
#[derive(Debug, Clone, Copy)]
struct Noted {
    /// Time in seconds since 1970.
    at: i64,
    /// Value in thousandths; `None` for a conversion.
    value: Option<u64>,
}

impl Window {
    /// Creates an empty window that is ripe `settle_ms` after its end.
    pub(super) fn new(start: i64, settle_ms: u32) -> Self {
        Self { start, settle_ms, exposures: BTreeMap::new(), outcomes: BTreeMap::new(), noted: 0 }
    }

    /// Returns true if the window is over and every request that began in it has ended.
    pub(super) fn is_ripe(&self, now: i64) -> bool {
        now >= self.start.saturating_add(WINDOW_MS + i64::from(self.settle_ms))
    }

    /// Returns the number of entries.
    pub(super) fn count(&self) -> usize {
        self.exposures.len() + self.noted
    }

    /// Returns true if there are no entries.
    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Notes an exposure to a variant.
    pub(super) fn expose(&mut self, key: Key, at: i64) {
        let first = self.exposures.entry(key).or_insert(at);
        *first = at.min(*first);
    }

    /// Notes a conversion. The last one of the window counts.
    pub(super) fn convert(&mut self, key: Key, at: i64) {
        let outcomes = self.outcomes.entry(key).or_default();
        if let Some(held) = outcomes.first_mut() {
            held.at = held.at.max(at);
        } else {
            outcomes.push(Noted { at, value: None });
            self.noted += 1;
        }
    }

    /// Notes a value. Values of one second are one sum, unless the number of events counts too.
    pub(super) fn add_value(&mut self, key: Key, at: i64, value: u64, are_counted: bool) {
        let outcomes = self.outcomes.entry(key).or_default();
        let same = outcomes.iter_mut().find(|held| !are_counted && held.at == at);
        if let Some(held) = same {
            held.value = held.value.map(|sum| sum.saturating_add(value));
        } else if outcomes.len() < MAX_VALUES {
            outcomes.push(Noted { at, value: Some(value) });
            self.noted += 1;
        }
    }

    /// Keeps the users for whom `is_kept` returns true.
    pub(super) fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.exposures.retain(|(user, _), _| is_kept(*user));
        self.outcomes.retain(|(user, _), _| is_kept(*user));
        self.noted = self.outcomes.values().map(Vec::len).sum();
    }

    /// Moves the entries with the smallest hashes, as many as there is room for.
    pub(super) fn take(&mut self, taken: &mut Taken, room: &mut usize) {
        taken.exposures.extend(take_first(&mut self.exposures, room));
        while let Some(entry) = self.outcomes.first_entry().filter(|entry| entry.get().len() <= *room) {
            let (key, noted) = entry.remove_entry();
            *room -= noted.len();
            self.noted -= noted.len();
            taken.outcomes.extend(noted.into_iter().map(|noted| (key, noted)));
        }
    }
}

/// Entries of a part, whose times are not relative yet.
#[derive(Default)]
pub(super) struct Taken {
    exposures: Vec<(Key, i64)>,
    outcomes: Vec<(Key, Noted)>,
}

impl Taken {
    /// Returns the time of the first entry, in seconds since 1970; `None` if there is none.
    pub(super) fn since(&self) -> Option<i64> {
        let exposed = self.exposures.iter().map(|(_, at)| *at);
        exposed.chain(self.outcomes.iter().map(|(_, noted)| noted.at)).min()
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
        };
        let exposures = self.exposures.into_iter().map(exposure).collect();
        let outcomes = self.outcomes.into_iter().map(outcome).collect();
        ExperimentPart { exposures, outcomes, ..part }
    }
}
