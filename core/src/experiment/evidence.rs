//! Evidence of a phase: its users, as far as they are remembered, and the figures over all of them.
//!
//! Users of all variants are in one map, so that thinning leaves out the same range of hashes for each. Only exposed users thin
//! it: events of others, which anybody can send, have room of their own, and the oldest of them are dropped. A user is added to
//! the figures once. One whom thinning forgets stays in them; one who is seen in another variant later is taken out of them.
//! Within one tick the result does not depend on the order in which things arrived.

use crate::{
    experiment::{
        arrivals::Arrivals,
        design::Design,
        figures::{Change, Figures},
        guardrails::{GuardrailFigures, GuardrailUsers, LIVE_PERIODS},
        user::{Event, ExperimentUser},
    },
    measurement::experiments::ExperimentPart,
    rules::experiment::metric::{Metric, MetricKind},
    statistics::UserMap,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Capacity of evidence for which no other one is configured (ADR 36).
pub const DEFAULT_CAPACITY: u32 = 16_384;

/// Bytes of a document for each user, event that waits and id of an event, for each metric of a user, for each metric of a variant in each of
/// the two lists of sums, and for all else.
const USER_BYTES: usize = 64;
const USER_METRIC_BYTES: usize = 70;
const SUMS_BYTES: usize = 400;
const OTHER_BYTES: usize = 1_024;

/// Bytes of a document for each user with an event of a guardrail in a period, and for each metric of a variant in it.
const GUARDED_BYTES: usize = 40;
const GUARDED_SUM_BYTES: usize = 21;

/// Evidence of one phase of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Most exposed users, and events of them that wait, and ids of their events together which are kept after a tick. A
    /// quarter of it is for users who are not known to be exposed, with theirs.
    capacity: u32,
    users: UserMap<ExperimentUser>,
    figures: Figures,
    /// Users with events of guardrails, at most a quarter of the capacity in each period.
    #[serde(default, skip_serializing_if = "GuardrailUsers::is_blank")]
    guarded: GuardrailUsers,
}

/// News of one user in a tick.
#[derive(Default)]
struct News {
    /// Variants with the times of the exposures.
    exposures: Vec<(u8, i64)>,
    events: Vec<Event>,
}

impl Evidence {
    /// Creates empty evidence that remembers at most `capacity` users.
    pub fn none(design: &Design, capacity: u32) -> Self {
        Self {
            capacity,
            users: UserMap::default(),
            figures: Figures::of_nobody(design.variants.len(), &design.metrics),
            guarded: GuardrailUsers::default(),
        }
    }

    /// Judges guardrails by periods too, from the first user on. `began` is the start of the phase, in seconds since
    /// 1970.
    #[must_use]
    pub fn guarded_since(mut self, began: i64) -> Self {
        self.figures.guardrails = Some(GuardrailFigures::since(began));
        self
    }

    /// Returns the largest document of evidence, in bytes of JSON.
    pub fn max_bytes(capacity: u32, variants: usize, metrics: usize) -> usize {
        let exposed = (capacity as usize).saturating_mul(USER_BYTES + metrics * USER_METRIC_BYTES);
        let users = exposed.saturating_add(quarter_of(capacity) * USER_BYTES);
        let guarded = quarter_of(capacity) * GUARDED_BYTES + variants * metrics * GUARDED_SUM_BYTES;
        let users = users.saturating_add(usize::from(LIVE_PERIODS) * guarded);
        users.saturating_add(2 * variants * (USER_BYTES + metrics * SUMS_BYTES)).saturating_add(OTHER_BYTES)
    }

    /// Returns the figures.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Returns the bound below which the hashes of users are admitted.
    pub fn theta(&self) -> u64 {
        self.users.theta()
    }

    /// Returns the most users that are remembered.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns the share of all hashes that are admitted: that of the users whose later events count.
    pub fn remembered_share(&self) -> f64 {
        self.users.theta() as f64 / u64::MAX as f64
    }

    /// Returns the number of users that are remembered.
    pub fn remembered(&self) -> usize {
        self.users.len()
    }

    /// Returns true if both remember the same users with the same outcomes, whatever their figures.
    pub fn remembers_same(&self, other: &Self) -> bool {
        self.users == other.users
    }

    /// Leaves out the users with this hash and more from now on. Figures keep those who were added.
    pub fn lower(&mut self, theta: u64) {
        self.users.lower(theta);
    }

    /// Leaves half of everybody who is remembered out from now on. Figures keep those who were added. Returns false if
    /// nobody is remembered.
    pub fn halve(&mut self) -> bool {
        let has_users = !self.users.is_empty() || !self.guarded.is_empty();
        self.lower(self.theta() / 2);
        self.guarded.halve();
        has_users
    }

    /// Forgets everybody who is remembered, so that nothing more can be counted. Figures keep those who were added, and
    /// the bound of the hashes stays. Returns false if nobody is remembered.
    pub(crate) fn forget_users(&mut self) -> bool {
        let has_users = !self.users.is_empty() || !self.guarded.is_blank();
        self.users.retain(|_| false);
        self.guarded = GuardrailUsers::default();
        has_users
    }

    /// Counts entries that belong to no phase that is known, or to another one.
    pub fn note_unknown(&mut self, entries: u64) {
        self.figures.unknown = self.figures.unknown.saturating_add(entries);
    }

    /// Adds everything that arrived in a tick. `now` is the time of the tick, in seconds since 1970: everything that came before
    /// it was read.
    pub fn fold(&mut self, design: &Design, arrivals: &Arrivals, now: i64) {
        self.fold_through(design, arrivals, now, now);
    }

