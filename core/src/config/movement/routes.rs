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

/// Path in place of the rest of a path, which no parameter for one segment matches.
const ANY_REST: &str = "~/~";

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

/// Returns the deleted routes that move users, in the order of their ids.
pub(super) fn deleted<'c>(before: &'c Config, after: &Config) -> Vec<DeletedRoute<'c>> {
    let kept: BTreeSet<&RouteId> = after.routes.iter().map(|route| &route.id).collect();
    let deleted: Vec<&Route> = before.routes.iter().filter(|route| !kept.contains(&route.id)).collect();
    if deleted.is_empty() {
        return Vec::new();
    }
    let matchers: Vec<&Matcher> = after.routes.iter().map(|route| &route.matcher).collect();
    // Routes that claim the same requests are refused before anybody is moved.
    let Ok(table) = RouteTable::new(&matchers) else { return Vec::new() };
    deleted.into_iter().filter_map(|route| moved_by(route, before, after, &table)).collect()
}

/// Returns the users whom the deletion of a route moves; `None` if there are none. `table` has the routes that are left. Of
/// several methods it is the one that moves the most.
fn moved_by<'c>(
    route: &'c Route,
    before: &Config,
    after: &Config,
    table: &RouteTable,
) -> Option<DeletedRoute<'c>> {
    let share = |config: &Config, flag: &FlagName| config.share_on_new(flag).percent() / 100.0;
    // Those whom a change of the flag moves are counted with it.
    let from = share(before, &route.flag).min(share(after, &route.flag));
    let path = sample(&route.matcher.path);
    let of_method = |method: &str| {
        let next = table.find(method, &path).and_then(|index| after.routes.get(index));
        if next.is_some_and(|next| next.flag == route.flag) {
            return None;
        }
        let to = next.map_or(0.0, |next| share(after, &next.flag));
        let moved = Moved::independent(from, to);
        Some(DeletedRoute { route: &route.id, flag: &route.flag, from, to, moved })
    };
    let named = route.matcher.methods.iter().map(String::as_str);
    let any = route.matcher.methods.is_empty().then_some(ANY_METHOD);
    let size = |deleted: &DeletedRoute<'_>| deleted.moved.back + deleted.moved.forward;
    let most =
        named.chain(any).filter_map(of_method).max_by(|one, other| size(one).total_cmp(&size(other)))?;
    (most.moved != Moved::default()).then_some(most)
}

/// Returns a path that a pattern matches, and hardly any other pattern that is more specific.
fn sample(pattern: &str) -> String {
    let skeleton = Pattern::new(pattern).skeleton;
    let path = skeleton.replace("{*}", ANY_REST).replace("{}", ANY_SEGMENT);
    // Two braces stand for one in the path.
    path.replace("{{", "{").replace("}}", "}")
}
