//! Mistakes in experiments, each at its line.

use cutover_core::{config::Config, rules::experiment::document::MAX_RUNNING};

/// Flags and a holdout that experiments can name.
const BEGIN: &str =
    "feature_flags: { reviews: { enabled: true } }\nholdouts: { forever: { percentage: 5 } }\nexperiments:\n";

/// Reads experiments, which begin in line 4, and returns their problems as `LINE FIELD: MESSAGE`.
fn problems(experiments: &str) -> Vec<String> {
    let problems = Config::from_yaml(&format!("{BEGIN}{experiments}")).map(|_| ()).unwrap_err();
    assert!(problems.iter().all(|problem| !problem.hint.is_empty()), "{problems:#?}");
    let told = |problem: &cutover_core::config::Problem| {
        format!("{} {}: {}", problem.line, problem.field, problem.message)
    };
    problems.iter().map(told).collect()
}

#[test]
fn each_mistake_of_an_experiment_is_told_at_its_line() {
    let cases = [
        (
            "",
            "variants: { a: { name: A, arm: new }, b: { name: B, arm: legacy } }, flag: revews",
            "4 experiments.t.flag: there is no flag \"revews\"",
        ),
        (
            "",
            "variants: { a: A, b: B }, holdout: never",
            "4 experiments.t.holdout: there is no holdout \"never\"",
        ),
        ("", "variants: { a: A }", "4 experiments.t.variants: an experiment compares at least two variants"),
        ("", "variants: {}", "4 experiments.t.variants: an experiment compares at least two variants"),
        ("", "description: x", "4 experiments.t.variants: variants is missing"),
        (
            "",
            "variants: { a: { name: A, traffic_percentage: 50 }, b: { name: B, traffic_percentage: 49.5 } }",
            "4 experiments.t.variants: the variants add up to 99.5 percent",
        ),
        (
            "",
            "variants: { a: { name: A, traffic_percentage: 50 }, b: B }",
            "4 experiments.t.variants.b.traffic_percentage: traffic_percentage is missing",
        ),
        (
            "",
            "variants: [{ key: a, name: A }, { key: a, name: B }]",
            "4 experiments.t.variants[1]: the variant a is already defined above",
        ),
        (
            "",
            "variants: { a: { name: A, arm: legacy }, b: { name: B, arm: new } }",
            "4 experiments.t.flag: the variants name arms, but there is no flag",
        ),
        (
            "",
            "flag: reviews, variants: { a: { name: A, arm: legacy }, b: B }",
            "4 experiments.t.variants: the variant b names no arm, and others do",
        ),
        (
            "",
            "flag: reviews, variants: { a: A, b: B }",
            "4 experiments.t.flag: no variant names an arm of this flag, so the experiment would not decide it",
        ),
        (
            "",
            "variants: { a: { name: A, arm: old }, b: B }",
            "4 experiments.t.variants.a.arm: \"old\" is not an arm",
        ),
        (
            "",
            "layer: { name: l, from: 50, to: 50 }, variants: { a: A, b: B }",
            "4 experiments.t.layer: the range from 50% to 50% is empty",
        ),
        (
            "",
            "layer: { name: l, from: 0, to: 101 }, variants: { a: A, b: B }",
            "4 experiments.t.layer.to: 101 is not between 0 and 100 percent",
        ),
        (
            "",
            "state: begun, variants: { a: A, b: B }",
            "4 experiments.t.state: \"begun\" is not a state of an experiment",
        ),
        ("", "phase: 0, variants: { a: A, b: B }", "4 experiments.t.phase: 0 is out of range"),
        (
            "",
            "slices: [{ from: 0, to: 50, variant: c }], variants: { a: A, b: B }",
            "4 experiments.t.slices[0].variant: there is no variant \"c\"",
        ),
        (
            "",
            "metrics: [{ name: m, on: { event: e } }, { name: m, on: error }], variants: { a: A, b: B }",
            "4 experiments.t.metrics[1]: the metric m is already defined above",
        ),
        (
            "",
            "metrics: [{ name: m, kind: value, on: { event: e } }], variants: { a: A, b: B }",
            "4 experiments.t.metrics[0].cap: a metric of values needs a cap",
        ),
        (
            "",
            "metrics: [{ name: m, kind: ratio, cap: 1, role: primary, on: { event: e } }], variants: { a: A, b: B }",
            "4 experiments.t.metrics[0].role: a ratio has no exact test, so it can only be secondary",
        ),
        (
            "",
            "metrics: [{ name: m, on: { response: { route: orders } } }], variants: { a: A, b: B }",
            "4 experiments.t.metrics[0].on.response.route: there is no route \"orders\"",
        ),
        (
            "",
            "metrics: [{ name: m, on: { event: e, slow: { over_ms: 5 } } }], variants: { a: A, b: B }",
            "4 experiments.t.metrics[0].on: a metric counts events, responses, slow responses or errors",
        ),
        (
            "",
            "metrics: [{ name: m, on: errors }], variants: { a: A, b: B }",
            "4 experiments.t.metrics[0].on: \"errors\" is nothing that a metric counts",
        ),
        (
            "",
            "metrics: [{ name: m, on: error }], success_metrics: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q], \
             variants: { a: A, b: B }",
            "4 experiments.t.metrics: an experiment has at most 16 metrics, this one has 17",
        ),
        (
            "",
            "analysis: { min_days: 14, max_days: 7 }, variants: { a: A, b: B }",
            "4 experiments.t.analysis.max_days: max_days, 7, is below min_days, 14",
        ),
        (
            "",
            "analysis: { alpha_primary: 0.6 }, variants: { a: A, b: B }",
            "4 experiments.t.analysis.alpha_primary: 0.6 is out of range",
        ),
        (
            "  o: { name: O, layer: { name: l, from: 0, to: 50 }, variants: { a: A, b: B } }\n",
            "layer: { name: l, from: 40, to: 60 }, variants: { a: A, b: B }",
            "5 experiments.t.layer: the experiment o has the layer l from 0% to 50%",
        ),
        (
            "  o: { name: O, flag: reviews, variants: { a: { name: A, arm: legacy }, b: { name: B, arm: new } } }\n",
            "flag: reviews, variants: { a: { name: A, arm: legacy }, b: { name: B, arm: new } }",
            "5 experiments.t.flag: the experiment o is running and decides the flag reviews too",
        ),
    ];
    for (earlier, fields, expected) in cases {
        let told = problems(&format!("{earlier}  t: {{ name: T, {fields} }}\n"));
        assert_eq!(told, [expected], "{fields}");
    }
}

