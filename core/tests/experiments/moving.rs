//! Users of a flag whom a change of the experiment that owns it moves, and the outcome of an experiment.

use crate::config;
use cutover_core::{
    ExperimentName,
    config::{Cause, Config, ConfigFile, Movement, experiment_from_json, movements},
    rules::experiment::{document::ExperimentState, succession::next},
};
use serde_json::json;

/// A configuration with a flag at a percentage, and the fields of an experiment that decides it.
fn with(percentage: u32, fields: &str) -> Config {
    config(&format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: {percentage} }} }}
holdouts: {{ quiet: {{ percentage: 10 }}, calm: {{ percentage: 10 }} }}
experiments:
  e: {{ name: E, flag: f, {fields}, variants: [{{ key: control, name: C, arm: legacy, traffic_percentage: 50 }},
       {{ key: treatment, name: T, arm: new, traffic_percentage: 50 }}] }}"
    ))
}

#[test]
fn the_share_on_the_new_arm_is_that_of_the_owner_and_of_the_flag_outside_of_it() {
    for (percentage, fields, expected) in [
        (20, "state: draft", 20.0),
        (20, "state: running", 50.0),
        (0, "state: running, traffic_percentage: 40", 20.0),
        (100, "state: running, traffic_percentage: 40", 80.0),
    ] {
        let share = with(percentage, fields).share_on_new(&"f".parse().unwrap());
        assert_eq!(share.percent(), expected, "{fields} at {percentage} %");
    }
}

fn moved(before: &Config, after: &Config) -> Option<Movement> {
    let mut all = movements(before, after, |_| None);
    assert!(all.len() <= 1, "{all:?}");
    all.pop()
}

/// Returns users on the new arm before and after, and those who go back and forward, in percent.
fn shares(movement: &Movement) -> [f64; 4] {
    [movement.from, movement.to, movement.back, movement.forward]
}

#[test]
fn an_experiment_that_starts_ends_or_takes_other_users_moves_users_of_its_flag() {
    for (percentage, before, after, expected) in [
        (0, "state: draft", "state: running", [0.0, 50.0, 0.0, 50.0]),
        (0, "state: running", "state: paused", [50.0, 0.0, 50.0, 0.0]),
        (0, "state: running", "state: stopped", [50.0, 0.0, 50.0, 0.0]),
        (100, "state: running", "state: stopped", [50.0, 100.0, 0.0, 50.0]),
        // Half of those who take part are in each variant, whatever the flag's own bucket says.
        (20, "state: running", "state: stopped", [50.0, 20.0, 40.0, 10.0]),
        (20, "state: stopped", "state: running", [20.0, 50.0, 10.0, 40.0]),
        (0, "traffic_percentage: 100", "traffic_percentage: 40", [50.0, 20.0, 30.0, 0.0]),
        (0, "traffic_percentage: 10", "traffic_percentage: 40", [5.0, 20.0, 0.0, 15.0]),
        (0, "state: running", "holdout: quiet", [50.0, 45.0, 5.0, 0.0]),
        (0, "layer: { name: l, from: 0, to: 50 }", "state: stopped", [25.0, 0.0, 25.0, 0.0]),
        // Two holdouts keep out users who are chosen independently of each other.
        (0, "holdout: quiet", "holdout: calm", [45.0, 45.0, 4.5, 4.5]),
        (0, "traffic_percentage: 10", "traffic_percentage: 40, holdout: quiet", [5.0, 18.0, 0.5, 13.5]),
        // Half of the range stays, and has the variants that it had.
        (
            0,
            "layer: { name: l, from: 0, to: 50 }",
            "layer: { name: l, from: 25, to: 75 }",
            [25.0, 25.0, 12.5, 12.5],
        ),
        // Another salt divides the same users anew.
        (0, "state: running", "salt: other", [50.0, 50.0, 25.0, 25.0]),
    ] {
        let movement = moved(&with(percentage, before), &with(percentage, after))
            .unwrap_or_else(|| panic!("{before} -> {after}"));
        assert_eq!(shares(&movement), expected, "{before} -> {after} at {percentage} %");
        assert_eq!(movement.cause, Cause::Experiment);
        assert_eq!(movement.field(), "ab_tests.e");
        assert!(movement.summary.contains("(experiment)"), "{}", movement.summary);
    }
    for (before, after) in [
        ("state: draft", "state: stopped"),
        ("state: running", "description: words"),
        ("state: draft", "salt: s, state: draft"),
    ] {
        assert_eq!(moved(&with(20, before), &with(20, after)), None, "{before} -> {after}");
    }
}

/// Whom conditions admit is unknown: every user of the experiment may begin or end to take part.
#[test]
fn other_conditions_may_move_every_user_of_the_experiment() {
    let condition = |country: &str| {
        format!("conditions: [{{ type: attribute, name: country, op: equals, values: [{country}] }}]")
    };
    let words = |share: f64| {
        format!(
            "f: 50 % -> 50 % (experiment: other conditions), up to {share} % of users go back to legacy, \
             up to {share} % of users go to the new backend"
        )
    };
    for (percentage, share) in [(0, 50.0), (20, 40.0)] {
        for (before, after) in [
            (condition("NO"), condition("SE")),
            ("state: running".to_owned(), condition("NO")),
            (condition("NO"), "state: running".to_owned()),
        ] {
            let movement = moved(&with(percentage, &before), &with(percentage, &after)).unwrap();
            assert_eq!((movement.back, movement.forward), (share, share), "{before} -> {after}");
            assert_eq!((movement.cause, movement.field().as_str()), (Cause::Experiment, "ab_tests.e"));
            assert_eq!(movement.summary, words(share));
        }
        assert_eq!(moved(&with(percentage, &condition("NO")), &with(percentage, &condition("NO"))), None);
        let draft = |country: &str| with(percentage, &format!("state: draft, {}", condition(country)));
        assert_eq!(moved(&draft("NO"), &draft("SE")), None, "nobody takes part");
    }
}

