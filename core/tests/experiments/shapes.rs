//! The shapes of files, of stored objects and of snapshots.

use super::{config, only, weights};
use cutover_core::{
    Bucket, Facts, PartsPerMillion, Purpose, Revision, Ruleset, Snapshot, Timestamp,
    config::{Action, Config, ConfigFile, diff},
    rules::experiment::{document::ExperimentState, metric::Role},
};
use serde::Deserialize;
use std::collections::BTreeMap;

const EXPERIMENTS: &str = r#"experiments: { graphql_migration_test: { name: "GraphQL vs REST Performance", traffic_percentage: 50.0, variants: { control: "REST API", treatment: "GraphQL API" }, success_metrics: [response_time, error_rate, user_satisfaction] } }"#;

const AB_TESTS: &str = r#"ab_tests: { graphql_migration_test: { name: "GraphQL Migration Effectiveness", variants: { control: { name: "REST API", traffic_percentage: 50.0 }, treatment: { name: "GraphQL API", traffic_percentage: 50.0 } } } }"#;

/// A snapshot as the version before published it.
const EARLIER: &str = r#"{"schema":1,"revision":3,"hash":"9f221b03f4638bae328224e1b9afed63","body":{"flags":{"graphql_reviews_read":{"enabled":true,"rollout_percentage":25.0,"description":"Enable GraphQL for reading reviews","user_whitelist":["user-123"],"user_blacklist":[],"conditions":[{"type":"time_window","start":"2024-01-01T00:00:00Z","end":"2024-12-31T23:59:59Z"}]}},"origins":{"graphql":{"url":"http://new.internal","timeout_ms":5000},"rest":{"url":"http://legacy.internal","timeout_ms":5000}},"routes":[{"id":"reviews.read","match":{"methods":["GET"],"path":"/api/v1/reviews/{*rest}"},"flag":"graphql_reviews_read","legacy":"rest","new":"graphql"}],"experiments":{"graphql_migration_test":{"name":"GraphQL Migration Effectiveness","variants":{"control":{"name":"REST API","traffic_percentage":50.0},"treatment":{"name":"GraphQL API","traffic_percentage":50.0}}}}}}"#;