    /// Adds everything that arrived until `now`, and settles what was decided by the time `through` which everything was read, both
    /// in seconds since 1970. What is not read yet may hold the exposure of an event, or the conversion of a user.
    pub fn fold_through(&mut self, design: &Design, arrivals: &Arrivals, now: i64, through: i64) {
        for part in arrivals.parts() {
            // Users whom an isolate left out must not be counted by another one without their outcomes.
            self.lower(part.theta);
            self.figures.without_room = self.figures.without_room.saturating_add(part.lost);
        }
        let mut news = BTreeMap::new();
        for part in arrivals.parts() {
            self.figures.unknown = self.figures.unknown.saturating_add(learn(&mut news, part, design, now));
        }
        for (hash, news) in news {
            self.add(design, hash, &news);
        }
        self.settle(design, through);
        self.drop_others();
        self.thin();
        let Self { guarded, figures, capacity, .. } = self;
        if let Some(guardrails) = &mut figures.guardrails {
            let unknown = guarded.fold(guardrails, design, (arrivals, now), quarter_of(*capacity));
            figures.unknown = figures.unknown.saturating_add(unknown);
        }
    }

    fn add(&mut self, design: &Design, hash: u64, news: &News) {
        let Self { users, figures, .. } = self;
        let Some((user, _)) = users.get_mut_or_insert(hash, ExperimentUser::default()) else { return };
        figures.change(user, design, Change::Remove);
        for (variant, at) in &news.exposures {
            user.expose(*variant, *at);
        }
        user.observe(&news.events, &design.rules);
        figures.change(user, design, Change::Add);
    }

    /// Counts what time alone decides: windows that are over, and events that have waited long enough.
    fn settle(&mut self, design: &Design, now: i64) {
        let Self { users, figures, .. } = self;
        let rules = &design.rules;
        for user in users.values_mut() {
            let settled = user.settle(rules, now);
            figures.before_exposure = figures.before_exposure.saturating_add(settled);
            if user.matures(rules, now) {
                figures.change_matured(user, design, Change::Add);
            }
        }
        // Such users are in no figure.
        users.retain(|user| !user.is_blank());
    }

    /// Drops users who are not known to be exposed, those with the oldest news first, until the others fit. That leaves out
    /// nobody of a variant, and no exposure that is learned later.
    fn drop_others(&mut self) {
        let Self { users, figures, capacity, .. } = self;
        let others = users.iter().filter(|(_, user)| !user.is_exposed());
        let mut others: Vec<(Option<i64>, u64, usize)> =
            others.map(|(hash, user)| (user.latest_waiting(), hash, entries(user))).collect();
        // The newest first. Hashes are random, so they favour nobody.
        others.sort_unstable_by(|one, other| other.cmp(one));
        let mut held = 0;
        for (_, hash, own) in others {
            held += own;
            if held > quarter_of(*capacity)
                && let Some(user) = users.remove(hash)
            {
                figures.without_room = figures.without_room.saturating_add(user.events_aside() as u64);
            }
        }
    }

    fn thin(&mut self) {
        let of_exposed = |users: &UserMap<ExperimentUser>| -> usize {
            users.values().filter(|user| user.is_exposed()).map(entries).sum()
        };
        while of_exposed(&self.users) > self.capacity as usize {
            self.users.lower(self.users.theta() / 2);
        }
    }
}

/// Returns the entries for users who are not known to be exposed, beside the capacity, and for those of a period of
/// guardrails.
pub(crate) fn quarter_of(capacity: u32) -> usize {
    capacity as usize / 4
}

/// Returns the number of entries that a user takes: the user, and what waits.
fn entries(user: &ExperimentUser) -> usize {
    1 + user.waiting()
}

impl Figures {
    /// Adds a user, or takes the user out as the user was added.
    fn change(&mut self, user: &ExperimentUser, design: &Design, change: Change) {
        change.users(&mut self.crossed, user.is_crossed());
        let place = user.variant().and_then(|variant| self.running.get_mut(usize::from(variant)));
        if let Some(sums) = place {
            sums.change(user.running(&design.metrics), change);
        }
        if user.is_matured() {
            self.change_matured(user, design, change);
        }
    }

    fn change_matured(&mut self, user: &ExperimentUser, design: &Design, change: Change) {
        let place = user.variant().and_then(|variant| self.matured.get_mut(usize::from(variant)));
        if let Some(sums) = place {
            sums.change(user.final_outcomes(&design.metrics, &design.rules), change);
        }
    }
}

/// Sorts the entries of a part by their users. Returns the number of those that the design does not know.
fn learn(news: &mut BTreeMap<u64, News>, part: &ExperimentPart, design: &Design, now: i64) -> u64 {
    let mut unknown = 0;
    // Nothing happens after its report arrived; a wrong clock must not delay it for ever.
    let time = |after_s: u32| part.since.saturating_add(i64::from(after_s)).min(now);
    for exposure in &part.exposures {
        if usize::from(exposure.variant) < design.variants.len() {
            let user: &mut News = news.entry(exposure.user).or_default();
            user.exposures.push((exposure.variant, time(exposure.after_s)));
        } else {
            unknown += 1;
        }
    }
    for outcome in &part.outcomes {
        match design.metrics.get(usize::from(outcome.metric)) {
            Some(metric) => {
                let value = value_of(metric, outcome.value.unwrap_or_default());
                let event =
                    Event { metric: outcome.metric, at: time(outcome.after_s), value, id: outcome.id };
                news.entry(outcome.user).or_default().events.push(event);
            }
            None => unknown += 1,
        }
    }
    unknown
}

/// Returns the value of one event that counts. The values of a user are capped together.
fn value_of(metric: &Metric, value: u64) -> u64 {
    match metric.kind {
        MetricKind::Conversion => 0,
        MetricKind::Value => value,
        MetricKind::Ratio => value.min(metric.cap.unwrap_or(u64::MAX)),
    }
}
