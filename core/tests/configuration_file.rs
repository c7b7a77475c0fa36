//! The configuration file against the live configuration: percentages that it leaves out, users that it moves, and warnings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use cutover_core::{
    FlagName, PartsPerMillion, Timestamp,
    config::{Cause, Config, ConfigFile, Movement, flag_from_yaml, movements},
};
use proptest::prelude::*;

fn name(text: &str) -> FlagName {
    text.parse().unwrap()
}

fn config(flag: &str) -> Config {
    Config::from_yaml(&format!("feature_flags: {{ {flag} }}")).unwrap()
}

/// Returns the only movement between two versions of a flag; an empty string stands for no flag.
fn moved(before: &str, after: &str) -> Option<Movement> {
    let mut all = movements(&config(before), &config(after), |_| None);
    assert!(all.len() <= 1, "{all:?}");
    all.pop()
}

#[test]
fn a_percentage_that_a_file_leaves_out_stays_as_it_is() {
    let live = config("f: { enabled: true, rollout_percentage: 100, description: old }");
    for text in [
        "feature_flags: { f: { enabled: true, description: new }, fresh: { enabled: true } }",
        r#"{"feature_flags":{"f":{"enabled":true,"description":"new"},"fresh":{"enabled":true}}}"#,
    ] {
        let file = ConfigFile::from_yaml(text).unwrap();
        assert!(file.leaves_share_open(&name("f")) && file.leaves_share_open(&name("fresh")), "{text}");
        for prune in [false, true] {
            let merged = file.merged_into(&live, prune);
            let flag = &merged.feature_flags[&name("f")];
            assert_eq!((flag.rollout_percentage, flag.description.as_str()), (PartsPerMillion::ALL, "new"));
            assert_eq!(merged.feature_flags[&name("fresh")].rollout_percentage, PartsPerMillion::ZERO);
        }
        // What is sent in its place says no more than the file.
        let written = file.written().unwrap();
        assert_eq!(written["feature_flags"]["f"].get("rollout_percentage"), None, "{written}");
        assert_eq!(
            ConfigFile::from_json(&written).unwrap().merged_into(&live, true),
            file.merged_into(&live, true)
        );
    }
    let stated = ConfigFile::from_yaml("feature_flags: { f: { rollout_percentage: 0 } }").unwrap();
    assert!(!stated.leaves_share_open(&name("f")), "0 is a percentage too");
    assert_eq!(stated.merged_into(&live, false).feature_flags[&name("f")].rollout_percentage.percent(), 0.0);
    assert_eq!(stated.written().unwrap()["feature_flags"]["f"]["rollout_percentage"], 0.0);
}

#[test]
fn a_flag_from_an_editor_keeps_a_percentage_that_is_left_out_and_its_mistakes_have_lines() {
    let held = PartsPerMillion::of_percent(30);
    let read = |text: &str| flag_from_yaml(&name("f"), text, held);
    assert_eq!(read("# a comment\nenabled: true\n").unwrap().rollout_percentage, held);
    assert_eq!(read("rollout_percentage: 5\n").unwrap().rollout_percentage.percent(), 5.0);
    let mistakes = read("enabled: true\nrolout_percentage: 5\n").unwrap_err();
    assert_eq!((mistakes[0].line, mistakes[0].field.as_str()), (2, "rolout_percentage"));
}

