//! Changes of a large file one by one: what is in force after each of them is a valid configuration that the edge can use.

use super::config;
use cutover_core::{
    FlagName, Revision, Ruleset,
    config::{Change, Config, diff},
    values::document::{Prerequisite, ValueFlag},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Makes one of the changes on the way to `after`.
fn stepped(now: &Config, after: &Config, change: &Change) -> Config {
    let mut document = serde_json::to_value(now).unwrap();
    let section = document.as_object_mut().unwrap().entry(change.section).or_insert_with(|| json!({}));
    let objects = section.as_object_mut().unwrap();
    match after.object(change.section, &change.name) {
        Some(value) => drop(objects.insert(change.name.clone(), value)),
        None => drop(objects.remove(&change.name)),
    }
    serde_json::from_value(document).unwrap()
}

/// Makes all changes between two configurations, there and back.
fn check(one: &str, other: &str) {
    for (before, after) in [(one, other), (other, one)] {
        let (mut now, after) = (config(before), config(after));
        let changes = diff(&now, &after);
        for (index, change) in changes.iter().enumerate() {
            now = stepped(&now, &after, change);
            let made: Vec<String> = changes[..=index].iter().map(Change::object).collect();
            assert_eq!(now.check(), Ok(()), "after {made:?}");
            assert!(Ruleset::compile(&now.clone().snapshot(Revision(1), None)).is_ok(), "after {made:?}");
        }
        assert!(diff(&now, &after).is_empty());
    }
}

#[test]
fn a_flag_and_a_part_of_a_layer_are_free_before_another_experiment_takes_them() {
    let flag =
        "feature_flags: { f: { enabled: true }, g: { enabled: true } }\nholdouts: { h: { percentage: 5 } }\n";
    let arms = "variants: { a: { name: A, arm: legacy }, b: { name: B, arm: new } }";
    let all = |experiments: &[(&str, &str)]| {
        let line = |(name, fields): &(&str, &str)| format!("  {name}: {{ name: N, {fields}, {arms} }}\n");
        format!("{flag}experiments:\n{}", experiments.iter().map(line).collect::<String>())
    };
    // The one that comes first by name takes the flag of the last one.
    check(
        &all(&[("alpha", "flag: f, state: draft"), ("zeta", "flag: f")]),
        &all(&[("alpha", "flag: f"), ("zeta", "flag: f, state: stopped")]),
    );
    check(
        &all(&[("alpha", "flag: f, state: paused"), ("zeta", "flag: g")]),
        &all(&[("alpha", "flag: g, holdout: h"), ("zeta", "flag: f, state: draft")]),
    );
    check(
        &all(&[("a", "flag: f, state: draft"), ("m", "flag: f, state: draft"), ("z", "flag: f")]),
        "feature_flags: { f: { enabled: true } }\nexperiments: { n: { name: N, flag: f, variants: \
         { a: { name: A, arm: legacy }, b: { name: B, arm: new } } } }",
    );
    let layer =
        |from: u32| format!("flag: f, state: draft, layer: {{ name: l, from: {from}, to: {} }}", from + 25);
    let parts = [0, 25, 50, 75].map(layer);
    let [first, second, third, fourth] = parts.each_ref().map(String::as_str);
    // Each takes the part of the next one.
    check(
        &all(&[("a", first), ("b", second), ("c", third)]),
        &all(&[("a", second), ("b", third), ("c", fourth)]),
    );
}

#[test]
fn a_flag_with_values_is_there_as_long_as_another_one_needs_it() {
    let flag = |name: &str, variants: &str, needs: &str| {
        format!(
            "  {name}: {{ type: string, enabled: true, variants: {{ red: r, {variants} }}, default: red, off: red, \
             prerequisites: [{needs}] }}\n"
        )
    };
    let flags = |flags: &[String]| format!("flags:\n{}", flags.concat());
    let (green, blue) = ("green: g", "blue: b");
    let (needs_a, needs_z) = ("{ flag: a, variant: red }", "{ flag: z, variant: green }");
    let none = "feature_flags: { f: { enabled: true } }";
    check(none, &flags(&[flag("a", green, needs_z), flag("z", green, "")]));
    check(none, &flags(&[flag("a", green, ""), flag("z", green, needs_a)]));
    // No circle while they change sides.
    check(
        &flags(&[flag("a", green, ""), flag("z", green, needs_a)]),
        &flags(&[flag("a", green, needs_z), flag("z", green, "")]),
    );
    // A variant is there before a flag needs it, and goes after that.
    check(
        &flags(&[flag("b", green, ""), flag("z", green, "{ flag: b, variant: green }")]),
        &flags(&[flag("b", "green: g, blue: b", ""), flag("z", green, "{ flag: b, variant: blue }")]),
    );
    check(
        &flags(&[flag("a", green, ""), flag("b", blue, "")]),
        &flags(&[flag("a", green, "{ flag: b, variant: green }"), flag("b", green, "")]),
    );
    // A variant goes once the only flag that needs it is deleted.
    check(
        &flags(&[flag("a", green, ""), flag("b", blue, "{ flag: a, variant: green }")]),
        &flags(&[flag("a", blue, "")]),
    );
    // No neighbour of the circle's first flag changes but the one in its middle.
    let of = |name: &str| format!("{{ flag: {name}, variant: red }}");
    check(
        &flags(&[
            flag("a", green, ""),
            flag("b", green, &of("c")),
            flag("c", green, &of("d")),
            flag("d", green, &of("a")),
        ]),
        &flags(&[
            flag("a", green, &of("b")),
            flag("b", green, &of("c")),
            flag("c", green, ""),
            flag("d", green, &of("a")),
        ]),
    );
    // A flag of routes is there as long as a flag with values needs it.
    let routing = |name: &str| format!("feature_flags: {{ {name}: {{ enabled: true }} }}\n");
    check(
        &routing("g"),
        &format!("{}{}", routing("f"), flags(&[flag("a", green, "{ flag: f, variant: new }")])),
    );
}

/// A viewer asks for the changes of a file with a dry run. Tried in rounds over all flags, these would take a minute.
#[test]
fn many_flags_in_many_layers_are_ordered_at_once() {
    const LAYERS: usize = 60;
    const COLUMNS: usize = 84;
    let text = "flags: { f: { type: string, enabled: true, variants: { red: r, green: g }, default: red, off: red } }";
    let prototype = config(text).flags.into_values().next().unwrap();
    // By name each flag comes before the one that it needs, or after it.
    for is_reversed in [false, true] {
        let name = |layer: usize, column: usize| -> FlagName {
            let position = if is_reversed { LAYERS - layer } else { layer };
            format!("layer-{position:02}-{column:02}").parse().unwrap()
        };
        let mut full = Config::default();
        for (layer, column) in (0..LAYERS).flat_map(|layer| (0..COLUMNS).map(move |column| (layer, column))) {
            let needed = || Prerequisite { flag: name(layer + 1, column), variant: "red".parse().unwrap() };
            let prerequisites = if layer + 1 < LAYERS { vec![needed()] } else { Vec::new() };
            let flag = ValueFlag { prerequisites, ..prototype.clone() };
            full.flags.insert(name(layer, column), flag);
        }
        let none = Config::default();
        let began = Instant::now();
        let (created, deleted) = (diff(&none, &full), diff(&full, &none));
        let elapsed = began.elapsed();
        assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");

        let places = |changes: &[Change]| -> BTreeMap<String, usize> {
            changes.iter().enumerate().map(|(place, change)| (change.name.clone(), place)).collect()
        };
        let (created, deleted) = (places(&created), places(&deleted));
        assert_eq!((created.len(), deleted.len()), (LAYERS * COLUMNS, LAYERS * COLUMNS));
        for (flag, needed) in full.flags.iter().flat_map(|(name, flag)| {
            flag.prerequisites.iter().map(move |needed| (name.as_str(), needed.flag.as_str()))
        }) {
            assert!(created[needed] < created[flag], "{flag} is created before {needed}");
            assert!(deleted[flag] < deleted[needed], "{needed} is deleted before {flag}");
        }
    }
}
