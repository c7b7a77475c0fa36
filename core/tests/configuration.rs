//! The configuration file: the established shape loads, and every mistake is reported at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use cutover_core::{
    canary::plan::{AfterStepPolicy, CanaryPlan, RelativePolicy, ToleratedRisk},
    config::{Action, Config, diff},
    vocabulary::names::FlagName,
};

const EXAMPLE: &str = include_str!("../../docs/example.yaml");

fn mistakes(text: &str) -> String {
    let problems = Config::from_yaml(text).expect_err("the file has mistakes");
    problems.iter().map(|problem| format!("{problem}\n  hint: {}\n", problem.hint)).collect()
}

#[test]
fn the_established_example_loads_unchanged() {
    let config = Config::from_yaml(EXAMPLE).unwrap();
    let flag = &config.feature_flags[&"graphql_reviews_read".parse::<FlagName>().unwrap()];
    assert!(flag.enabled);
    assert_eq!(flag.rollout_percentage.percent(), 25.0);
    assert_eq!(flag.user_whitelist, ["user-123"]);
    assert_eq!(flag.conditions.len(), 1);
    assert_eq!(config.canary_deployments.len(), 1);
    assert_eq!(config.ab_tests.len(), 1);
    assert_eq!(config.origins.len(), 2);
    assert_eq!(config.routes[0].id.as_str(), "reviews.read");
    insta::assert_json_snapshot!(config);
}

#[test]
fn json_is_the_same_configuration() {
    let config = Config::from_yaml(EXAMPLE).unwrap();
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(Config::from_json(&json).unwrap(), config);
    assert_eq!(Config::from_yaml(&json.to_string()).unwrap(), config);
    assert_eq!(config.check(), Ok(()));
}

/// H8: DynamoDB holds 400 KB in an item. A flag that can never be stored is refused, with the list that is too long.
#[test]
fn a_flag_that_is_too_large_to_be_stored_is_refused() {
    let file = |length: usize, blacklisted: usize| {
        let users = |count: usize| {
            (0..count).map(|user| format!("\"{user:0length$}\"")).collect::<Vec<_>>().join(", ")
        };
        let (white, black) = (users(5_000), users(blacklisted));
        format!("feature_flags: {{ f: {{ user_whitelist: [{white}], user_blacklist: [{black}] }} }}")
    };
    for (length, blacklisted) in [(40, 0), (30, 5_000)] {
        assert!(Config::from_yaml(&file(length, blacklisted)).is_ok(), "{length} {blacklisted}");
    }
    let problems = Config::from_yaml(&file(40, 4_900)).unwrap_err();
    let [only] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(only.field, "feature_flags.f.user_whitelist");
    // Two quotation marks and a comma each, and the brackets.
    assert!(only.message.ends_with("of which user_whitelist has 215001"), "{}", only.message);
    assert!(
        only.hint.contains("350000 bytes") && only.hint.contains("shorten user_whitelist"),
        "{}",
        only.hint
    );
    // One that an earlier version stored can still be changed, so that it becomes smaller.
    let stored =
        serde_json::json!({ "feature_flags": { "f": { "user_whitelist": vec!["x".repeat(80); 4_500] } } });
    assert!(Config::from_json(&stored).is_err());
    assert!(Config::from_stored(&stored).is_ok());
}

/// Twelve things are wrong, and each is reported with its line and what to write instead.
#[test]
fn every_mistake_is_reported_with_line_and_remedy() {
    let text = r#"feature_flags:
  reviews:
    enabled: "yes"
    rollout_percentage: 125
    user_whitelist: user-1
    conditions:
      - { type: time_window, start: "yesterday" }
      - { type: attribute, name: "header:x", op: equal, values: [a] }
  "bad name":
    enabled: true
    rolout_percentage: 5
origins:
  rest: { url: "ftp://legacy.internal" }
routes:
  - { id: r, match: { methods: [get], path: "api" }, flag: revews, legacy: rest, new: graphql }
"#;
    insta::assert_snapshot!(mistakes(text));
}

#[test]
fn plans_and_experiments_are_checked_too() {
    let text = r#"feature_flags:
  reviews: { enabled: true }
canary_deployments:
  reviews:
    initial_percentage: 1
    promotion_steps: [10, 5]
    step_duration_minutes: 0
    success_criteria: { max_error_rate: 0.5, max_response_time_p95: 500 }
    rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 1000 }
  other: {}
