//! Compiles a snapshot to a ruleset.

use crate::{
    adapter::{Adapter, InvalidProgram, Program},
    decision::{
        counted::CountedExperiment,
        input::{Input, add, input_of_key, inputs_of},
        route::{CompiledFailover, CompiledOrigin, CompiledRoute},
        ruleset::Ruleset,
        turns::Turns,
    },
    limit::CompiledLimit,
    measurement::label::ExperimentLabel,
    routing::table::{InvalidRoute, RouteTable},
    rules::{
        condition::compiled::{CompiledCondition, InvalidCondition, InvalidConditions},
        experiment::{
            compiled::{CompiledExperiment, InvalidExperiment},
            document::Experiment,
        },
        flag::{CompiledFlag, Flag},
        origin::{Failover, Origin, OriginOptions},
        route::Route,
    },
    snapshot::{Snapshot, SnapshotError},
    values::{
        compiled::{CompiledValueFlag, InvalidValueFlag, References, compile_segments},
        document::ValueFlag,
        segment::CompiledSegment,
    },
    vocabulary::names::{AdapterName, ExperimentName, FlagName, LimitName, OriginName, RouteId, SegmentName},
};
use std::sync::Arc;

/// Error for a snapshot that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A condition of a flag is invalid.
    #[error("condition {position} of flag {flag}: {error}")]
    Condition {
        /// The flag that has the condition.
        flag: FlagName,
        /// Position of the condition, from 0.
        position: usize,
        /// The error of the condition.
        error: InvalidCondition,
    },
    /// An experiment is invalid.
    #[error("experiment {experiment}: {error}")]
    Experiment {
        /// The rejected experiment.
        experiment: ExperimentName,
        /// The error of the experiment.
        error: InvalidExperiment,
    },
    /// A flag with values is invalid.
    #[error("flag {flag}: {error}")]
    ValueFlag {
        /// The rejected flag.
        flag: FlagName,
        /// The error of the flag.
        error: InvalidValueFlag,
    },
    /// A condition of a segment is invalid.
    #[error("segment {segment}: {error}")]
    Segment {
        /// The segment that has the condition.
        segment: SegmentName,
        /// The error of its conditions.
        error: InvalidConditions,
    },
    /// The pattern of a route is invalid or claimed by another route.
    #[error("route {}: {error}", route.as_ref().map_or("", RouteId::as_str))]
    Route {
        /// The rejected route.
        route: Option<RouteId>,
        /// The error of its pattern.
        error: InvalidRoute,
    },
    /// The program of an adapter cannot be run.
    #[error("adapter {adapter}: {error}")]
    Adapter {
        /// The rejected adapter.
        adapter: AdapterName,
        /// The error of its program.
        error: InvalidProgram,
    },
    /// A route names an adapter that does not exist.
    #[error("route {route} names the adapter {adapter}, which does not exist")]
    UnknownAdapter {
        /// The route with the reference.
        route: RouteId,
        /// The missing adapter.
        adapter: AdapterName,
    },
    /// A route names a rate limit that does not exist.
    #[error("route {route} names the limit {limit}, which does not exist")]
    UnknownLimit {
        /// The route with the reference.
        route: RouteId,
        /// The missing limit.
        limit: LimitName,
    },
    /// A route names an origin that does not exist.
    #[error("route {route} names the origin {origin}, which does not exist")]
    UnknownOrigin {
        /// The route with the reference.
        route: RouteId,
        /// The missing origin.
        origin: OriginName,
    },
}

/// Error for a document that an edge would not put in force.
#[derive(Debug, thiserror::Error)]
pub enum UnusableDocument {
    /// The document is damaged or of another format.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The document is intact, but its rules do not compile.
    #[error(transparent)]
    Rules(#[from] CompileError),
}

/// Bytes of a flag of routes in [`Ruleset::written_bytes`], without its name: those of
/// `{"key":"","variant":"legacy","value":false,"reason":"`.
const ROUTING_BYTES: usize = 53;

impl Ruleset {
    /// Reads a document as the edge does. Whoever publishes one tries this first: an edge that cannot read a document
    /// keeps the one before, and every later change with it.
    ///
    /// # Errors
    ///
    /// Fails if the document cannot be decoded, or its snapshot not be compiled.
    pub fn from_document(text: &str) -> Result<Self, UnusableDocument> {
        Ok(Self::compile(&Snapshot::decode(text)?)?)
    }

