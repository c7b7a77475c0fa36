//! Reads a whole configuration, and checks the references between its parts.

use super::{
    access,
    adapter::{self, Files},
    canary,
    document::Config,
    experiment, failover,
    file::{ConfigFile, Place},
    flag, limit,
    matcher::report_conflicts,
    reading::{Cursor, EntryCursor, Names, Node, Problem, Problems, Section},
    traffic, values,
};
use crate::{
    rules::{
        experiment::document::{Experiment, ExperimentState},
        flag::Flag,
        origin::Origin,
        route::Route,
    },
    vocabulary::{
        names::{FlagName, OriginName},
        share::PartsPerMillion,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

const EXPERIMENTS_HINT: &str = "write one entry per experiment";

impl ConfigFile {
    /// Reads a file from YAML 1.2, of which JSON is a subset.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the file, with their places.
    pub fn from_yaml(text: &str) -> Result<Self, Vec<Problem>> {
        Self::from_yaml_with(text, &no_files)
    }

    /// Reads a file from YAML that may refer to other files, whose contents `files` returns.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the files, with their places.
    pub fn from_yaml_with(
        text: &str,
        files: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        let node = Node::from_yaml(text).map_err(|problem| vec![problem])?;
        load(&node, files, Problems::default())
    }

    /// Reads a file from JSON. Its problems carry the path of the field, but no line.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the value.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, Vec<Problem>> {
        load(&Node::from_json(value), &no_files, Problems::default())
    }
}

impl Config {
    /// Reads a configuration from YAML, as [`ConfigFile::from_yaml`] does.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the file, with their places.
    pub fn from_yaml(text: &str) -> Result<Self, Vec<Problem>> {
        ConfigFile::from_yaml(text).map(|file| file.config)
    }

    /// Reads a configuration from YAML that may refer to other files, as [`ConfigFile::from_yaml_with`] does.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the files, with their places.
    pub fn from_yaml_with(
        text: &str,
        files: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        ConfigFile::from_yaml_with(text, files).map(|file| file.config)
    }

    /// Reads a configuration from JSON, as [`ConfigFile::from_json`] does.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the value.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, Vec<Problem>> {
        ConfigFile::from_json(value).map(|file| file.config)
    }

    /// Reads a configuration that was stored earlier, from JSON. Limits on the lengths of strings do
    /// not apply to it.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the value.
    pub fn from_stored(value: &serde_json::Value) -> Result<Self, Vec<Problem>> {
        load(&Node::from_json(value), &no_files, Problems::of_stored()).map(|file| file.config)
    }

    /// Checks a configuration that was assembled from parts by the rules for files.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the configuration.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        match serde_json::to_value(self) {
            Ok(value) => Self::from_stored(&value).map(|_| ()),
            Err(error) => Err(vec![Problem::without_place(error.to_string())]),
        }
    }
}

fn no_files(_: &str) -> Result<String, String> {
    Err("only the cutover command can read other files; write the content of the file here".to_owned())
}

/// Reads one flag from a request body.
///
/// # Errors
///
/// Returns all mistakes in the flag.
pub fn flag_from_json(name: &FlagName, value: &serde_json::Value) -> Result<Flag, Vec<Problem>> {
    let node = Node::from_json(value);
    let problems = Problems::default();
    let flag = flag::read(&Cursor::root(&node, &problems), name);
    problems.finish(flag)
}

/// Reads one flag from the text of an editor. A percentage that it leaves out is `held`.
///
/// # Errors
///
/// Returns all mistakes in the text, with their places.
pub fn flag_from_yaml(name: &FlagName, text: &str, held: PartsPerMillion) -> Result<Flag, Vec<Problem>> {
    let node = Node::from_yaml(text).map_err(|problem| vec![problem])?;
    let problems = Problems::default();
    let is_open = flag::leaves_share_open(&Cursor::root(&node, &problems));
    let flag = flag::read(&Cursor::root(&node, &problems), name);
    let flag = flag.map(|flag| if is_open { Flag { rollout_percentage: held, ..flag } } else { flag });
    problems.finish(flag)
}

