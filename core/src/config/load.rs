//! Reads a whole configuration, and checks how its parts refer to each other.

use super::{
    Config, flag,
    node::{Entry, Node},
    reader::{Problem, Reader, join},
    references::Names,
    traffic,
};
use crate::{
    experiment::{Experiment, Variant},
    names::{ExperimentName, FlagName},
    plan::{CanaryPlan, Criteria},
    rate::PartsPerMillion,
    route::{Route, RouteTable},
};
use std::{collections::BTreeMap, str::FromStr};

/// After this many pairs of routes in conflict the rest is left for the next try.
const MAX_CONFLICTS: usize = 20;

pub(super) fn config(node: &Node) -> Result<Config, Vec<Problem>> {
    let reader = &mut Reader::default();
    let config = read(reader, node);
    std::mem::take(reader).finish(config)
}

fn read(reader: &mut Reader, node: &Node) -> Option<Config> {
    let mut fields = reader.fields(node, "", "begin with feature_flags, origins and routes")?;
    let flag_nodes = fields.optional("feature_flags");
    let canary_nodes = fields.optional("canary_deployments");
    let experiment_nodes = fields.optional("ab_tests");
    let origin_nodes = fields.optional("origins");
    let route_nodes = fields.optional("routes");
    fields.finish(reader);

    let flag_entries = reader.named(flag_nodes, "feature_flags", "write one entry per flag");
    let names = Names {
        flags: flag_entries,
        origins: reader.named(origin_nodes, "origins", "write one entry per origin"),
    };
    let feature_flags = map(reader, flag_entries, "feature_flags", |reader, entry, path| {
        // Also a flag with a bad name is read, so that its other mistakes show.
        let name = entry.key.parse::<FlagName>().ok().or_else(|| "unnamed".parse().ok())?;
        flag::read(reader, &name, &entry.node, path)
    });
    let canary_entries = reader.named(canary_nodes, "canary_deployments", "write one entry per flag");
    let canary_deployments = map(reader, canary_entries, "canary_deployments", |reader, entry, path| {
        names.must_have(reader, "flag", &entry.key, (entry.line, entry.column), path);
        canary(reader, &entry.node, path)
    });
    let experiment_entries = reader.named(experiment_nodes, "ab_tests", "write one entry per experiment");
    let ab_tests = map(reader, experiment_entries, "ab_tests", |reader, entry, path| {
        experiment(reader, &entry.node, path)
    });
    let origins = map(reader, names.origins, "origins", |reader, entry, path| {
        traffic::origin(reader, &entry.node, path)
    });
    let routes = routes(reader, route_nodes, names);
    Some(Config { feature_flags, canary_deployments, ab_tests, origins, routes })
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

fn canary(reader: &mut Reader, node: &Node, path: &str) -> Option<CanaryPlan> {
    let mut fields =
        reader.fields(node, path, "write initial_percentage, promotion_steps and the criteria")?;
    let percent_hint = "write a percentage, such as 1.0";
    let initial = fields
        .required(reader, "initial_percentage", percent_hint)
        .and_then(|node| reader.percentage(node, &join(path, "initial_percentage")));
    let steps_path = join(path, "promotion_steps");
    let steps_node = fields.required(reader, "promotion_steps", "write a list such as [1, 5, 25, 100]");
    let steps: Vec<PartsPerMillion> = reader
        .list(steps_node, &steps_path, "write a list such as [1, 5, 25, 100]")
        .iter()
        .enumerate()
        .filter_map(|(at, node)| reader.percentage(node, &format!("{steps_path}[{at}]")))
        .collect();
    if let Some(node) = steps_node {
        let ascending = steps.iter().zip(steps.iter().skip(1)).all(|(low, high)| low < high);
        if steps.is_empty()
            || !ascending
            || steps.first().is_some_and(|first| *first == PartsPerMillion::ZERO)
        {
            let hint = "write percentages above 0, each larger than the one before, such as [1, 5, 25, 100]";
            reader.report(node, &steps_path, "the steps do not climb", hint);
        }
    }
    let minutes = fields
        .required(reader, "step_duration_minutes", "write how many minutes a step lasts, such as 60")
        .and_then(|node| {
            reader.number_within(node, &join(path, "step_duration_minutes"), (0.01, 43_200.0), "minutes")
        });
    let mut criteria = |name| {
        fields
            .required(reader, name, "write { max_error_rate: 0.05, max_response_time_p95: 500 }")
            .and_then(|node| criteria(reader, node, &join(path, name)).map(|limits| (node, limits)))
    };
    let (success, rollback) = (criteria("success_criteria"), criteria("rollback_criteria"));
    fields.finish(reader);
    if let (Some((_, success)), Some((node, rollback))) = (&success, &rollback)
        && (rollback.max_error_rate < success.max_error_rate
            || rollback.max_response_time_p95 < success.max_response_time_p95)
    {
        let hint = "make every rollback limit at least as large as the success limit beside it";
        let message = "a canary could be rolled back while it succeeds";
        reader.report(node, &join(path, "rollback_criteria"), message, hint);
    }
    Some(CanaryPlan {
        initial_percentage: initial?,
        promotion_steps: steps,
        step_duration_minutes: minutes?,
        success_criteria: success?.1,
        rollback_criteria: rollback?.1,
    })
}

fn criteria(reader: &mut Reader, node: &Node, path: &str) -> Option<Criteria> {
    let mut fields =
        reader.fields(node, path, "write { max_error_rate: 0.05, max_response_time_p95: 500 }")?;
    let rate = fields
        .required(reader, "max_error_rate", "write the share of requests that may fail, such as 0.05")
        .and_then(|node| reader.number_within(node, &join(path, "max_error_rate"), (0.0, 1.0), "share"));
    let p95 = fields.required(reader, "max_response_time_p95", "write milliseconds, such as 500").and_then(
        |node| {
            reader.number_within(node, &join(path, "max_response_time_p95"), (1.0, 600_000.0), "milliseconds")
        },
    );
    fields.finish(reader);
    Some(Criteria { max_error_rate: rate?, max_response_time_p95: p95? })
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
    Some(Experiment { name: name?, variants })
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
        let table = RouteTable::new(unchecked.iter().enumerate().map(|(at, (r, _, _))| (at, &r.matcher)));
        let Err((at, error)) = table else { break };
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
