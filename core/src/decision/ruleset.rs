//! The ruleset: a snapshot compiled so that a decision costs the same with ten flags and with ten
//! thousand.

use crate::{
    adapter::{Adapter, Program},
    decision::{
        counted::CountedExperiment,
        input::Input,
        route::{CompiledOrigin, CompiledRoute},
        turns::Turns,
    },
    limit::CompiledLimit,
    measurement::{answer::Brake, label::CanaryLabel, user_hash::UserKey},
    request::{facts::Facts, identity::Source},
    routing::table::RouteTable,
    rules::{
        condition::compiled::CompiledCondition,
        emergency::Emergency,
        experiment::compiled::CompiledExperiment,
        flag::{CompiledFlag, FlagLimit},
    },
    values::{access::Access, compiled::CompiledValueFlag, segment::CompiledSegment},
    vocabulary::revision::Revision,
};
use std::sync::Arc;

/// A compiled [`Snapshot`](crate::Snapshot): everything needed to decide a request, at one revision.
#[derive(Debug)]
pub struct Ruleset {
    pub(super) revision: Revision,
    pub(super) flags: Vec<CompiledFlag>,
    pub(super) origins: Vec<CompiledOrigin>,
    pub(super) routes: Vec<CompiledRoute>,
    pub(super) table: RouteTable,
    pub(super) inputs: Vec<Input>,
    pub(super) adapters: Vec<Arc<Adapter>>,
    pub(super) canaries: Canaries,
    pub(super) experiments: Vec<Arc<CompiledExperiment>>,
    /// Experiments whose users are counted, sorted by name.
    pub(super) counted: Vec<CountedExperiment>,
    /// Flags with values, sorted by name.
    pub(super) values: Vec<CompiledValueFlag>,
    /// Segments, sorted by name.
    pub(super) segments: Vec<CompiledSegment>,
    /// See [`Ruleset::written_bytes`].
    pub(super) written_bytes: usize,
    pub(super) access: Option<Access>,
    /// Policies of rate limits, sorted by name.
    pub(super) limits: Vec<CompiledLimit>,
    pub(super) turns: Turns,
}

/// The adapter of a route for a request.
#[derive(Debug, Clone, Copy)]
pub enum AdapterChoice<'r> {
    /// No adapter of the route is for the version of the request: the new backend serves the client's
    /// interface itself.
    Unneeded,
    /// The adapters for the version of the request have no route for it.
    Unadapted,
    /// The adapter that serves the request, with its position in [`Ruleset::adapters`].
    Adapter(usize, &'r Arc<Adapter>),
}

/// The active canaries, by the positions of their flags.
#[derive(Debug)]
pub(super) struct Canaries(Vec<Option<ActiveCanary>>);

/// The label of a canary, with its key parsed.
#[derive(Debug)]
struct ActiveCanary {
    label: CanaryLabel,
    key: Option<UserKey>,
}

impl FromIterator<Option<CanaryLabel>> for Canaries {
    fn from_iter<I: IntoIterator<Item = Option<CanaryLabel>>>(labels: I) -> Self {
        let active = |label: CanaryLabel| {
            let key = label.key.as_deref().and_then(UserKey::parse);
            ActiveCanary { label, key }
        };
        Self(labels.into_iter().map(|label| label.map(active)).collect())
    }
}

impl Ruleset {
    /// Returns the revision of the snapshot.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The origins, sorted by name.
    pub fn origins(&self) -> &[CompiledOrigin] {
        &self.origins
    }

    /// The flags, sorted by name.
    pub fn flags(&self) -> &[CompiledFlag] {
        &self.flags
    }

    /// Returns the experiment with this name.
    pub fn experiment(&self, name: &str) -> Option<&CompiledExperiment> {
        let index =
            self.experiments.binary_search_by(|experiment| experiment.name.as_str().cmp(name)).ok()?;
        self.experiments.get(index).map(Arc::as_ref)
    }