/// Reads one experiment from a request body. The flag, the holdout and the routes that it names must be in `live`; a state that
/// it leaves out is `open`.
///
/// # Errors
///
/// Returns all mistakes in the experiment.
pub fn experiment_from_json(
    value: &serde_json::Value,
    live: &Config,
    open: ExperimentState,
) -> Result<Experiment, Vec<Problem>> {
    let node = Node::from_json(value);
    let problems = Problems::default();
    let flags = live.feature_flags.keys().map(|name| name.as_str()).collect();
    let holdouts = live.holdouts.keys().map(|name| name.as_str()).collect();
    let is_open = experiment::leaves_state_open(&Cursor::root(&node, &problems));
    let routes = live.routes.iter().map(|route| route.id.as_str()).collect();
    let names = Names::of_experiment(flags, holdouts).with_routes(routes);
    let read = experiment::read(&Cursor::root(&node, &problems), &names);
    problems.finish(
        read.map(|experiment| if is_open { Experiment { state: open, ..experiment } } else { experiment }),
    )
}

fn load(node: &Node, files: Files<'_>, problems: Problems) -> Result<ConfigFile, Vec<Problem>> {
    let file = file(&Cursor::root(node, &problems), files);
    problems.finish(file)
}

fn file(cursor: &Cursor<'_>, files: Files<'_>) -> Option<ConfigFile> {
    let mut fields = cursor.fields("begin with feature_flags, origins and routes")?;
    let flags = fields.optional("feature_flags");
    let canaries = fields.optional("canary_deployments");
    let experiments = fields.optional("experiments");
    let ab_tests = fields.optional("ab_tests");
    let holdouts = fields.optional("holdouts");
    let value_flags = fields.optional("flags");
    let segments = fields.optional("segments");
    let ofrep = fields.present("ofrep");
    let limits = fields.optional("limits");
    let origins = fields.optional("origins");
    let adapters = fields.optional("adapters");
    let route_list = fields.optional("routes");
    fields.finish();

    let flags = section(flags, "write one entry per flag");
    let limits = section(limits, "write one entry per limit");
    let origins = section(origins, "write one entry per origin");
    let adapters = section(adapters, "write one entry per adapter");
    let holdouts = section(holdouts, "write one entry per holdout");
    let value_flags = section(value_flags, "write one entry per flag");
    let segments = section(segments, "write one entry per segment");
    let names = Names::new(&flags, &origins, &adapters, &holdouts)
        .with_values(&value_flags, &segments)
        .with_limits(&limits);
    let feature_flags = map(&flags, |entry| {
        // A flag with an invalid name is read too, so that its other mistakes are reported.
        let name = entry.key.parse::<FlagName>().ok().or_else(|| "unnamed".parse().ok())?;
        flag::read(&entry.value, &name)
    });
    let hint = "write a list, each item with id, match, flag, legacy and new";
    let route_list = route_list.map(|cursor| cursor.list(hint)).unwrap_or_default();
    let names = names.with_routes(traffic::ids_of(&route_list));
    let canaries = section(canaries, "write one entry per flag");
    let canary_deployments = map(&canaries, |entry| {
        names.must_have(Section::Flags, entry.key, &entry.key_cursor);
        canary::read(&entry.value, &traffic::routes_of(&route_list, entry.key))
    });
    let experiments = experiment::both_sections(
        section(experiments, EXPERIMENTS_HINT),
        section(ab_tests, EXPERIMENTS_HINT),
    );
    let ab_tests = experiment::read_all(&experiments, &names);
    let open_states = open(&experiments, experiment::leaves_state_open);
    let holdouts = map(&holdouts, |entry| experiment::holdout(&entry.value));
    let segments = map(&segments, |entry| values::segment(&entry.value));
    let value_flags = values::read_all(&value_flags, &names);
    let ofrep = ofrep.and_then(|cursor| access::read(&cursor));
    let origin_entries = origins;
    let origins = map(&origin_entries, |entry| traffic::origin(&entry.value, &names));
    failover::check_secondaries(&origin_entries, &origins);
    let limits = map(&limits, |entry| limit::read(&entry.value));
    let adapters = map(&adapters, |entry| adapter::read(&entry.value, files));
    let routes = routes(route_list, &names, &origins);
    let config = Config {
        feature_flags,
        canary_deployments,
        ab_tests,
        holdouts,
        flags: value_flags,
        segments,
        ofrep,
        limits,
        origins,
        adapters,
        routes,
    };
    let open_shares = open(&flags, flag::leaves_share_open);
    let mut places = places(&flags);
    // Both sections that can hold experiments mean the same.
    let place =
        |entry: &EntryCursor<'_>| Place { line: entry.key_cursor.line(), column: entry.key_cursor.column() };
    places.extend(experiments.iter().map(|entry| (format!("ab_tests.{}", entry.key), place(entry))));
    Some(ConfigFile { config, open_shares, open_states, places })
}

