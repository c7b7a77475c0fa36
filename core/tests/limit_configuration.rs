//! Rate limits, from the file to the compiled rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use cutover_core::{
    Revision, Ruleset, Snapshot,
    config::{Action, Config, diff},
    decision::input::Input,
    limit::{KeyPart, LimitMode, LimitPolicy, LimitScope, OnLimiterFailure},
};

/// Returns a configuration with a policy `p` and the given policies of its route.
fn file(policy: &str, route: &str) -> String {
    format!(
        "feature_flags: {{ f: {{}} }}
origins: {{ a: {{ url: https://a.example }}, b: {{ url: https://b.example }} }}
limits:
  p: {policy}
routes:
  - {{ id: all, match: {{ path: \"/{{*rest}}\" }}, flag: f, legacy: a, new: b, limit: {route} }}
"
    )
}

const PLAIN: &str = "{ key: user, requests: 100, period_seconds: 60 }";

fn policy(text: &str) -> LimitPolicy {
    let config = Config::from_yaml(&file(text, "[p]")).unwrap_or_else(|problems| panic!("{problems:?}"));
    config.limits["p"].clone()
}

#[test]
fn every_field_is_read() {
    let plain = policy(PLAIN);
    assert_eq!((plain.key.as_slice(), plain.burst), ([KeyPart::User].as_slice(), None));
    assert_eq!((plain.scope, plain.mode), (LimitScope::Global, LimitMode::Lease));
    assert_eq!((plain.on_failure, plain.binding), (OnLimiterFailure::Open, None));
    let all = policy(
        "{ key: [ip, \"header:X-Api-Key\", \"claim:org.id\"], requests: 10, period_seconds: 60, burst: 3, mode: exact, \
         on_failure: closed, scope: global }",
    );
    let key = [KeyPart::Ip, KeyPart::Header("x-api-key".into()), KeyPart::Claim("org.id".into())];
    assert_eq!((all.key.as_slice(), all.burst, all.mode), (key.as_slice(), Some(3), LimitMode::Exact));
    assert_eq!(all.on_failure, OnLimiterFailure::Closed);
    let location =
        policy("{ key: ip, requests: 9, period_seconds: 10, scope: location, binding: LIMIT_BY_ADDRESS }");
    assert_eq!(location.binding.as_deref(), Some("LIMIT_BY_ADDRESS"));
    assert_eq!(location.scope, LimitScope::Location);
}

#[test]
fn each_mistake_is_reported_at_its_line() {
    #[track_caller]
    fn check(text: &str, route: &str, line: usize, message: &str) {
        let problems = Config::from_yaml(&file(text, route)).unwrap_err();
        let found: Vec<_> = problems.iter().map(|p| (p.line, p.message.as_str())).collect();
        assert_eq!(found, [(line, message)], "{text}");
    }
    check("{ requests: 1, period_seconds: 1 }", "[p]", 4, "key is missing");
    check("{ key: user, period_seconds: 1 }", "[p]", 4, "requests is missing");
    check("{ key: user, requests: 1 }", "[p]", 4, "period_seconds is missing");
    check("{ key: user, requests: 0, period_seconds: 1 }", "[p]", 4, "0 is out of range");
    check("{ key: user, requests: 1, period_seconds: 2678401 }", "[p]", 4, "2678401 is out of range");
    let unknown = "\"users\" is not a key of a limit; write user, ip, header:NAME or claim:NAME";
    check("{ key: users, requests: 1, period_seconds: 1 }", "[p]", 4, unknown);
    let twice = "user is already a part of this key";
    check("{ key: [user, user], requests: 1, period_seconds: 1 }", "[p]", 4, twice);
    check(
        "{ key: [], requests: 1, period_seconds: 1 }",
        "[p]",
        4,
        "a key has one to 4 parts, this one has 0",
    );
    let cookie = "a limit cannot count by all cookies together";
    check("{ key: \"header:cookie\", requests: 1, period_seconds: 1 }", "[p]", 4, cookie);
    let many = "10001 requests in 1 s are too many for one key";
    check("{ key: user, requests: 10001, period_seconds: 1 }", "[p]", 4, many);
    let slow = "the burst takes more than a year to become whole again";
    check("{ key: user, requests: 1, period_seconds: 86400, burst: 366 }", "[p]", 4, slow);
    let mode = "\"fast\" is not a mode of a limit";
    check("{ key: user, requests: 1, period_seconds: 1, mode: fast }", "[p]", 4, mode);
    let bound = "a binding counts in one location only";
    check("{ key: user, requests: 1, period_seconds: 1, binding: LIMIT_A }", "[p]", 4, bound);
    let unbound = "binding is missing: the platform counts limits of a location";
    check("{ key: user, requests: 1, period_seconds: 10, scope: location }", "[p]", 4, unbound);
    let period = "the platform does not count in periods of 30 s";
    let location = "scope: location, binding: LIMIT_A";
    check(&format!("{{ key: ip, requests: 1, period_seconds: 30, {location} }}"), "[p]", 4, period);
    let burst = "a limit of scope location has no burst: the platform counts";
    check(&format!("{{ key: ip, requests: 1, period_seconds: 10, burst: 5, {location} }}"), "[p]", 4, burst);
    let name = "this is not the name of a binding for limits";
    let own = "{ key: ip, requests: 1, period_seconds: 10, scope: location, binding: CUTOVER_KV }";
    check(own, "[p]", 4, name);
    check(PLAIN, "[q]", 6, "there is no limit \"q\"");
    check(PLAIN, "[p, p]", 6, "the limit p is already in this list");
    check(PLAIN, "p", 6, "expected a list, found a string");
}

#[test]
fn limits_are_in_the_snapshot_and_routes_without_any_cost_nothing() {
    let text = file(PLAIN, "[p]");
    let config = Config::from_yaml(&text).unwrap();
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(Config::from_stored(&written).unwrap(), config);
    let snapshot = config.clone().snapshot(Revision(1), None);
    let encoded = snapshot.encode().unwrap();
    assert!(encoded.starts_with(r#"{"schema":1,"#), "{encoded}");
    let read = Snapshot::decode(&encoded).unwrap();
    assert_eq!(read, snapshot);
    let rules = Ruleset::compile(&read).unwrap();
    assert_eq!(rules.routes()[0].limits, [0]);
    assert_eq!(rules.limits()[0].item, r#""p";q=100;w=60"#);
    assert!(rules.inputs().contains(&Input::Ip));

    let without = text.replace(&format!("limits:\n  p: {PLAIN}\n"), "").replace(", limit: [p]", "");
    let without = Config::from_yaml(&without).unwrap();
    let encoded = without.clone().snapshot(Revision(1), None).encode().unwrap();
    assert!(!encoded.contains("limit"), "{encoded}");
    assert!(!Ruleset::from_document(&encoded).unwrap().inputs().contains(&Input::Ip));

    // A limit is there before the first route names it, and as long as one does.
    let sections = |before: &Config, after: &Config| -> Vec<(Action, &'static str)> {
        diff(before, after).iter().map(|change| (change.action, change.section)).collect()
    };
    let (begin, end) = ((Action::Create, "limits"), (Action::Delete, "limits"));
    assert_eq!(sections(&without, &config), [begin, (Action::Update, "routes")]);
    assert_eq!(sections(&config, &without), [(Action::Update, "routes"), end]);
    let unused = Config::from_yaml(&file(PLAIN, "[]")).unwrap();
    assert_eq!(unused.warnings(), ["limit p: no route names it, so it limits nothing"]);
    assert!(config.warnings().is_empty());
    assert_eq!(config.object("limits", "p"), Some(written["limits"]["p"].clone()));
    assert_eq!(without.merged(&config, false), config);
}

#[test]
fn a_route_with_an_unknown_limit_does_not_compile() {
    let config = Config::from_yaml(&file(PLAIN, "[p]")).unwrap();
    let mut snapshot = config.snapshot(Revision(1), None);
    snapshot.limits.clear();
    let error = Ruleset::compile(&snapshot).unwrap_err().to_string();
    assert_eq!(error, "route all names the limit p, which does not exist");
}
