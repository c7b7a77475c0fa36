//! The ruleset: a snapshot compiled so that deciding costs the same for ten flags and for ten thousand.

use crate::{
    adapter::{Adapter, Program},
    batch::CanaryLabel,
    compare::{Comparison, HiddenError},
    condition::{Attribute, CompiledCondition, InvalidCondition},
    emergency::Emergency,
    facts::Facts,
    flag::CompiledFlag,
    identity::{Source, VERIFIED_SUBJECT},
    names::{AdapterName, FlagName, OriginName, RouteId},
    route::{InvalidRoute, RouteTable},
    snapshot::{Revision, Snapshot},
};

use std::sync::Arc;

/// Everything that is needed to decide a request, at one revision.
#[derive(Debug)]
pub struct Ruleset {
    revision: Revision,
    flags: Vec<CompiledFlag>,
    origins: Vec<CompiledOrigin>,
    routes: Vec<CompiledRoute>,
    table: RouteTable,
    inputs: Vec<Input>,
    adapters: Vec<Arc<Adapter>>,
    canaries: Vec<Option<CanaryLabel>>,
}

/// An origin as the forwarding side needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledOrigin {
    /// The name.
    pub name: OriginName,
    /// The base URL without a slash at its end.
    pub base: String,
    /// Milliseconds until the response headers must have arrived.
    pub timeout_ms: u32,
}

/// A route with its references resolved to positions.
#[derive(Debug)]
pub struct CompiledRoute {
    /// The identifier.
    pub id: RouteId,
    /// The position of the flag; `None` where the snapshot has no such flag.
    pub flag: Option<usize>,
    /// The position of the legacy arm's origin.
    pub legacy: usize,
    /// The position of the new arm's origin.
    pub new: usize,
    /// Where the user id comes from.
    pub identity: Vec<Source>,
    /// What the request must be asked for before this route can be decided.
    pub inputs: Vec<Input>,
    /// The positions of the adapters of the new arm.
    pub adapt: Vec<usize>,
    /// How answers are compared.
    pub compare: Option<Comparison>,
    /// What tells an error that a status hides.
    pub error_when: Option<HiddenError>,
}

/// Something that has to be read from a request, beyond its method and URL, before it can be decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// A header, name in lower case. Cookies are read from `cookie`.
    Header(Box<str>),
    /// The client's country.
    Country,
    /// The client's address.
    Ip,
}

/// Why a snapshot cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A condition of a flag makes no sense.
    #[error("condition {position} of flag {flag}: {error}")]
    Condition {
        /// The flag.
        flag: FlagName,
        /// The position of the condition, from 0.
        position: usize,
        /// What is wrong.
        error: InvalidCondition,
    },
    /// A route makes no sense.
    #[error("route {}: {error}", route.as_ref().map_or("", RouteId::as_str))]
    Route {
        /// The route.
        route: Option<RouteId>,
        /// What is wrong.
        error: InvalidRoute,
    },
    /// An adapter makes no sense.
    #[error("adapter {adapter}: {error}")]
    Adapter {
        /// The adapter.
        adapter: AdapterName,
        /// What is wrong.
        error: InvalidRoute,
    },
    /// A route names an adapter that is not there.
    #[error("route {route} names the adapter {adapter}, which does not exist")]
    UnknownAdapter {
        /// The route.
        route: RouteId,
        /// The adapter.
        adapter: AdapterName,
    },
    /// A route names an origin that is not there.
    #[error("route {route} names the origin {origin}, which does not exist")]
    UnknownOrigin {
        /// The route.
        route: RouteId,
        /// The origin.
        origin: OriginName,
    },
}