    /// Returns the experiments, sorted by name.
    pub fn experiments(&self) -> impl Iterator<Item = &CompiledExperiment> {
        self.experiments.iter().map(Arc::as_ref)
    }

    /// Returns true if users are assigned to some experiment.
    pub fn has_running_experiments(&self) -> bool {
        self.experiments().any(CompiledExperiment::is_running)
    }

    /// Returns the callers that may evaluate flags; `None` if there is no endpoint for evaluations.
    pub fn access(&self) -> Option<&Access> {
        self.access.as_ref()
    }

    /// The policies of rate limits, sorted by name.
    pub fn limits(&self) -> &[CompiledLimit] {
        &self.limits
    }

    /// The experiments whose users are counted, sorted by name.
    pub fn counted(&self) -> &[CountedExperiment] {
        &self.counted
    }

    /// Returns an experiment whose users are counted, with its position in [`Ruleset::counted`].
    pub fn counted_at(&self, name: &str) -> Option<(usize, &CountedExperiment)> {
        let position = self.counted.binary_search_by(|counted| counted.name.as_str().cmp(name)).ok()?;
        Some((position, self.counted.get(position)?))
    }

    /// The routes, in the order of the snapshot.
    pub fn routes(&self) -> &[CompiledRoute] {
        &self.routes
    }

    /// The adapters, sorted by name.
    pub fn adapters(&self) -> &[Arc<Adapter>] {
        &self.adapters
    }

    /// Returns the adapter of a route that serves a request: the first that matches the version of the
    /// request and has a route for it.
    pub fn adapter_for(&self, route: &CompiledRoute, facts: &Facts<'_>) -> AdapterChoice<'_> {
        let is_meant = |adapter: &Adapter| {
            let version = adapter.program.version.as_ref();
            version.is_none_or(|version| version.selects(facts.header(&version.header)))
        };
        let mut choice = AdapterChoice::Unneeded;
        for (position, adapter) in self.adapters_of(route).filter(|(_, adapter)| is_meant(adapter)) {
            if adapter.has_route(facts.method, facts.path) {
                return AdapterChoice::Adapter(position, adapter);
            }
            choice = AdapterChoice::Unadapted;
        }
        choice
    }

    fn adapters_of(&self, route: &CompiledRoute) -> impl Iterator<Item = (usize, &Arc<Adapter>)> {
        route.adapt.iter().filter_map(|index| Some((*index, self.adapters.get(*index)?)))
    }

    /// Returns the headers that the adapters of a route read, in the order in which they are passed
    /// on.
    pub fn headers_for(&self, route: &CompiledRoute) -> Vec<&str> {
        self.of_adapters(route, |program| &program.reads)
    }

    /// Returns the token claims that the adapters of a route read.
    pub fn claims_for(&self, route: &CompiledRoute) -> Vec<&str> {
        self.of_adapters(route, |program| &program.claims)
    }

    fn of_adapters(&self, route: &CompiledRoute, names: impl Fn(&Program) -> &Vec<String>) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for (_, adapter) in self.adapters_of(route) {
            for name in names(&adapter.program) {
                if !all.contains(&name.as_str()) {
                    all.push(name);
                }
            }
        }
        all
    }

    /// Returns the label of a flag's canary, by the flag's position; `None` if no canary is active.
    pub fn canary(&self, flag: usize) -> Option<&CanaryLabel> {
        self.active_canary(flag).map(|canary| &canary.label)
    }

    /// Returns the key by which the users of a flag's canary are hashed, by the flag's position;
    /// `None` if no canary is active, or its label has no valid key.
    pub(crate) fn user_key(&self, flag: usize) -> Option<UserKey> {
        self.active_canary(flag)?.key
    }

    fn active_canary(&self, flag: usize) -> Option<&ActiveCanary> {
        self.canaries.0.get(flag)?.as_ref()
    }