#[test]
fn the_users_that_a_change_moves_are_counted_with_their_direction() {
    let at = |share: u32| format!("f: {{ enabled: true, rollout_percentage: {share} }}");
    let off = "f: { enabled: false, rollout_percentage: 50 }".to_owned();
    let salted = |share: u32| format!("f: {{ enabled: true, rollout_percentage: {share}, salt: other }}");
    let none = String::new();
    let cases = [
        (at(100), at(25), Cause::Percentage, "f: 100 % -> 25 %, about 75 % of users go back to legacy"),
        (at(10), at(30), Cause::Percentage, "f: 10 % -> 30 %, about 20 % of users go to the new backend"),
        (
            at(50),
            off.clone(),
            Cause::Disabled,
            "f: 50 % -> 0 % (disabled), about 50 % of users go back to legacy",
        ),
        (
            off.clone(),
            at(50),
            Cause::Enabled,
            "f: 0 % -> 50 % (enabled), about 50 % of users go to the new backend",
        ),
        (
            at(50),
            none.clone(),
            Cause::Deleted,
            "f: 50 % -> 0 % (deleted), about 50 % of users go back to legacy",
        ),
        (
            none.clone(),
            at(5),
            Cause::Created,
            "f: 0 % -> 5 % (new), about 5 % of users go to the new backend",
        ),
        (
            at(50),
            salted(50),
            Cause::Salt,
            "f: 50 % -> 50 % (another salt), about 25 % of users go back to legacy, about 25 % of users go to the new backend",
        ),
    ];
    for (before, after, cause, summary) in cases {
        let movement = moved(&before, &after).unwrap();
        assert_eq!((movement.cause, movement.summary.as_str()), (cause, summary));
    }
    for (before, after) in [
        (at(50), at(50)),
        (off.clone(), none.clone()),
        (none, off),
        (at(100), salted(100)),
        (at(50), "f: { enabled: true, rollout_percentage: 50, description: words }".to_owned()),
    ] {
        assert_eq!(moved(&before, &after), None, "{before} -> {after}");
    }
}

#[test]
fn the_salt_of_a_run_is_the_salt_in_force() {
    let (bare, salted) = (
        config("f: { enabled: true, rollout_percentage: 50 }"),
        config("f: { enabled: true, rollout_percentage: 50, salt: f-r2 }"),
    );
    assert_eq!(movements(&bare, &salted, |_| Some("f-r2")), []);
    assert_eq!(movements(&bare, &salted, |_| None).len(), 1);
}