ab_tests:
  t:
    name: T
    variants: { a: { name: A, traffic_percentage: 50 }, b: { name: B, traffic_percentage: 49 } }
"#;
    insta::assert_snapshot!(mistakes(text));
}

#[test]
fn what_is_no_yaml_is_reported_where_it_breaks() {
    insta::assert_snapshot!(mistakes("feature_flags:\n  a: [1, 2\n  b: 3\n"));
    insta::assert_snapshot!(mistakes("a: &x { b: 1 }\nc: { <<: *x }\n"));
    insta::assert_snapshot!(mistakes("feature_flags: {}\nfeature_flags: {}\n"));
    insta::assert_snapshot!(mistakes("- 1\n"));
    let deep = "[".repeat(100);
    assert!(Config::from_yaml(&deep).is_err());
}

#[test]
fn an_alias_stands_for_the_value_of_its_anchor() {
    let with_aliases = "feature_flags:
  a: &off { enabled: false, user_whitelist: &team [ann, bob], description: &why later }
  b: *off
  c: { enabled: true, user_blacklist: *team, description: *why }
";
    let written_out = "feature_flags:
  a: { enabled: false, user_whitelist: [ann, bob], description: later }
  b: { enabled: false, user_whitelist: [ann, bob], description: later }
  c: { enabled: true, user_blacklist: [ann, bob], description: later }
";
    assert_eq!(Config::from_yaml(with_aliases).unwrap(), Config::from_yaml(written_out).unwrap());
    // A mistake is told where it is written, for each of its uses.
    let told = mistakes(&with_aliases.replace("enabled: false", "enabled: perhaps"));
    for place in ["2:22: feature_flags.a.enabled: ", "2:22: feature_flags.b.enabled: "] {
        assert!(told.contains(place), "{told}");
    }
}

