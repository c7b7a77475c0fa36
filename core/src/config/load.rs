//! Reads a whole configuration, and checks how its parts refer to each other.

use super::{
    Config, adapter,
    adapter::Files,
    canary, flag,
    node::{Entry, Node},
    reader::{Problem, Reader, join},
    references::Names,
    traffic,
};
use crate::{
    experiment::{Experiment, Variant},
    names::{ExperimentName, FlagName},
    rate::PartsPerMillion,
    route::{Route, RouteTable},
};
use std::{collections::BTreeMap, str::FromStr};

/// After this many pairs of routes in conflict the rest is left for the next try.
const MAX_CONFLICTS: usize = 20;

pub(super) fn config(node: &Node, files: Files<'_>) -> Result<Config, Vec<Problem>> {
    let reader = &mut Reader::default();
    let config = read(reader, node, files);
    std::mem::take(reader).finish(config)
}

fn read(reader: &mut Reader, node: &Node, files: Files<'_>) -> Option<Config> {
    let mut fields = reader.fields(node, "", "begin with feature_flags, origins and routes")?;
    let flag_nodes = fields.optional("feature_flags");
    let canary_nodes = fields.optional("canary_deployments");
    let experiment_nodes = fields.optional("ab_tests");
    let origin_nodes = fields.optional("origins");
    let adapter_nodes = fields.optional("adapters");
    let route_nodes = fields.optional("routes");
    fields.finish(reader);

    let flag_entries = reader.named(flag_nodes, "feature_flags", "write one entry per flag");
    let names = Names {
        flags: flag_entries,
        origins: reader.named(origin_nodes, "origins", "write one entry per origin"),
        adapters: reader.named(adapter_nodes, "adapters", "write one entry per adapter"),
    };
    let feature_flags = map(reader, flag_entries, "feature_flags", |reader, entry, path| {
        // Also a flag with a bad name is read, so that its other mistakes show.
        let name = entry.key.parse::<FlagName>().ok().or_else(|| "unnamed".parse().ok())?;
        flag::read(reader, &name, &entry.node, path)
    });
    let canary_entries = reader.named(canary_nodes, "canary_deployments", "write one entry per flag");
    let canary_deployments = map(reader, canary_entries, "canary_deployments", |reader, entry, path| {
        names.must_have(reader, "flag", &entry.key, (entry.line, entry.column), path);
        canary::read(reader, &entry.node, path)
    });
    let experiment_entries = reader.named(experiment_nodes, "ab_tests", "write one entry per experiment");
    let ab_tests = map(reader, experiment_entries, "ab_tests", |reader, entry, path| {
        experiment(reader, &entry.node, path)
    });
    let origins = map(reader, names.origins, "origins", |reader, entry, path| {
        traffic::origin(reader, &entry.node, path)
    });
    let adapters = map(reader, names.adapters, "adapters", |reader, entry, path| {
        adapter::read(reader, &entry.node, path, files)
    });
    let routes = routes(reader, route_nodes, names);
    Some(Config { feature_flags, canary_deployments, ab_tests, origins, adapters, routes })
}

fn map<K: FromStr + Ord, V>(
    reader: &mut Reader,
    entries: &[Entry],
    path: &str,
    mut read: impl FnMut(&mut Reader, &Entry, &str) -> Option<V>,
) -> BTreeMap<K, V>
where
    K::Err: std::fmt::Display,
{
    entries
        .iter()
        .filter_map(|entry| {
            let path = join(path, &entry.key);
            let key = reader.key(entry, &path);
            let value = read(reader, entry, &path);
            Some((key?, value?))
        })
        .collect()
}

fn experiment(reader: &mut Reader, node: &Node, path: &str) -> Option<Experiment> {
    let mut fields = reader.fields(node, path, "write name and variants below the experiment")?;
    let name = fields
        .required(reader, "name", "write what the experiment is called")
        .and_then(|node| reader.text(node, &join(path, "name")));
    let variants_path = join(path, "variants");
    let variants_node = fields.required(reader, "variants", "write one entry per variant");
    fields.finish(reader);
    let entries = reader.named(variants_node, &variants_path, "write one entry per variant");
    let variants: BTreeMap<ExperimentName, Variant> =
        map(reader, entries, &variants_path, |reader, entry, path| {
            let mut fields = reader.fields(&entry.node, path, "write { name, traffic_percentage }")?;
            let name = fields
                .required(reader, "name", "write what the variant is called")
                .and_then(|node| reader.text(node, &join(path, "name")));
            let share = fields
                .required(reader, "traffic_percentage", "write the variant's share, such as 50.0")
                .and_then(|node| reader.percentage(node, &join(path, "traffic_percentage")));
            fields.finish(reader);
            Some(Variant { name: name?, traffic_percentage: share? })
        });
    let total: u64 = variants.values().map(|variant| u64::from(variant.traffic_percentage.get())).sum();
    // Where a variant could not be read, the sum says nothing.
    let all_read = variants.len() == entries.len();
    if let Some(node) = variants_node.filter(|_| all_read && total != u64::from(PartsPerMillion::ALL.get())) {
        // Shares have four decimals; the sum is exact in parts per million.
        let message = format!("the variants add up to {} percent", total as f64 / 10_000.0);
        reader.report(node, &variants_path, message, "make traffic_percentage add up to 100");
    }
    Some(Experiment { name: name?, variants: variants.into_iter().collect() })
}

fn routes(reader: &mut Reader, node: Option<&Node>, names: Names<'_>) -> Vec<Route> {
    let items = reader.list(node, "routes", "write a list, each item with id, match, flag, legacy and new");
    let mut routes: Vec<(Route, &Node, String)> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let path = format!("routes[{at}]");
        let Some(route) = traffic::route(reader, item, &path, names) else { continue };
        if routes.iter().any(|(held, _, _)| held.id == route.id) {
            let message = format!("a route {} stands above already", route.id);
            reader.report(item, &join(&path, "id"), message, "give each route an id of its own");
        }
        routes.push((route, item, path));
    }
    let mut unchecked: Vec<_> = routes.iter().collect();
    for _ in 0..MAX_CONFLICTS {
        let matchers: Vec<_> = unchecked.iter().map(|(route, _, _)| &route.matcher).collect();
        let Err((at, error)) = RouteTable::new(&matchers) else { break };
        if at >= unchecked.len() {
            break;
        }
        let (_, node, path) = unchecked.remove(at);
        let hint = "make the two patterns differ in a literal segment, or give them different methods";
        reader.report(node, &join(path, "match"), error.to_string(), hint);
    }
    let mut routes: Vec<_> = routes.into_iter().map(|(route, _, _)| route).collect();
    // Order carries no meaning: the most specific pattern wins. Sorted, the same routes are the same text.
    routes.sort_by(|a, b| a.id.cmp(&b.id));
    routes
}