impl Ruleset {
    /// Compiles a snapshot.
    pub fn compile(snapshot: &Snapshot) -> Result<Self, CompileError> {
        let flags = snapshot
            .flags
            .iter()
            .map(|(name, flag)| {
                let emergency = snapshot.emergency.as_ref().is_some_and(|emergency| emergency.covers(name));
                CompiledFlag::new(name, flag, emergency).map_err(|error| CompileError::Condition {
                    flag: name.clone(),
                    position: flag
                        .conditions
                        .iter()
                        .position(|condition| CompiledCondition::new(condition).is_err())
                        .unwrap_or_default(),
                    error,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let origins: Vec<_> = snapshot
            .origins
            .iter()
            .map(|(name, origin)| CompiledOrigin {
                name: name.clone(),
                base: origin.base().to_owned(),
                timeout_ms: origin.timeout_ms,
            })
            .collect();
        let adapters = snapshot
            .adapters
            .iter()
            .map(|(name, program)| match Adapter::new(Arc::clone(program)) {
                Ok(adapter) => Ok(Arc::new(adapter)),
                Err(error) => Err(CompileError::Adapter { adapter: name.clone(), error }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let routes = snapshot
            .routes
            .iter()
            .map(|route| {
                let adapter = |name: &AdapterName| {
                    snapshot.adapters.position(name).ok_or_else(|| CompileError::UnknownAdapter {
                        route: route.id.clone(),
                        adapter: name.clone(),
                    })
                };
                let adapt = route.adapt.iter().map(adapter).collect::<Result<Vec<_>, _>>()?;
                let programs = adapt.iter().filter_map(|at| Some(&adapters.get(*at)?.program));
                let read = programs.flat_map(|program| {
                    program.version.iter().map(|version| &version.header).chain(&program.reads)
                });
                // Maps iterate in order, so positions are found by binary search.
                let origin = |name: &OriginName| {
                    origins.binary_search_by(|held| held.name.cmp(name)).map_err(|_| {
                        CompileError::UnknownOrigin { route: route.id.clone(), origin: name.clone() }
                    })
                };
                let flag = flags.binary_search_by(|held| held.name.cmp(&route.flag)).ok();
                let conditions =
                    flag.and_then(|at| flags.get(at)).map(CompiledFlag::conditions).unwrap_or_default();
                Ok(CompiledRoute {
                    id: route.id.clone(),
                    flag,
                    legacy: origin(&route.legacy)?,
                    new: origin(&route.new)?,
                    inputs: inputs_of(&route.identity, conditions, read),
                    identity: route.identity.clone(),
                    adapt,
                    compare: route.compare.clone(),
                    error_when: route.error_when.clone(),
                })
            })
            .collect::<Result<Vec<_>, CompileError>>()?;
        let matchers: Vec<_> = snapshot.routes.iter().map(|route| &route.matcher).collect();
        let table = RouteTable::new(&matchers).map_err(|(at, error)| {
            let route = snapshot.routes.get(at).map(|route| route.id.clone());
            CompileError::Route { route, error }
        })?;
        let mut inputs = Vec::new();
        routes.iter().flat_map(|route| &route.inputs).for_each(|input| add(&mut inputs, input.clone()));
        let canaries = flags.iter().map(|flag| snapshot.canaries.get(&flag.name).cloned()).collect();
        Ok(Self { revision: snapshot.revision, flags, origins, routes, table, inputs, adapters, canaries })
    }

    /// The revision of the snapshot.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The origins, in the order that positions refer to.
    pub fn origins(&self) -> &[CompiledOrigin] {
        &self.origins
    }

    /// The flags, by name.
    pub fn flags(&self) -> &[CompiledFlag] {
        &self.flags
    }

    /// The routes, in the order that positions refer to.
    pub fn routes(&self) -> &[CompiledRoute] {
        &self.routes
    }

    /// The adapters, in the order that positions refer to.
    pub fn adapters(&self) -> &[Arc<Adapter>] {
        &self.adapters
    }

    /// The adapter of a route that is for a request, by its version, with its position; `None` where the new backend
    /// speaks the client's language. Whether it has a route for the request is the adapter's to say.
    pub fn adapter_for(&self, route: &CompiledRoute, facts: &Facts<'_>) -> Option<(usize, &Arc<Adapter>)> {
        self.adapters_of(route).find(|(_, adapter)| {
            let version = adapter.program.version.as_ref();
            version.is_none_or(|version| version.selects(facts.header(&version.header)))
        })
    }

    fn adapters_of(&self, route: &CompiledRoute) -> impl Iterator<Item = (usize, &Arc<Adapter>)> {
        route.adapt.iter().filter_map(|at| Some((*at, self.adapters.get(*at)?)))
    }

    /// The headers that the adapters of a route look at, in the order in which they are handed over.
    pub fn headers_for(&self, route: &CompiledRoute) -> Vec<&str> {
        self.of_adapters(route, |program| &program.reads)
    }

    /// The claims of a token that the adapters of a route look at.
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

    /// Where the canary of a flag stands, by the flag's position.
    pub fn canary(&self, flag: usize) -> Option<&CanaryLabel> {
        self.canaries.get(flag).and_then(Option::as_ref)
    }

    /// Lets an emergency hold flags that was learned of otherwise than by a snapshot, or lets go of them.
    pub fn declare(&self, emergency: Option<&Emergency>) {
        for flag in &self.flags {
            flag.set_emergency(emergency.is_some_and(|emergency| emergency.covers(&flag.name)));
        }
    }

    /// What any route may have to be asked for.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The header whose presence makes the cookies of a request irrelevant: every route asks it first for the user,
    /// and neither a condition nor an adapter looks at a cookie. Reading cookies costs the edge, and most requests bring the header.
    pub fn cookies_unless(&self) -> Option<&str> {
        let mut first: Option<&str> = None;
        for route in &self.routes {
            let Some(Source::Header(name)) = route.identity.first() else { return None };
            let conditions = self.flag_at(route.flag).map(CompiledFlag::conditions).unwrap_or_default();
            let looks_at_cookies = conditions
                .iter()
                .any(|condition| matches!(condition, CompiledCondition::Attribute(Attribute::Cookie(_), _)))
                || conditions.iter().any(|condition| {
                    matches!(condition, CompiledCondition::Attribute(Attribute::Header(name), _) if **name == *"cookie")
                });
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

    /// The route of a request.
    pub fn route(&self, method: &str, path: &str) -> Option<&CompiledRoute> {
        self.route_at(method, path).map(|(_, route)| route)
    }

    /// The route of a request, with its position.
    pub(crate) fn route_at(&self, method: &str, path: &str) -> Option<(usize, &CompiledRoute)> {
        self.table.find(method, path).and_then(|at| Some((at, self.routes.get(at)?)))
    }

    /// The flag of a name.
    pub fn flag(&self, name: &str) -> Option<&CompiledFlag> {
        self.flag_at(self.flags.binary_search_by(|held| held.name.as_str().cmp(name)).ok())
    }

    pub(crate) fn flag_at(&self, position: Option<usize>) -> Option<&CompiledFlag> {
        position.and_then(|at| self.flags.get(at))
    }
}

fn inputs_of<'r>(
    sources: &[Source],
    conditions: &[CompiledCondition],
    read: impl Iterator<Item = &'r String>,
) -> Vec<Input> {
    let cookie = || Input::Header("cookie".into());
    let mut inputs = Vec::new();
    for source in sources {
        let input = match source {
            Source::Header(name) => Input::Header(name.clone()),
            Source::Jwt => Input::Header(VERIFIED_SUBJECT.into()),
            Source::Cookie(_) | Source::Anonymous => cookie(),
        };
        add(&mut inputs, input);
    }
    for condition in conditions {
        let input = match condition {
            CompiledCondition::Attribute(Attribute::Header(name), _) => Input::Header(name.clone()),
            CompiledCondition::Attribute(Attribute::Cookie(_), _) => cookie(),
            CompiledCondition::Attribute(Attribute::Country, _) => Input::Country,
            CompiledCondition::Attribute(Attribute::Ip, _) => Input::Ip,
            CompiledCondition::Attribute(Attribute::Query(_) | Attribute::Path | Attribute::Method, _)
            | CompiledCondition::TimeWindow { .. } => continue,
        };
        add(&mut inputs, input);
    }
    read.for_each(|header| add(&mut inputs, Input::Header(header.as_str().into())));
    inputs
}

/// Puts an input into its place, once. There are few.
fn add(inputs: &mut Vec<Input>, input: Input) {
    if let Err(at) = inputs.binary_search(&input) {
        inputs.insert(at, input);
    }
}