    /// Compiles a snapshot.
    ///
    /// # Errors
    ///
    /// Fails if a condition, an experiment, a flag with values, a segment, a route's pattern or an adapter is invalid, or if a route refers to an
    /// adapter or origin that does not exist. An unknown flag is no error: its routes go to legacy.
    pub fn compile(snapshot: &Snapshot) -> Result<Self, CompileError> {
        let experiments = compile_experiments(snapshot)?;
        let flags = compile_flags(snapshot, &experiments)?;
        let (segments, values) = compile_values(snapshot, &flags)?;
        let turns = Turns::new(conditions(&flags, &experiments, &segments, &values), &values);
        let adapters = compile_adapters(snapshot)?;
        let origins = compile_origins(snapshot);
        let limits: Vec<_> =
            snapshot.limits.iter().map(|(name, policy)| CompiledLimit::new(name, policy)).collect();
        let compiled = Compiled {
            flags: &flags,
            origins: &origins,
            adapters: &adapters,
            experiments: &experiments,
            limits: &limits,
        };
        let routes = snapshot
            .routes
            .iter()
            .map(|route| compiled.route(snapshot, route))
            .collect::<Result<Vec<_>, _>>()?;
        let table = compile_table(snapshot)?;
        let mut inputs = Vec::new();
        routes.iter().flat_map(|route| &route.inputs).for_each(|input| add(&mut inputs, input.clone()));
        let canaries = flags.iter().map(|flag| snapshot.canaries.get(&flag.name).cloned()).collect();
        let revision = snapshot.revision;
        let routing = flags.iter().map(|flag| flag.name.as_str().len() + ROUTING_BYTES).sum::<usize>();
        let written_bytes = values.iter().map(CompiledValueFlag::longest_written).sum::<usize>() + routing;
        Ok(Self {
            revision,
            flags,
            origins,
            routes,
            table,
            inputs,
            adapters,
            canaries,
            experiments,
            counted: compile_counted(snapshot),
            values,
            segments,
            written_bytes,
            access: snapshot.ofrep.clone(),
            limits,
            turns,
        })
    }
}

/// Compiles the experiments, in the order of their names.
fn compile_experiments(snapshot: &Snapshot) -> Result<Vec<Arc<CompiledExperiment>>, CompileError> {
    let compile = |(name, experiment): (&ExperimentName, &Experiment)| {
        let compiled = CompiledExperiment::new(name, experiment, &snapshot.holdouts);
        compiled.map(Arc::new).map_err(|error| CompileError::Experiment { experiment: name.clone(), error })
    };
    snapshot.experiments.iter().map(compile).collect()
}

/// Compiles the experiments whose users are counted, in the order of their names.
fn compile_counted(snapshot: &Snapshot) -> Vec<CountedExperiment> {
    let compile = |(name, label): (&ExperimentName, &ExperimentLabel)| {
        CountedExperiment::new(name, snapshot.experiments.get(name)?, label, &snapshot.routes)
    };
    snapshot.experiment_labels.iter().filter_map(compile).collect()
}

/// Compiles the flags, in the order of their names, each with the experiment that owns it. The owner of a flag that does
/// not exist decides nothing.
fn compile_flags(
    snapshot: &Snapshot,
    experiments: &[Arc<CompiledExperiment>],
) -> Result<Vec<CompiledFlag>, CompileError> {
    let covered =
        |name: &FlagName| snapshot.emergency.as_ref().is_some_and(|emergency| emergency.covers(name));
    let compile = |(name, flag): (&FlagName, &Flag)| {
        CompiledFlag::new(name, flag, covered(name)).map_err(|InvalidConditions { position, error }| {
            CompileError::Condition { flag: name.clone(), position, error }
        })
    };
    let mut flags = snapshot.flags.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
    for experiment in experiments {
        let Some(owned) = experiment.owned_flag() else { continue };
        let index = flags.binary_search_by(|flag| flag.name.cmp(owned)).ok();
        if let Some(flag) = index.and_then(|index| flags.get_mut(index)) {
            flag.give_to(experiment);
        }
    }
    Ok(flags)
}

/// Compiles the segments and the flags with values, in the order of their names.
fn compile_values(
    snapshot: &Snapshot,
    routing: &[CompiledFlag],
) -> Result<(Vec<CompiledSegment>, Vec<CompiledValueFlag>), CompileError> {
    let segments = compile_segments(&snapshot.segments)
        .map_err(|(segment, error)| CompileError::Segment { segment, error })?;
    let references = References { flags: &snapshot.values, routing, segments: &segments };
    let compile = |(name, flag): (&FlagName, &ValueFlag)| {
        CompiledValueFlag::new(name, flag, &references)
            .map_err(|error| CompileError::ValueFlag { flag: name.clone(), error })
    };
    let values = snapshot.values.iter().map(compile).collect::<Result<_, _>>()?;
    Ok((segments, values))
}

/// Iterates over the conditions that evaluations can depend on.
fn conditions<'c>(
    flags: &'c [CompiledFlag],
    experiments: &'c [Arc<CompiledExperiment>],
    segments: &'c [CompiledSegment],
    values: &'c [CompiledValueFlag],
) -> impl Iterator<Item = &'c CompiledCondition> {
    let of_flags = flags.iter().flat_map(CompiledFlag::conditions);
    let of_experiments = experiments.iter().flat_map(|experiment| experiment.conditions());
    let of_segments = segments.iter().flat_map(CompiledSegment::conditions);
    let of_values = values.iter().flat_map(CompiledValueFlag::conditions);
    of_flags.chain(of_experiments).chain(of_segments).chain(of_values)
}