#[test]
fn weights_and_arms_move_the_users_whose_variant_is_on_another_arm() {
    let running = with(0, "state: running");
    let file = |text: &str| ConfigFile::from_yaml(text).unwrap();
    let weighted = "feature_flags: { f: { enabled: true } }
experiments:
  e: { name: E, flag: f, variants: [{ key: control, name: C, arm: legacy, traffic_percentage: 80 },
       { key: treatment, name: T, arm: new, traffic_percentage: 20 }] }";
    let merged = file(weighted).merged_into(&running, false);
    assert_eq!(shares(&moved(&running, &merged).unwrap()), [50.0, 20.0, 30.0, 0.0]);
    let swapped = weighted.replace("arm: legacy, traffic_percentage: 80", "arm: new, traffic_percentage: 50");
    let swapped = swapped.replace("arm: new, traffic_percentage: 20", "arm: legacy, traffic_percentage: 50");
    let merged = file(&swapped).merged_into(&running, false);
    assert_eq!(shares(&moved(&running, &merged).unwrap()), [50.0, 50.0, 50.0, 50.0]);
}

#[test]
fn a_switch_of_the_flag_moves_the_users_of_its_experiment_and_is_the_cause() {
    let running = with(0, "state: running");
    let mut off = running.clone();
    off.feature_flags.values_mut().for_each(|flag| flag.enabled = false);
    let movement = moved(&running, &off).unwrap();
    assert_eq!((movement.cause, shares(&movement)), (Cause::Disabled, [50.0, 0.0, 50.0, 0.0]));
    assert_eq!(movement.experiment, None);
}

#[test]
fn a_file_that_ends_an_experiment_has_its_place() {
    let text = "experiments:\n  e:\n    name: E\n    variants: { a: A, b: B }\n";
    let problem =
        ConfigFile::from_yaml(text).unwrap().problem("ab_tests.e".to_owned(), String::new(), String::new());
    assert_eq!((problem.line, problem.column), (2, 3));
}

#[test]
fn an_outcome_stays_with_the_stop_and_ends_when_the_experiment_goes_on() {
    let name: ExperimentName = "e".parse().unwrap();
    let stopped = with(0, "state: stopped, outcome: { decision: ship it, winner: treatment }");
    let held = &stopped.ab_tests[&name];
    let outcome = held.outcome.clone().unwrap();
    assert_eq!((outcome.decision.as_str(), outcome.winner.unwrap().as_str()), ("ship it", "treatment"));
    let bare = with(0, "state: stopped");
    assert_eq!(next(&name, Some(held), &bare.ab_tests[&name]).outcome, held.outcome);
    let running = with(0, "state: running");
    assert_eq!(next(&name, Some(held), &running.ab_tests[&name]).outcome, None);
    // A file that leaves the state open keeps the outcome too.
    let open = "feature_flags: { f: { enabled: true } }\nexperiments: { e: { name: E, variants: { control: C, treatment: T } } }";
    let merged = ConfigFile::from_yaml(open).unwrap().merged_into(&stopped, false);
    assert_eq!(merged.ab_tests[&name].state, ExperimentState::Stopped);
    assert_eq!(merged.ab_tests[&name].outcome, held.outcome);
    merged.check().unwrap();
    let refused = |fields: &str| {
        let text = format!("experiments: {{ e: {{ name: E, {fields}, variants: {{ a: A, b: B }} }} }}");
        Config::from_yaml(&text).unwrap_err().remove(0).message
    };
    assert_eq!(refused("outcome: { decision: early }"), "only a stopped experiment has an outcome");
    assert_eq!(refused("state: stopped, outcome: { winner: c }"), "there is no variant \"c\"");
}

#[test]
fn one_experiment_is_read_beside_a_live_configuration() {
    let live = with(0, "state: running");
    let body = |flag: &str| {
        json!({ "name": "N", "flag": flag, "variants": [
        { "key": "a", "name": "A", "traffic_percentage": 50, "arm": "legacy" },
        { "key": "b", "name": "B", "traffic_percentage": 50, "arm": "new" },
    ] })
    };
    let read = experiment_from_json(&body("f"), &live, ExperimentState::Draft).unwrap();
    assert_eq!(read.state, ExperimentState::Draft, "the state is left out");
    let mut stated = body("f");
    stated["state"] = json!("running");
    let read = experiment_from_json(&stated, &live, ExperimentState::Draft).unwrap();
    assert_eq!(read.state, ExperimentState::Running);
    let mistakes = experiment_from_json(&body("g"), &live, ExperimentState::Draft).unwrap_err();
    assert_eq!(
        (mistakes[0].field.as_str(), mistakes[0].message.as_str()),
        ("flag", "there is no flag \"g\"")
    );
}