    /// Returns the longest time limit of an origin that serves a flag, by the flag's position, in
    /// milliseconds; 0 if no route has the flag.
    pub fn longest_timeout_ms(&self, flag: usize) -> u32 {
        let routes = self.routes.iter().filter(|route| route.flag == Some(flag));
        let origins = routes.flat_map(|route| [route.legacy, route.new]);
        origins.map(|origin| self.limit_ms(origin)).max().unwrap_or_default()
    }

    /// Returns the longest time that an origin and its secondary have for a response, one after the other, by the
    /// origin's position, in milliseconds.
    fn limit_ms(&self, origin: usize) -> u32 {
        let Some(origin) = self.origins.get(origin) else { return 0 };
        let secondary = origin.failover.as_ref().and_then(|failover| self.origins.get(failover.secondary?));
        origin.timeout_ms.saturating_add(secondary.map_or(0, |secondary| secondary.timeout_ms))
    }

    /// Returns the longest time limit of all origins, in milliseconds.
    pub fn longest_timeout_of_all_ms(&self) -> u32 {
        (0..self.origins.len()).map(|origin| self.limit_ms(origin)).max().unwrap_or_default()
    }

    /// Applies emergencies in place of the snapshot's: holds the flags that one of them covers on legacy and releases all
    /// others.
    pub fn declare<'e>(&self, emergencies: impl IntoIterator<Item = &'e Emergency>) {
        let emergencies: Vec<&Emergency> = emergencies.into_iter().collect();
        for flag in &self.flags {
            flag.set_emergency(emergencies.iter().any(|emergency| emergency.covers(&flag.name)));
        }
    }

    /// Lowers flags to the least of their own state and of all given brakes, in place of the brakes before.
    pub fn brake<'b>(&self, brakes: impl IntoIterator<Item = &'b Brake>) {
        self.flags.iter().for_each(CompiledFlag::release);
        for brake in brakes {
            if let Some(flag) = self.flag(brake.flag.as_str()) {
                flag.lower(FlagLimit { enabled: brake.enabled, rollout: brake.rollout });
            }
        }
    }

    /// Returns the inputs that some route needs.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Returns the header whose presence makes the cookies of a request irrelevant: every route
    /// takes the user id from it first, and neither a condition nor an adapter reads a cookie.
    /// Reading cookies is expensive at the edge, and most requests have the header.
    pub fn cookies_unless(&self) -> Option<&str> {
        let mut of_experiments = self.experiments.iter().flat_map(|experiment| experiment.conditions());
        if of_experiments.any(CompiledCondition::reads_cookies) {
            return None;
        }
        let mut first: Option<&str> = None;
        for route in &self.routes {
            let Some(Source::Header(name)) = route.identity.first() else { return None };
            let conditions = self.flag_at(route.flag).map(CompiledFlag::conditions).unwrap_or_default();
            let looks_at_cookies = conditions.iter().any(CompiledCondition::reads_cookies);
            let is_adapted_by_cookies = || {
                let mut adapters = self.adapters_of(route);
                adapters.any(|(_, adapter)| adapter.program.reads.iter().any(|name| name == "cookie"))
            };
            if looks_at_cookies || is_adapted_by_cookies() || first.is_some_and(|first| *first != **name) {
                return None;
            }
            first = Some(name);
        }
        first
    }

    /// Returns the route of a request.
    pub fn route(&self, method: &str, path: &str) -> Option<&CompiledRoute> {
        self.route_at(method, path).map(|(_, route)| route)
    }

    /// Returns the route of a request, with its position.
    pub(crate) fn route_at(&self, method: &str, path: &str) -> Option<(usize, &CompiledRoute)> {
        self.table.find(method, path).and_then(|index| Some((index, self.routes.get(index)?)))
    }

    /// Returns the flag with this name.
    pub fn flag(&self, name: &str) -> Option<&CompiledFlag> {
        self.flag_at(self.flags.binary_search_by(|flag| flag.name.as_str().cmp(name)).ok())
    }

    pub(crate) fn flag_at(&self, position: Option<usize>) -> Option<&CompiledFlag> {
        position.and_then(|index| self.flags.get(index))
    }
}
