//! Requests of deleted routes, as far as they move users: without their route they go to legacy, or where another route sends
//! them.

use super::ownership::Moved;
use crate::{
    config::document::Config,
    routing::{matcher::Matcher, pattern::Pattern, table::RouteTable},
    rules::route::Route,
    vocabulary::names::{FlagName, RouteId},
};
use std::collections::BTreeSet;

/// Method of a request to a route for all methods: one that no route names.
const ANY_METHOD: &str = "*";

/// Segment in place of a parameter of a path: one that no other route is expected to name.
const ANY_SEGMENT: &str = "~";

/// Numbers of segments in place of the rest of a path: other routes that have some of them are for few segments.
const RESTS: [usize; 4] = [0, 1, 2, 8];

/// A deleted route whose requests go to the other arm for some users. Shares are fractions of its flag's users.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeletedRoute<'c> {
    /// The route.
    pub(super) route: &'c RouteId,
    /// The flag that decided its requests.
    pub(super) flag: &'c FlagName,
    /// Share on the new arm with the route.
    pub(super) from: f64,
    /// Share on the new arm without it.
    pub(super) to: f64,
    /// Users who move.
    pub(super) moved: Moved,
}

/// The routes of a configuration, with the table that finds them.
struct Routes<'c> {
    config: &'c Config,
    table: RouteTable,
}

impl<'c> Routes<'c> {
    /// Compiles the routes of a configuration. Returns `None` if some claim the same requests: such a configuration is refused
    /// before anybody is moved.
    fn of(config: &'c Config) -> Option<Self> {
        let matchers: Vec<&Matcher> = config.routes.iter().map(|route| &route.matcher).collect();
        RouteTable::new(&matchers).ok().map(|table| Self { config, table })
    }

    /// Returns the route of a request.
    fn find(&self, method: &str, path: &str) -> Option<&'c Route> {
        self.table.find(method, path).and_then(|index| self.config.routes.get(index))
    }

    /// Returns the share of a flag's users on the new arm, as a fraction.
    fn share(&self, flag: &FlagName) -> f64 {
        self.config.share_on_new(flag).percent() / 100.0
    }
}

/// Returns the deleted routes that move users, in the order of their ids.
pub(super) fn deleted<'c>(before: &'c Config, after: &Config) -> Vec<DeletedRoute<'c>> {
    let kept: BTreeSet<&RouteId> = after.routes.iter().map(|route| &route.id).collect();
    let deleted: Vec<&Route> = before.routes.iter().filter(|route| !kept.contains(&route.id)).collect();
    if deleted.is_empty() {
        return Vec::new();
    }
    let (Some(before), Some(after)) = (Routes::of(before), Routes::of(after)) else { return Vec::new() };
    deleted.into_iter().filter_map(|route| moved_by(route, &before, &after)).collect()
}

/// Returns the users whom the deletion of a route moves; `None` if there are none. Of several methods and lengths of a path it
/// is, for each direction, the one that moves the most.
fn moved_by<'c>(route: &'c Route, before: &Routes<'_>, after: &Routes<'_>) -> Option<DeletedRoute<'c>> {
    // Those whom a change of the flag moves are counted with it.
    let from = before.share(&route.flag).min(after.share(&route.flag));
    let of_request = |method: &str, path: &str| {
        // A more specific route has had the request.
        if before.find(method, path).is_some_and(|found| found.id != route.id) {
            return None;
        }
        let next = after.find(method, path);
        if next.is_some_and(|next| next.flag == route.flag) {
            return None;
        }
        let to = next.map_or(0.0, |next| after.share(&next.flag));
        let moved = Moved::independent(from, to);
        Some(DeletedRoute { route: &route.id, flag: &route.flag, from, to, moved })
    };
    let paths = samples(&route.matcher.path);
    let named = route.matcher.methods.iter().map(String::as_str);
    let methods: Vec<&str> = named.chain(route.matcher.methods.is_empty().then_some(ANY_METHOD)).collect();
    let requests = paths.iter().flat_map(|path| methods.iter().map(move |method| (*method, path.as_str())));
    let of_requests: Vec<DeletedRoute<'_>> =
        requests.filter_map(|(method, path)| of_request(method, path)).collect();
    let moved = of_requests.iter().map(|deleted| deleted.moved).fold(Moved::default(), Moved::most);
    let size = |deleted: &DeletedRoute<'_>| deleted.moved.back + deleted.moved.forward;
    let most = of_requests.into_iter().max_by(|one, other| size(one).total_cmp(&size(other)))?;
    (moved != Moved::default()).then_some(DeletedRoute { moved, ..most })
}

/// Returns paths that a pattern matches, and hardly any other pattern that is more specific: one of each length if the rest of
/// the path is a parameter.
fn samples(pattern: &str) -> Vec<String> {
    let skeleton = Pattern::new(pattern).skeleton;
    // Two braces stand for one in the path.
    let path = |part: &str| part.replace("{}", ANY_SEGMENT).replace("{{", "{").replace("}}", "}");
    match skeleton.strip_suffix("{*}") {
        None => vec![path(&skeleton)],
        Some(base) => {
            let rest = |count: usize| [ANY_SEGMENT].repeat(count).join("/");
            RESTS.into_iter().map(|count| format!("{}{}", path(base), rest(count))).collect()
        }
    }
}