/// Nothing would ever be counted for such a name. Any other one may be that of an event.
#[test]
fn a_metric_that_no_event_can_have_is_told_at_its_line() {
    let long = "x".repeat(129);
    let metrics =
        |names: &str| format!("  t: {{ name: T, variants: {{ a: A, b: B }}, success_metrics: {names} }}\n");
    for name in ["\"\"", "\" bought\"", "\"bought \"", "\"two\\nlines\"", "\"a\\tb\"", long.as_str()] {
        let told = problems(&metrics(&format!("[error_rate, {name}]")));
        let expected = "4 experiments.t.success_metrics[1]: no event can have this name, so the metric would count nothing";
        assert_eq!(told, [expected], "{name}");
    }
    for names in ["[response_time, error_rate]", "[\"Sign up\", order.paid, 7, café]", "[]"] {
        let read = Config::from_yaml(&format!("{BEGIN}{}", metrics(names)));
        assert!(read.is_ok_and(|config| config.warnings().is_empty()), "{names}");
    }
    // What an earlier version stored must not make the change of another object fail.
    let stored = serde_json::json!({ "ab_tests": { "t": {
        "name": "T", "success_metrics": [" old "], "variants": { "a": "A", "b": "B" },
    } } });
    assert!(Config::from_json(&stored).is_err());
    assert_eq!(Config::from_stored(&stored).and_then(|config| config.check()), Ok(()));
}

#[test]
fn a_name_in_both_sections_is_told() {
    let told = problems(
        "  t: { name: T, variants: { a: A, b: B } }\nab_tests:\n  t: { name: T, variants: { a: A, b: B } }\n",
    );
    assert_eq!(told, ["6 ab_tests.t: t is in experiments and in ab_tests"]);
}

#[test]
fn experiments_that_are_over_or_elsewhere_are_in_nobodys_way() {
    let both = |first: &str, second: &str| {
        let arms = "variants: { a: { name: A, arm: legacy }, b: { name: B, arm: new } }";
        let text =
            format!("{BEGIN}  o: {{ name: O, {first}, {arms} }}\n  t: {{ name: T, {second}, {arms} }}\n");
        Config::from_yaml(&text).map(|_| ()).map_err(|problems| problems.len())
    };
    let layer = |from: u32, to: u32| format!("flag: reviews, layer: {{ name: l, from: {from}, to: {to} }}");
    let stopped = |fields: &str| format!("state: stopped, {fields}");
    let draft = |fields: &str| format!("state: draft, {fields}");
    assert_eq!(both(&layer(0, 50), &layer(50, 100)), Err(1), "one flag");
    assert_eq!(both(&draft(&layer(0, 50)), &layer(50, 100)), Ok(()));
    assert_eq!(both(&draft(&layer(0, 51)), &layer(50, 100)), Err(1), "a draft keeps its part of the layer");
    assert_eq!(both(&stopped(&layer(0, 51)), &layer(50, 100)), Ok(()));
    assert_eq!(both(&draft(&layer(0, 51)), &layer(50, 100).replace("name: l", "name: other")), Ok(()));
}

/// An earlier version accepted one variant, and what it stored must not make the change of another object fail.
#[test]
fn a_stored_experiment_with_one_variant_stays_readable() {
    let one =
        serde_json::json!({ "name": "T", "variants": { "a": { "name": "A", "traffic_percentage": 100 } } });
    let stored = serde_json::json!({ "ab_tests": { "t": one } });
    assert!(Config::from_json(&stored).is_err());
    assert_eq!(Config::from_stored(&stored).and_then(|config| config.check()), Ok(()));
}

#[test]
fn no_more_experiments_run_than_isolates_count() {
    let experiment = |number: usize, state: &str| {
        format!("  t{number}: {{ name: T, {state}variants: {{ a: A, b: B }} }}\n")
    };
    let running: String = (0..MAX_RUNNING).map(|number| experiment(number, "state: running, ")).collect();
    let with = |state: &str| format!("{running}{}", experiment(99, state));
    let expected =
        "36 experiments.t99.state: 32 other experiments are running, and no more are counted".to_owned();
    assert_eq!(problems(&with("state: running, ")), [expected]);
    for state in ["state: draft, ", "state: paused, ", "state: stopped, "] {
        assert!(Config::from_yaml(&format!("{BEGIN}{}", with(state))).is_ok(), "{state}");
    }
    // A state that is left out is the one in force, of which the file knows nothing.
    let config = Config::from_yaml(&format!("{BEGIN}{}", with(""))).unwrap();
    let stored = serde_json::to_value(&config).unwrap();
    assert!(Config::from_json(&stored).is_err());
    assert!(Config::from_stored(&stored).is_ok(), "one that was stored earlier is read");
}