/// A configuration with a flag at 25 % and one at 60 %, one that is disabled, and routes.
fn with_routes(share: u32, routes: &str) -> Config {
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: {share} }}, g: {{ enabled: true, rollout_percentage: 60 }}, \
         off: {{ rollout_percentage: 50 }} }}\norigins: {{ a: {{ url: \"http://a\" }}, b: {{ url: \"http://b\" }} }}\n\
         routes: [{routes}]\n"
    );
    Config::from_yaml(&text).unwrap()
}

#[test]
fn a_deleted_route_moves_the_users_whom_it_sent_to_the_new_backend() {
    let route = |id: &str, methods: &str, path: &str, flag: &str| {
        format!(
            "{{ id: {id}, match: {{ methods: [{methods}], path: \"{path}\" }}, flag: {flag}, legacy: a, new: b }}"
        )
    };
    let before = with_routes(25, &route("r", "GET", "/x/{id}", "f"));
    for (left, expected) in [
        (String::new(), Some([25.0, 0.0, 25.0, 0.0])),
        // Another route has its requests: of the same flag, or of one that chooses its users by itself.
        (route("all", "GET", "/{*rest}", "f"), None),
        (route("renamed", "GET", "/x/{key}", "f"), None),
        (route("all", "GET", "/{*rest}", "g"), Some([25.0, 60.0, 10.0, 45.0])),
        (route("all", "GET", "/{*rest}", "off"), Some([25.0, 0.0, 25.0, 0.0])),
        // Other methods and paths are other requests.
        (route("all", "POST", "/{*rest}", "f"), Some([25.0, 0.0, 25.0, 0.0])),
        (route("one", "GET", "/x/one", "f"), Some([25.0, 0.0, 25.0, 0.0])),
    ] {
        let moves = movements(&before, &with_routes(25, &left), |_| None);
        let shares = moves.first().map(|moved| [moved.from, moved.to, moved.back, moved.forward]);
        assert_eq!((shares, moves.len()), (expected, expected.iter().len()), "{left}: {moves:?}");
        for moved in moves {
            assert_eq!((moved.cause, moved.flag.as_str()), (Cause::Route, "f"), "{left}");
            assert_eq!(moved.field(), "routes.r", "{left}");
        }
    }
    let moves = movements(&before, &with_routes(25, ""), |_| None);
    let summary = "f: 25 % -> 0 % (route r deleted), about 25 % of users go back to legacy";
    assert_eq!(moves[0].summary, summary);
    // Users whom the flag itself moves are counted once.
    let lowered = movements(&before, &with_routes(10, ""), |_| None);
    let back: Vec<(Cause, f64)> = lowered.iter().map(|moved| (moved.cause, moved.back)).collect();
    assert_eq!(back, [(Cause::Percentage, 15.0), (Cause::Route, 10.0)]);
    // A route for every method, and one of several methods of which another route has some.
    let any = "{ id: r, match: { path: /x }, flag: f, legacy: a, new: b }";
    let moves = movements(&with_routes(25, any), &with_routes(25, &route("get", "GET", "/x", "f")), |_| None);
    assert_eq!(moves.len(), 1);
    let several = with_routes(25, &route("r", "\"GET\", \"POST\"", "/x", "f"));
    let moves = movements(&several, &with_routes(25, &route("get", "GET", "/x", "f")), |_| None);
    assert_eq!(moves.len(), 1);
}

/// A route for the rest of a path has paths of every length, and those that take its place may be for some of them.
#[test]
fn a_deleted_catch_all_moves_the_users_of_every_length_of_its_paths() {
    let route = |id: &str, path: &str, flag: &str| {
        format!("{{ id: {id}, match: {{ path: \"{path}\" }}, flag: {flag}, legacy: a, new: b }}, ")
    };
    let (deleted, top) = (route("r", "/x/{*rest}", "f"), route("top", "/x/", "g"));
    let legacy = Some([25.0, 0.0, 25.0, 0.0]);
    for (kept, left, expected) in [
        ("", String::new(), legacy),
        ("", route("two", "/x/{a}/{b}", "f"), legacy),
        ("", route("some", "/x/{a}/{*rest}", "f"), legacy),
        ("", route("few", "/x/{a}/{b}", "f") + &route("one", "/x/{a}", "f"), legacy),
        ("", route("all", "/x/{*all}", "f"), None),
        ("", route("all", "/{*all}", "f"), None),
        // Requests with two segments go to another new backend, and the others to legacy.
        ("", route("two", "/x/{a}/{b}", "g"), Some([25.0, 60.0, 25.0, 45.0])),
        // Requests of the path itself were not those of the deleted route.
        (top.as_str(), route("some", "/x/{a}/{*rest}", "f"), None),
        (top.as_str(), route("two", "/x/{a}/{b}", "f"), legacy),
    ] {
        let config = |routes: &str| with_routes(25, format!("{kept}{routes}").trim_end_matches(", "));
        let moves = movements(&config(&deleted), &config(&left), |_| None);
        let shares = moves.first().map(|moved| [moved.from, moved.to, moved.back, moved.forward]);
        assert_eq!((shares, moves.len()), (expected, expected.iter().len()), "{kept}{left}: {moves:?}");
    }
}

proptest! {
    /// What is counted agrees with the difference of the shares, and with the opposite change.
    #[test]
    fn movements_add_up(from in 0_u32..=100, to in 0_u32..=100, salted in any::<bool>()) {
        let salt = if salted { ", salt: other" } else { "" };
        let before = format!("f: {{ enabled: true, rollout_percentage: {from} }}");
        let after = format!("f: {{ enabled: true, rollout_percentage: {to}{salt} }}");
        let (there, back) = (moved(&before, &after), moved(&after, &before));
        match (there, back) {
            (Some(there), Some(back)) => {
                prop_assert_eq!((there.back, there.forward), (back.forward, back.back));
                prop_assert!((there.forward - there.back - (f64::from(to) - f64::from(from))).abs() < 1e-9);
                prop_assert!(there.back <= f64::from(from) && there.forward <= f64::from(to));
            }
            (None, None) => prop_assert_eq!(from, to),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn conditions_that_never_hold_and_flags_without_routes_are_warned_about_with_their_place() {
    let now: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
    let text = r#"feature_flags:
  used:
    enabled: true
    conditions:
      - { type: time_window, end: "2025-12-31T00:00:00Z" }
      - { type: time_window, start: "2026-03-01T00:00:00Z" }
      - { type: attribute, name: country, op: in, values: [NO, SE] }
      - { type: attribute, name: country, op: equals, values: [DK] }
  unused: { enabled: true }
origins: { o: { url: "http://o.internal" } }
routes: [{ id: r, match: { path: /r }, flag: used, legacy: o, new: o }]
"#;
    let file = ConfigFile::from_yaml(text).unwrap();
    let warnings = file.warnings(&file.config, now);
    let expected = [
        "5:9: feature_flags.used.conditions[0]: the time window ended at 2025-12-31T00:00:00Z, so only",
        "6:9: feature_flags.used.conditions[1]: it never holds together with conditions[0], so only",
        "8:9: feature_flags.used.conditions[3]: it never holds together with conditions[2], so only",
        "no route uses the flag unused, so it decides nothing",
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(expected), "{warning}");
    }
    // The routes may be in force already.
    let flags = ConfigFile::from_yaml("feature_flags: { used: { enabled: true } }").unwrap();
    assert_eq!(flags.warnings(&file.config, now), Vec::<String>::new());
    let many: String = (0..7).map(|number| format!("  f{number}: {{ enabled: true }}\n")).collect();
    let many = ConfigFile::from_yaml(&format!("feature_flags:\n{many}")).unwrap();
    assert_eq!(
        many.warnings(&many.config, now),
        ["no route uses the flags f0, f1, f2, f3, f4 and 2 more, so they decide nothing"]
    );
    let problem =
        file.problem("feature_flags.used.rollout_percentage".to_owned(), "m".to_owned(), "h".to_owned());
    assert_eq!((problem.line, problem.column), (2, 3), "the place of the flag");
}

#[test]
fn only_conditions_that_certainly_exclude_each_other_are_warned_about() {
    let now: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
    let attribute = |name: &str, op: &str, values: &str| {
        format!("      - {{ type: attribute, name: \"{name}\", op: {op}, values: [{values}] }}\n")
    };
    let warns = |one: &str, other: &str| {
        let text = format!("feature_flags:\n  f:\n    enabled: true\n    conditions:\n{one}{other}");
        let file = ConfigFile::from_yaml(&text).unwrap();
        file.warnings(&file.config, now).iter().any(|warning| warning.contains("never holds together"))
    };
    let cases = [
        ("semver_gte", "\"5.0.0\"", "semver_lt", "\"4.2.0\"", true),
        ("semver_gte", "\"4.2.0\"", "semver_lt", "\"4.2.0\"", true),
        ("semver_gte", "\"4.2.0\"", "semver_lte", "\"4.2.0\"", false),
        ("semver_gt", "\"4.1.0\"", "semver_lt", "\"4.2.0\"", false),
        ("semver_equals", "\"4.2.0\"", "semver_gt", "\"4.2.0\"", true),
        ("semver_equals", "\"4.2.0\"", "semver_gte", "\"4.2.0\"", false),
        ("semver_equals", "\"4.2.0\"", "semver_equals", "\"4.3.0\"", true),
        ("gt", "10", "lt", "5", true),
        ("gt", "10", "lte", "10", true),
        ("gte", "10", "lte", "10", false),
        ("gt", "1", "gt", "9", false),
        ("in", "a, b", "in", "b, c", false),
        ("in", "a, b", "in", "c", true),
        ("equals", "a", "not_equals", "a", true),
        ("in", "a, b", "not_in", "a", false),
        ("equals", "android", "starts_with", "ios", true),
        ("equals", "android", "contains", "droid", false),
        ("equals", "7", "gt", "5", false),
        ("contains", "x", "not_in", "x", false),
    ];
    for (one, values, other, other_values, expected) in cases {
        let [left, right] =
            [(one, values), (other, other_values)].map(|(op, values)| attribute("header:x", op, values));
        let shown = format!("{one} {values}, {other} {other_values}");
        assert_eq!(warns(&left, &right), expected, "{shown}");
        assert_eq!(warns(&right, &left), expected, "{shown}, the other way round");
        assert!(!warns(&left, &attribute("header:y", other, other_values)), "{shown}, of two headers");
    }
    assert!(warns(
        &attribute("ip", "equals", "\"10.1.2.3\""),
        &attribute("ip", "cidr", "\"192.168.0.0/16\"")
    ));
    assert!(!warns(&attribute("ip", "equals", "\"10.1.2.3\""), &attribute("ip", "cidr", "\"10.0.0.0/8\"")));
}

#[test]
fn a_rate_in_percent_is_told_from_a_share() {
    let example = include_str!("../../docs/example.yaml");
    let text = example
        .replace("success_criteria:  { max_error_rate: 0.05,", "success_criteria:  { max_error_rate: 5,");
    let mistakes = Config::from_yaml(&text).unwrap_err();
    assert_eq!(mistakes[0].message, "5 is out of range");
    assert_eq!(mistakes[0].hint, "write a share from 0 to 1, such as 0.05 for 5 %");
}