/// Compiles the origins, in the order of their names.
fn compile_origins(snapshot: &Snapshot) -> Vec<CompiledOrigin> {
    let compile = |(name, origin): (&OriginName, &Origin)| CompiledOrigin {
        name: name.clone(),
        base: origin.base().to_owned(),
        timeout_ms: origin.timeout_ms,
        options: Some(&origin.options).filter(|options| **options != OriginOptions::default()).cloned(),
        failover: compile_failover(snapshot, name, origin),
    };
    snapshot.origins.iter().map(compile).collect()
}

/// Compiles the help for an origin; `None` if it has none and is none itself. A secondary that does not exist helps
/// nobody: a snapshot with one still routes.
fn compile_failover(snapshot: &Snapshot, name: &OriginName, origin: &Origin) -> Option<CompiledFailover> {
    let Failover { secondary, retry, health } = &origin.failover;
    let is_secondary =
        || snapshot.origins.values().any(|other| other.failover.secondary.as_ref() == Some(name));
    if origin.failover == Failover::default() && !is_secondary() {
        return None;
    }
    let position = |name: &OriginName| snapshot.origins.keys().position(|held| held == name);
    Some(CompiledFailover {
        secondary: secondary.as_ref().and_then(position),
        retry: *retry,
        health: health.clone(),
    })
}

/// Compiles the adapters, in the order of their names.
fn compile_adapters(snapshot: &Snapshot) -> Result<Vec<Arc<Adapter>>, CompileError> {
    let compile = |(name, program): (&AdapterName, &Arc<Program>)| {
        let adapter = Adapter::new(Arc::clone(program));
        adapter.map(Arc::new).map_err(|error| CompileError::Adapter { adapter: name.clone(), error })
    };
    snapshot.adapters.iter().map(compile).collect()
}

fn compile_table(snapshot: &Snapshot) -> Result<RouteTable, CompileError> {
    let matchers: Vec<_> = snapshot.routes.iter().map(|route| &route.matcher).collect();
    RouteTable::new(&matchers).map_err(|(index, error)| {
        let route = snapshot.routes.get(index).map(|route| route.id.clone());
        CompileError::Route { route, error }
    })
}

/// The parts that routes refer to by position.
struct Compiled<'c> {
    flags: &'c [CompiledFlag],
    origins: &'c [CompiledOrigin],
    adapters: &'c [Arc<Adapter>],
    experiments: &'c [Arc<CompiledExperiment>],
    limits: &'c [CompiledLimit],
}

impl Compiled<'_> {
    fn route(&self, snapshot: &Snapshot, route: &Route) -> Result<CompiledRoute, CompileError> {
        let adapt = route
            .adapt
            .iter()
            .map(|name| {
                let unknown =
                    || CompileError::UnknownAdapter { route: route.id.clone(), adapter: name.clone() };
                snapshot.adapters.keys().position(|held| held == name).ok_or_else(unknown)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let programs = adapt.iter().filter_map(|index| Some(&self.adapters.get(*index)?.program));
        let read = programs
            .flat_map(|program| program.version.iter().map(|version| &version.header).chain(&program.reads));
        let flag = self.flags.binary_search_by(|flag| flag.name.cmp(&route.flag)).ok();
        let conditions =
            flag.and_then(|index| self.flags.get(index)).map(CompiledFlag::conditions).unwrap_or_default();
        // Any request may be told the variants of its user.
        let of_experiments = self.experiments.iter().flat_map(|experiment| experiment.conditions());
        let limits = self.limits(route)?;
        let mut inputs = inputs_of(&route.identity, conditions.iter().chain(of_experiments), read);
        let keys =
            limits.iter().filter_map(|limit| self.limits.get(*limit)).flat_map(|limit| &limit.policy.key);
        keys.filter_map(input_of_key).for_each(|input| add(&mut inputs, input));
        if !limits.is_empty() {
            // In place of whatever a request lacks.
            add(&mut inputs, Input::Ip);
        }
        Ok(CompiledRoute {
            id: route.id.clone(),
            flag,
            legacy: self.origin(route, &route.legacy)?,
            new: self.origin(route, &route.new)?,
            inputs,
            identity: route.identity.clone(),
            adapt,
            compare: route.compare.clone(),
            error_when: route.error_when.clone(),
            error_statuses: route.error_statuses.clone(),
            fallback: route.fallback,
            guard: route.guard.clone(),
            cache: route.cache.clone(),
            limits,
            slow_limits: flag
                .and_then(|_| snapshot.canaries.get(&route.flag))
                .map(|label| label.limits(&route.id)),
        })
    }

    /// Returns the positions of the rate limits of a route.
    fn limits(&self, route: &Route) -> Result<Vec<usize>, CompileError> {
        let position = |name: &LimitName| {
            let found = self.limits.binary_search_by(|limit| limit.name.cmp(name));
            found.map_err(|_| CompileError::UnknownLimit { route: route.id.clone(), limit: name.clone() })
        };
        route.limit.iter().map(position).collect()
    }

    fn origin(&self, route: &Route, name: &OriginName) -> Result<usize, CompileError> {
        self.origins
            .binary_search_by(|origin| origin.name.cmp(name))
            .map_err(|_| CompileError::UnknownOrigin { route: route.id.clone(), origin: name.clone() })
    }
}