/// Returns the names of the entries that leave something open.
fn open<K: FromStr + Ord>(
    entries: &[EntryCursor<'_>],
    leaves_open: impl Fn(&Cursor<'_>) -> bool,
) -> BTreeSet<K> {
    let open = entries.iter().filter(|entry| leaves_open(&entry.value));
    open.filter_map(|entry| entry.key.parse().ok()).collect()
}

/// Returns the places of flags and of their conditions, by their paths.
fn places(flags: &[EntryCursor<'_>]) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    for entry in flags {
        let conditions = entry.value.field("conditions").map(|cursor| cursor.items()).unwrap_or_default();
        for cursor in std::iter::once(entry.key_cursor.clone()).chain(conditions) {
            let place = Place { line: cursor.line(), column: cursor.column() };
            places.insert(cursor.path().to_owned(), place);
        }
    }
    places
}

fn section<'n>(cursor: Option<Cursor<'n>>, hint: &str) -> Vec<EntryCursor<'n>> {
    cursor.map(|cursor| cursor.entries(hint)).unwrap_or_default()
}

/// Reads the entries of a map whose keys are names, and leaves out those with mistakes.
fn map<'n, K: FromStr + Ord, V>(
    entries: &[EntryCursor<'n>],
    mut read: impl FnMut(&EntryCursor<'n>) -> Option<V>,
) -> BTreeMap<K, V>
where
    K::Err: fmt::Display,
{
    entries
        .iter()
        .filter_map(|entry| {
            let key = entry.parse_key();
            let value = read(entry);
            Some((key?, value?))
        })
        .collect()
}

fn routes(items: Vec<Cursor<'_>>, names: &Names<'_>, origins: &BTreeMap<OriginName, Origin>) -> Vec<Route> {
    let mut routes: Vec<(Route, Cursor<'_>)> = Vec::new();
    for item in items {
        let Some(route) = traffic::route(&item, names) else { continue };
        if routes.iter().any(|(earlier, _)| earlier.id == route.id) {
            let message = format!("the route {} is already defined above", route.id);
            item.at_field("id").report(message, "give each route an id of its own");
        }
        failover::check_arms(&route, &item, origins);
        routes.push((route, item));
    }
    let claims = routes.iter().map(|(route, cursor)| (&route.matcher, cursor.at_field("match")));
    report_conflicts(claims.collect());
    let mut routes: Vec<_> = routes.into_iter().map(|(route, _)| route).collect();
    // The order has no meaning, because the most specific pattern wins. Sorted, equal sets of
    // routes are equal documents.
    routes.sort_by(|a, b| a.id.cmp(&b.id));
    routes
}