/// The fields of a snapshot's body that a Worker of the version before reads.
#[derive(Deserialize)]
struct BodyBefore {
    #[serde(default)]
    experiments: BTreeMap<String, ExperimentBefore>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only the shape matters")]
struct ExperimentBefore {
    name: String,
    variants: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct DocumentBefore {
    schema: u32,
    body: BodyBefore,
}

#[test]
fn both_established_shapes_load_unchanged() {
    let with_metrics = config(EXPERIMENTS);
    let experiment = only(&with_metrics);
    assert_eq!(experiment.name, "GraphQL vs REST Performance");
    assert_eq!(experiment.traffic_percentage, PartsPerMillion::of_percent(50));
    assert_eq!(weights(&experiment.variants), [("control", 50.0), ("treatment", 50.0)]);
    assert_eq!(experiment.variants[1].name, "GraphQL API");
    assert_eq!(experiment.success_metrics, ["response_time", "error_rate", "user_satisfaction"]);
    assert_eq!((experiment.state, experiment.phase), (ExperimentState::Running, 1));

    let weighted = config(AB_TESTS);
    let experiment = only(&weighted);
    assert_eq!(experiment.name, "GraphQL Migration Effectiveness");
    assert_eq!(experiment.traffic_percentage, PartsPerMillion::ALL);
    assert_eq!(weights(&experiment.variants), [("control", 50.0), ("treatment", 50.0)]);
    assert_eq!((experiment.state, experiment.phase), (ExperimentState::Running, 1));
    for config in [with_metrics, weighted] {
        let json = config.written().unwrap();
        assert_eq!(Config::from_json(&json).unwrap(), config, "{json:#}");
        assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
        assert_eq!(config.check(), Ok(()));
    }
}

#[test]
fn variants_keep_the_order_of_the_file_and_weights_that_it_leaves_out_are_equal() {
    let read = |variants: &str| {
        let config = config(&format!("experiments: {{ t: {{ name: T, variants: {variants} }} }}"));
        let variants = only(&config).variants.iter();
        variants
            .map(|variant| (variant.key.to_string(), variant.traffic_percentage.get()))
            .collect::<Vec<_>>()
    };
    let expected = |all: &[(&str, u32)]| -> Vec<(String, u32)> {
        all.iter().map(|(key, share)| ((*key).to_owned(), *share)).collect()
    };
    let thirds = expected(&[("z", 333_334), ("a", 333_333), ("m", 333_333)]);
    for variants in [
        "{ z: Z, a: A, m: M }",
        "{ z: { name: Z }, a: A, m: { name: M } }",
        "[{ key: z, name: Z }, { key: a, name: A }, { key: m, name: M }]",
        // Rounded to four decimals.
        "{ z: { name: Z, traffic_percentage: 33.3333 }, a: { name: A, traffic_percentage: 33.3333 }, \
           m: { name: M, traffic_percentage: 33.3333 } }",
    ] {
        assert_eq!(read(variants), thirds, "{variants}");
    }
    let rounded_up =
        "{ z: { name: Z, traffic_percentage: 66.6667 }, a: { name: A, traffic_percentage: 33.3334 } }";
    assert_eq!(read(rounded_up), expected(&[("z", 666_666), ("a", 333_334)]));
    // JSON keeps its order too.
    let json =
        serde_json::json!({ "ab_tests": { "t": { "name": "T", "variants": { "z": "Z", "a": "A" } } } });
    let config = Config::from_json(&json).unwrap();
    assert_eq!(weights(&only(&config).variants), [("z", 50.0), ("a", 50.0)]);
}

#[test]
fn a_snapshot_of_the_version_before_is_read_with_the_assignment_that_it_had() {
    let snapshot = Snapshot::decode(EARLIER).unwrap();
    let experiment = snapshot.experiments.values().next().unwrap();
    assert_eq!(weights(&experiment.variants), [("control", 50.0), ("treatment", 50.0)]);
    assert_eq!((experiment.state, experiment.phase), (ExperimentState::Running, 1));
    assert!(experiment.slices.is_empty() && experiment.layer.is_none());
    let rules = Ruleset::compile(&snapshot).unwrap();
    let compiled = rules.experiment("graphql_migration_test").unwrap();
    for user in (0..500).map(|user| format!("user-{user}")) {
        let bucket = Bucket::of(Purpose::Variant, "graphql_migration_test", &user).get();
        let expected = if bucket < 500_000 { "control" } else { "treatment" };
        let assigned = compiled.assign(Some(&user), &Facts::default(), Timestamp::from_millis(0)).unwrap();
        assert_eq!(assigned.key.as_str(), expected, "{user}");
    }
}

/// A Worker that is deployed after the functions must go on reading snapshots until then.
#[test]
fn a_worker_of_the_version_before_reads_on_unless_an_experiment_decides_a_flag() {
    let encoded = |text: &str| {
        let snapshot = config(text).snapshot(Revision(1), None);
        let encoded = snapshot.encode().unwrap();
        assert_eq!(Snapshot::decode(&encoded).unwrap(), snapshot);
        serde_json::from_str::<DocumentBefore>(&encoded).unwrap()
    };
    for text in [EXPERIMENTS, AB_TESTS] {
        let document = encoded(text);
        assert_eq!((document.schema, document.body.experiments.len()), (1, 0));
    }
    let owning = "feature_flags: { f: { enabled: true } }\n\
                  experiments: { t: { name: T, state: STATE, flag: f, variants: \
                  [{ key: a, name: A, arm: legacy }, { key: b, name: B, arm: new }] } }";
    assert_eq!(encoded(&owning.replace("STATE", "running")).schema, 4);
    assert_eq!(encoded(&owning.replace("STATE", "stopped")).schema, 1);
}

#[test]
fn a_file_that_leaves_state_salt_and_slices_out_changes_none_of_them() {
    let file = |share: u32, more: &str| {
        let rest = 100 - share;
        let text = format!(
            "experiments: {{ t: {{ name: T, {more} variants: {{ a: {{ name: A, traffic_percentage: {share} }}, \
             b: {{ name: B, traffic_percentage: {rest} }} }} }} }}"
        );
        ConfigFile::from_yaml(&text).unwrap()
    };
    let mut live = file(50, "salt: first, state: paused,").merged_into(&Config::default(), false);
    assert_eq!(only(&live).state, ExperimentState::Paused);
    for prune in [false, true] {
        let open = file(50, "");
        assert!(diff(&live, &open.merged_into(&live, prune)).is_empty());
        assert!(diff(&live, &file(50, "state: null,").merged_into(&live, prune)).is_empty());
        let written = open.written().unwrap();
        assert_eq!(written["ab_tests"]["t"].get("state"), None, "{written:#}");
        assert_eq!(ConfigFile::from_json(&written).unwrap().merged_into(&live, prune), live);
        // Another weight is another division, which an export of the live configuration has.
        live = file(60, "").merged_into(&file(40, "").merged_into(&live, prune), prune);
        let experiment = only(&live);
        assert_eq!(experiment.salt.as_deref(), Some("first"));
        assert!(!experiment.slices.is_empty());
        let exported = ConfigFile::from_json(&live.written().unwrap()).unwrap();
        assert_eq!(exported.merged_into(&Config::default(), false), live);
        assert!(diff(&live, &file(60, "").merged_into(&live, prune)).is_empty());
        live = file(50, "salt: second,").merged_into(&live, prune);
        live = file(50, "salt: first,").merged_into(&live, prune);
    }
    let begun = file(50, "state: running,").merged_into(&live, false);
    assert_eq!(only(&begun).state, ExperimentState::Running);
}

/// An experiment that takes the place of another one needs its flag and its part of a layer.
#[test]
fn an_experiment_goes_before_the_next_one_comes_and_after_it_its_holdout() {
    let with = |name: &str, holdout: &str| {
        config(&format!(
            "holdouts: {{ {holdout}: {{ percentage: 5 }} }}\nexperiments: {{ {name}: {{ name: T, holdout: {holdout}, \
             layer: {{ name: l, from: 0, to: 100 }}, variants: {{ a: A, b: B }} }} }}"
        ))
    };
    let (before, after) = (with("one", "old"), with("two", "new"));
    let changes = diff(&before, &after);
    let steps: Vec<(Action, &str)> = changes.iter().map(|change| (change.action, change.section)).collect();
    let at = |step: (Action, &str)| steps.iter().position(|held| *held == step).unwrap();
    assert!(at((Action::Delete, "ab_tests")) < at((Action::Create, "ab_tests")));
    assert!(at((Action::Create, "holdouts")) < at((Action::Create, "ab_tests")));
    assert!(at((Action::Create, "ab_tests")) < at((Action::Delete, "holdouts")));
    assert_eq!(before.object("holdouts", "old").unwrap(), serde_json::json!({ "percentage": 5.0 }));
}

#[test]
fn metrics_and_analysis_are_written_as_they_are_read() {
    let text = r#"
routes: [{ id: orders, match: { path: /orders }, flag: f, legacy: o, new: o }]
origins: { o: { url: "http://o.internal" } }
feature_flags: { f: { enabled: true } }
experiments:
  t:
    name: T
    variants: { a: A, b: B }
    success_metrics: [ordered, clicks, error_rate]
    metrics:
      - { name: ordered, role: primary, on: { response: { route: orders, methods: [POST], status: { from: 200, to: 201 } } } }
      - { name: spent, kind: value, cap: 500000, on: { event: order } }
      - { name: slow, role: guardrail, direction: decrease, on: { slow: { over_ms: 800 } } }
      - { name: errors, on: error }
    analysis: { min_days: 14, window_s: 60 }
"#;
    let read = config(text);
    let experiment = only(&read);
    assert_eq!((experiment.analysis.min_days, experiment.analysis.max_days), (14, 60));
    assert_eq!(experiment.metrics[1].cap, Some(500_000));
    // A name in both lists is one metric, and a primary one keeps the first of the names from being another.
    let names: Vec<String> = experiment.all_metrics().into_iter().map(|metric| metric.name).collect();
    assert_eq!(names, ["ordered", "spent", "slow", "errors", "clicks", "error_rate"]);
    let primary = experiment.all_metrics().into_iter().filter(|metric| metric.role == Role::Primary);
    assert_eq!(primary.count(), 1);
    let json = read.written().unwrap();
    assert_eq!(Config::from_json(&json).unwrap(), read, "{json:#}");
    assert_eq!(serde_json::from_value::<Config>(json).unwrap(), read);
    assert_eq!(read.check(), Ok(()));
    // The route is part of the configuration as long as a metric counts its responses.
    let without = Config { routes: Vec::new(), ..read };
    assert!(without.check().is_err());
}
