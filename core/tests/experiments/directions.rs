//! The direction in which a metric gets better, if it is left out or contradicts what the metric counts.

use super::{config, only};
use cutover_core::{
    Timestamp,
    config::{Config, ConfigFile, diff},
    experiment::{Arrivals, Conclusion, DEFAULT_CAPACITY, Design, Phase, PhaseIdentity},
    measurement::{
        batch::Batch,
        experiments::{ExperimentPart, Exposure, UserOutcome},
    },
    rules::experiment::metric::Direction,
};

/// Returns a file with an experiment that has one metric, with these fields.
fn file(metric: &str) -> String {
    format!(
        "feature_flags: {{ f: {{ enabled: true }} }}\norigins: {{ o: {{ url: \"http://o.internal\" }} }}\n\
         routes: [{{ id: orders, match: {{ path: /orders }}, flag: f, legacy: o, new: o }}]\n\
         experiments: {{ t: {{ name: T, variants: {{ control: C, treatment: T }}, \
         metrics: [{{ name: m, {metric} }}] }} }}\n"
    )
}

/// Returns the direction of the only metric.
fn direction(config: &Config) -> Direction {
    only(config).metrics[0].direction
}

/// Returns the conclusion after 40 users of a variant, and none of the other, have had an event of the only metric.
fn concluded(config: &Config, variant: u8) -> Conclusion {
    let (name, experiment) = config.ab_tests.first_key_value().unwrap();
    let began = Timestamp::from_millis(0);
    let identity = PhaseIdentity { experiment: name.clone(), phase: 1, began };
    let mut phase = Phase::begin(identity, Design::of(experiment), DEFAULT_CAPACITY);
    let mut part = ExperimentPart::empty(name.clone(), 1, 10);
    for user in 1..=40 {
        part.exposures.push(Exposure { user, variant, after_s: 0 });
        // As many of the other one have none.
        part.exposures.push(Exposure { user: user + 1_000, variant: 1 - variant, after_s: 0 });
        part.outcomes.push(UserOutcome { user, metric: 0, after_s: 1, value: None, id: None });
    }
    let mut arrivals = Arrivals::new(name.clone(), 1);
    arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) });
    let now = Timestamp::from_millis(60_000);
    phase.fold(&arrivals, now);
    phase.judged(now, "test").judgement.conclusion
}

#[test]
fn a_direction_that_is_left_out_is_that_of_what_the_metric_counts() {
    use Direction::{Decrease, Increase};
    for (on, expected) in [
        ("error", Decrease),
        ("{ slow: { over_ms: 800 } }", Decrease),
        ("{ response: { route: orders, status: { from: 500, to: 599 } } }", Decrease),
        ("{ response: { route: orders, status: { from: 400, to: 404 } } }", Decrease),
        ("{ response: { route: orders, status: { from: 399, to: 599 } } }", Increase),
        ("{ response: { route: orders } }", Increase),
        ("{ event: refund }", Increase),
    ] {
        for role in ["primary", "guardrail", "secondary"] {
            let left_out = config(&file(&format!("role: {role}, on: {on}")));
            assert_eq!(direction(&left_out), expected, "{role} {on}");
            let null = config(&file(&format!("role: {role}, direction: null, on: {on}")));
            assert_eq!(null, left_out, "{role} {on}");
            // An export has it, and changes nothing.
            let written = left_out.written().unwrap();
            assert_eq!(Config::from_json(&written).unwrap(), left_out, "{written:#}");
        }
        let other = if expected == Increase { "decrease" } else { "increase" };
        let written = config(&file(&format!("direction: {other}, on: {on}")));
        assert_ne!(direction(&written), expected, "what is written holds: {on}");
    }
}

/// Such a guardrail let every fault of the variant pass, and stopped the experiment for a fault of control.
#[test]
fn a_guardrail_on_errors_or_slow_responses_fires_for_more_of_them() {
    for on in [
        "error",
        "{ slow: { over_ms: 800 } }",
        "{ response: { route: orders, status: { from: 500, to: 599 } } }",
    ] {
        let config = config(&file(&format!("role: guardrail, on: {on}")));
        let [of_control, of_treatment] = [0, 1].map(|variant| concluded(&config, variant));
        assert_eq!(of_treatment, Conclusion::Off { variant: 1, metric: 0 }, "{on}");
        assert!(matches!(of_control, Conclusion::Continue { .. }), "{on}: {of_control:?}");
    }
    // Fewer orders are harm.
    let config = config(&file("role: guardrail, on: { event: order }"));
    assert_eq!(concluded(&config, 0), Conclusion::Off { variant: 1, metric: 0 });
}

#[test]
fn a_guardrail_that_would_stop_a_variant_with_fewer_errors_is_refused() {
    for on in ["error", "{ slow: { over_ms: 800 } }"] {
        let text = file(&format!("role: guardrail, direction: increase, on: {on}"));
        let problems = Config::from_yaml(&text).map(|_| ()).unwrap_err();
        let [problem] = &problems[..] else { panic!("{problems:#?}") };
        assert_eq!((problem.line, problem.field.as_str()), (4, "experiments.t.metrics[0].direction"), "{on}");
        assert!(problem.message.contains("fewer errors"), "{problem:?}");
        assert_eq!(problem.hint, "write direction: decrease, or leave it out");
    }
    // An operator may want to see these.
    for allowed in
        ["direction: increase, on: error", "role: primary, direction: increase, on: { slow: { over_ms: 9 } }"]
    {
        assert_eq!(direction(&config(&file(allowed))), Direction::Increase, "{allowed}");
    }
    let refused_bots = "role: guardrail, direction: increase, \
                        on: { response: { route: orders, status: { from: 403, to: 403 } } }";
    assert_eq!(direction(&config(&file(refused_bots))), Direction::Increase);
}

/// An earlier version stored `increase` if the file had none. Its phase is judged as it began, its records replay as
/// they were, and no change of another object fails; the file that made it begins the next phase.
#[test]
fn a_stored_guardrail_with_the_direction_of_an_earlier_version_stays_as_it_is() {
    let now = config(&file("role: guardrail, on: error"));
    let mut stored = serde_json::to_value(&now).unwrap();
    stored["ab_tests"]["t"]["metrics"][0]["direction"] = serde_json::json!("increase");
    let earlier = Config::from_stored(&stored).unwrap();
    assert_eq!((direction(&earlier), earlier.check()), (Direction::Increase, Ok(())));
    assert_eq!(serde_json::to_value(&earlier).unwrap(), stored);
    assert_eq!(concluded(&earlier, 0), Conclusion::Off { variant: 1, metric: 0 });
    let merged =
        ConfigFile::from_yaml(&file("role: guardrail, on: error")).unwrap().merged_into(&earlier, false);
    assert_eq!(diff(&earlier, &merged).len(), 1);
    assert_eq!((direction(&merged), only(&merged).phase), (Direction::Decrease, only(&earlier).phase + 1));
}