#[test]
fn aliases_are_bounded() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let (open, close) = ("[".repeat(20), "]".repeat(20));
    let deep = format!("a: &a {open}{close}\nb: {open}*a{close}\n");
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 20].join(", "));
    let cases = [
        (long.as_str(), "more than 100000 values in anchors and aliases is not supported"),
        (laughs.as_str(), "more than 100000 values in anchors and aliases is not supported"),
        (deep.as_str(), "nesting this deep is not supported"),
        ("a: &a [*a]\n", "an alias inside its own anchor is not supported"),
        ("a: &a { b: &b [*a] }\n", "an alias inside its own anchor is not supported"),
        ("a: *b\nc: &b 1\n", "hint: write &name before the value"),
        ("\"<<\": 1\n", "<< is not a field of this object"),
    ];
    for (text, expected) in cases {
        let told = mistakes(text);
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn routes_that_claim_the_same_requests_are_a_mistake() {
    let text = r#"feature_flags: { f: { enabled: true } }
origins: { a: { url: "http://a" } }
routes:
  - { id: one, match: { methods: [GET], path: "/x/{id}" }, flag: f, legacy: a, new: a }
  - { id: two, match: { path: "/x/{name}" }, flag: f, legacy: a, new: a }
  - { id: one, match: { methods: [PUT], path: "/y" }, flag: f, legacy: a, new: a }
"#;
    insta::assert_snapshot!(mistakes(text));
}

#[test]
fn changes_come_in_an_order_that_keeps_references_valid() {
    let before = Config::from_yaml(EXAMPLE).unwrap();
    let empty = Config::default();
    let creating = diff(&empty, &before);
    let routes = creating.iter().position(|change| change.section == "routes").unwrap();
    assert!(creating[..routes].iter().filter(|change| change.section == "origins").count() == 2);
    let deleting = diff(&before, &empty);
    let at = |section: &str| deleting.iter().position(|change| change.section == section).unwrap();
    assert_eq!(deleting[0].action, Action::Delete);
    // A plan may name routes of its flag, and a route names its flag.
    assert!(at("canary_deployments") < at("routes") && at("routes") < at("feature_flags"));
    // At every single step what is there is a valid configuration.
    let mut now = empty;
    for change in &creating {
        let mut wanted = serde_json::to_value(&now).unwrap();
        let value = before.object(change.section, &change.name).unwrap();
        match change.section {
            "routes" => {
                let routes =
                    wanted.as_object_mut().unwrap().entry("routes").or_insert_with(|| serde_json::json!([]));
                routes.as_array_mut().unwrap().push(value);
            }
            section => {
                let section =
                    wanted.as_object_mut().unwrap().entry(section).or_insert_with(|| serde_json::json!({}));
                section.as_object_mut().unwrap().insert(change.name.clone(), value);
            }
        }
        now = Config::from_json(&wanted).unwrap();
    }
    assert_eq!(now, before);
    assert!(diff(&now, &before).is_empty());
}

#[test]
fn a_plan_may_say_more_and_says_it_again() {
    let plan = |more: &str| {
        format!(
            "feature_flags: {{ f: {{ enabled: true }} }}\ncanary_deployments:\n  f:\n    initial_percentage: 1\n    \
             promotion_steps: [1, 50, 100]\n    step_duration_minutes: 5\n    \
             success_criteria: {{ max_error_rate: 0.05, max_response_time_p95: 500 }}\n    \
             rollback_criteria: {{ max_error_rate: 0.1, max_response_time_p95: 1000 }}\n{more}"
        )
    };
    let more = "    alpha_rollback: 0.001\n    max_relative_risk: 1.5\n    deadline_minutes: 10\n    on_no_data: rollback\n    \
                bake_minutes: 5\n    approval_before: [50]\n    freeze_windows:\n      - { timezone: Europe/Oslo, \
                days: [fri, sat], start: \"16:00\", end: \"08:00\" }\n";
    let config = Config::from_yaml(&plan(more)).unwrap();
    let options = &config.canary_deployments.values().next().unwrap().options;
    assert_eq!((options.alpha_rollback, options.bake_minutes), (0.001, 5.0));
    assert_eq!(options.tolerated_risk, ToleratedRisk::all(1.5), "the name of an earlier version");
    assert_eq!((options.approval_before.len(), options.freeze_windows[0].days.len()), (1, 2));
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(Config::from_json(&written).unwrap(), config, "{written:#}");
    // What is not written is not written back.
    let short = serde_json::to_value(Config::from_yaml(&plan("")).unwrap()).unwrap();
    assert_eq!(short["canary_deployments"]["f"].as_object().unwrap().len(), 5, "{short:#}");
    let wrong = "    alpha_rollback: 2\n    max_relative_risk: 0.5\n    on_no_data: explode\n    approval_before: [33]\n    \
                 freeze_windows:\n      - { timezone: Mars/Olympus, days: [someday], start: \"25:00\", end: \"08:00\" }\n";
    let problems = Config::from_yaml(&plan(wrong)).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    let at = |field: &str| format!("canary_deployments.f.{field}");
    assert_eq!(
        fields,
        [
            at("alpha_rollback"),
            at("max_relative_risk"),
            at("on_no_data"),
            at("approval_before[0]"),
            at("freeze_windows[0].days"),
            at("freeze_windows[0]"),
        ]
    );
    assert!(problems.iter().all(|problem| problem.line > 0 && !problem.hint.is_empty()), "{problems:#?}");
}

/// A plan with criteria of routes, on lines of its own for each part.
fn plan_of_routes(route_criteria: &str) -> String {
    format!(
        "feature_flags: {{ f: {{ enabled: true }}, g: {{ enabled: true }} }}\norigins: {{ a: {{ url: \"http://a\" }} }}\nroutes:\n  \
         - {{ id: f.read, match: {{ path: /read }}, flag: f, legacy: a, new: a }}\n  \
         - {{ id: f.search, match: {{ path: /search }}, flag: f, legacy: a, new: a }}\n  \
         - {{ id: g.all, match: {{ path: /all }}, flag: g, legacy: a, new: a }}\ncanary_deployments:\n  f:\n    \
         initial_percentage: 1\n    promotion_steps: [1, 50]\n    step_duration_minutes: 5\n    \
         success_criteria: {{ max_error_rate: 0.05, max_response_time_p95: 500 }}\n    \
         rollback_criteria: {{ max_error_rate: 0.1, max_response_time_p95: 1000 }}\n    \
         route_criteria:\n{route_criteria}"
    )
}

/// Returns the criteria of a route as a line, with the error rates that success and rollback allow.
fn line_of_route(route: &str, success: f64, rollback: f64) -> String {
    format!(
        "      {route}: {{ success_criteria: {{ max_error_rate: {success}, max_response_time_p95: 1500 }}, \
         rollback_criteria: {{ max_error_rate: {rollback}, max_response_time_p95: 3000 }} }}\n"
    )
}

#[test]
fn a_route_may_have_criteria_of_its_own_and_says_them_again() {
    let config = Config::from_yaml(&plan_of_routes(&line_of_route("f.search", 0.05, 0.2))).unwrap();
    let own = &config.canary_deployments["f"].options.route_criteria["f.search"];
    assert_eq!(
        (own.rollback_criteria.max_error_rate, own.success_criteria.max_response_time_p95),
        (0.2, 1500.0)
    );
    let written = config.written().unwrap();
    let again = Config::from_json(&written).unwrap();
    assert!(diff(&config, &again).is_empty(), "{written:#}");
    assert_eq!(
        (config.check(), serde_json::from_value::<Config>(written.clone()).unwrap()),
        (Ok(()), config)
    );
    // The route cannot go, or move to another flag, before its criteria.
    let mistakes_of = |change: fn(&mut serde_json::Value)| {
        let mut changed = written.clone();
        change(&mut changed);
        let problems = Config::from_json(&changed).unwrap_err();
        problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
    };
    let at = "canary_deployments.f.route_criteria.f.search";
    assert_eq!(mistakes_of(|config| drop(config["routes"].as_array_mut().unwrap().remove(1))), [at]);
    assert_eq!(mistakes_of(|config| config["routes"][1]["flag"] = "g".into()), [at]);
}

/// A route that moves to another flag takes no criteria along: the plan drops them first, and lists new ones last.
#[test]
fn a_plan_drops_the_criteria_of_a_route_before_the_route_moves() {
    let before = Config::from_yaml(&plan_of_routes(&line_of_route("f.search", 0.05, 0.2))).unwrap();
    let mut moved = before.written().unwrap();
    let plan = moved["canary_deployments"]["f"].as_object_mut().unwrap();
    plan.remove("route_criteria").unwrap();
    moved["routes"][1]["flag"] = "g".into();
    let after = Config::from_json(&moved).unwrap();
    let sections = |before: &Config, after: &Config| {
        diff(before, after).into_iter().map(|change| change.section).collect::<Vec<_>>()
    };
    assert_eq!(sections(&before, &after), ["canary_deployments", "routes"]);
    assert_eq!(sections(&after, &before), ["routes", "canary_deployments"]);
}

#[test]
fn mistakes_in_criteria_of_routes_are_reported_with_their_lines() {
    // The criteria begin at line 14.
    let many: String = (0..9).map(|number| line_of_route(&format!("r{number}"), 0.05, 0.1)).collect();
    let only_success =
        "      f.search: { success_criteria: { max_error_rate: 0.05, max_response_time_p95: 500 } }\n";
    let mismatches = line_of_route("f.search", 0.05, 0.2).replacen(
        "max_response_time_p95: 1500",
        "max_response_time_p95: 1500, max_mismatch_rate: 0.1",
        1,
    );
    for (written, expected) in [
        (line_of_route("f.serch", 0.05, 0.2), "f.serch is not a route of this flag"),
        (line_of_route("g.all", 0.05, 0.2), "g.all is not a route of this flag"),
        (line_of_route("f.search", 0.2, 0.1), "a canary could be rolled back while it succeeds"),
        (only_success.to_owned(), "rollback_criteria is missing"),
        (mismatches, "a route has no limit for mismatches"),
        (many, "9 routes have criteria of their own"),
        (
            line_of_route("f.search", 0.05, 0.2) + &line_of_route("f.read", 0.05, 0.2),
            "every route of the flag has criteria of its own, so none is left for the plan's",
        ),
    ] {
        let problems = Config::from_yaml(&plan_of_routes(&written)).unwrap_err();
        let found = problems.iter().find(|problem| problem.message == expected);
        let found = found.unwrap_or_else(|| panic!("{expected}: {problems:#?}"));
        assert!((14..=15).contains(&found.line) && !found.hint.is_empty(), "{found:?}");
    }
    let problems = Config::from_yaml(&plan_of_routes(&line_of_route("f.serch", 0.05, 0.2))).unwrap_err();
    assert_eq!((problems.len(), problems[0].hint.as_str()), (1, "did you mean f.search?"));
}

/// B3: the rule beside the limits is part of the plan.
#[test]
fn the_comparison_with_legacy_is_configured_by_kind() {
    let plan = |more: &str| {
        format!(
            "feature_flags: {{ f: {{ enabled: true }} }}\ncanary_deployments:\n  f:\n    initial_percentage: 1\n    \
             promotion_steps: [1, 50]\n    step_duration_minutes: 5\n    \
             success_criteria: {{ max_error_rate: 0.05, max_response_time_p95: 500 }}\n    \
             rollback_criteria: {{ max_error_rate: 0.1, max_response_time_p95: 1000 }}\n{more}"
        )
    };
    let read =
        |more: &str| Config::from_yaml(&plan(more)).map(|config| config.canary_deployments["f"].clone());
    let more = "    relative: rollback\n    tolerated_risk: { errors: 2, slow: 1.5 }\n    min_users: 7\n    \
                false_alarm_days: 365\n    shared_incident_after_step: hold\n    alpha_bake: 0.0001\n";
    let written = read(more).unwrap();
    let options = &written.options;
    let expected = ToleratedRisk { errors: 2.0, slow: 1.5, client_errors: 1.25 };
    assert_eq!((options.relative, options.tolerated_risk), (RelativePolicy::Rollback, expected));
    assert_eq!((options.min_users, options.false_alarm_days), (7, 365.0));
    assert_eq!(options.shared_incident_after_step, AfterStepPolicy::Hold);
    let json = serde_json::to_value(&written).unwrap();
    assert_eq!(serde_json::from_value::<CanaryPlan>(json.clone()).unwrap(), written, "{json:#}");
    // A stored plan of an earlier version.
    let mut old = serde_json::to_value(read("").unwrap()).unwrap();
    old["max_relative_risk"] = 3.0.into();
    old["alpha_bake"] = 0.001.into();
    let old: CanaryPlan = serde_json::from_value(old).unwrap();
    assert_eq!(old.options.tolerated_risk, ToleratedRisk::all(3.0));
    assert_eq!(old.options.relative, RelativePolicy::Hold);
    for wrong in [
        "    relative: perhaps\n",
        "    tolerated_risk: 0.5\n",
        "    tolerated_risk: { errors: 1, slowness: 2 }\n",
        "    min_users: 1.5\n",
        "    shared_incident_after_step: ignore\n",
    ] {
        assert_eq!(read(wrong).unwrap_err().len(), 1, "{wrong}");
    }
}

#[test]
fn strings_of_flags_are_as_long_as_the_api_says() {
    let with = |field: &str, value: String| {
        let document = serde_json::json!({ "feature_flags": { "f": { "enabled": true, field: value } } });
        Config::from_yaml(&document.to_string()).map(|_| ()).map_err(|problems| problems.len())
    };
    for (field, most) in [("description", 500), ("salt", 128)] {
        assert_eq!(with(field, "ü".repeat(most)), Ok(()), "{field}");
        assert_eq!(with(field, "ü".repeat(most + 1)), Err(1), "{field}");
    }
    let list = |user: String| {
        let document =
            serde_json::json!({ "feature_flags": { "f": { "enabled": true, "user_whitelist": [user] } } });
        Config::from_yaml(&document.to_string()).map(|_| ()).map_err(|problems| problems.len())
    };
    // What an earlier version stored stays readable.
    let stored =
        serde_json::json!({ "feature_flags": { "f": { "enabled": true, "description": "d".repeat(600) } } });
    assert!(Config::from_json(&stored).is_err());
    assert_eq!(Config::from_stored(&stored).and_then(|config| config.check()), Ok(()));
    assert_eq!((list("u".repeat(256)), list("u".repeat(257)), list(String::new())), (Ok(()), Err(1), Err(1)));
}

/// The platform ends the work for a client that left after 30 s, and what hung until then is not counted as an error.
#[test]
fn a_long_time_limit_behind_a_canary_is_warned_about() {
    let warnings = |text: &str| Config::from_yaml(text).unwrap().warnings();
    let new = "url: \"http://new.internal\",    timeout_ms: ";
    let with = |timeout_ms: &str| EXAMPLE.replace(&format!("{new}5000"), &format!("{new}{timeout_ms}"));
    assert_eq!(warnings(EXAMPLE), Vec::<String>::new());
    assert_eq!(warnings(&with("25000")), Vec::<String>::new());
    let told = warnings(&with("25001"));
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["graphql", "25001", "counted as unknown, not as errors, beyond 30 s"] {
        assert!(told[0].contains(part), "{part}: {told:?}");
    }
    let mut without_canary = Config::from_yaml(&with("60000")).unwrap();
    without_canary.canary_deployments.clear();
    assert_eq!(without_canary.warnings(), Vec::<String>::new(), "nobody evaluates these counts");
}
