//! One table of cases, asked twice: at the edge with a real request, and of `explain` with the same facts. Both
//! must give the answer and the reason that the table says.

use cutover_tests::{
    client::Management,
    http,
    stack::{Options, Stack},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A flag, a request, and what is decided.
struct Case {
    what: &'static str,
    flag: Value,
    user: Option<&'static str>,
    /// `header:NAME`, `cookie:NAME`, `query:NAME`, `country`, `ip`, `method`.
    facts: &'static [(&'static str, &'static str)],
    expected: (&'static str, &'static str),
}

const LEGACY_CONDITION: (&str, &str) = ("legacy", "CONDITION");
const NEW: (&str, &str) = ("new", "ROLLOUT");

fn on() -> Value {
    json!({ "enabled": true, "rollout_percentage": 100 })
}

fn when(conditions: Value) -> Value {
    json!({ "enabled": true, "rollout_percentage": 100, "conditions": conditions })
}

fn attribute(name: &str, op: &str, values: &[&str]) -> Value {
    when(json!([{ "type": "attribute", "name": name, "op": op, "values": values }]))
}

fn case(
    what: &'static str,
    flag: Value,
    user: Option<&'static str>,
    facts: &'static [(&'static str, &'static str)],
    expected: (&'static str, &'static str),
) -> Case {
    Case { what, flag, user, facts, expected }
}

fn order_of_evaluation() -> Vec<Case> {
    let lists = |enabled: bool, percent: f64| {
        json!({ "enabled": enabled, "rollout_percentage": percent, "user_whitelist": ["vip", "both"],
                "user_blacklist": ["banned", "both"] })
    };
    let never = json!([{ "type": "attribute", "name": "header:x-a", "op": "equals", "values": ["1"] }]);
    let mut listed = lists(true, 100.0);
    listed["conditions"] = never.clone();
    vec![
        case("disabled", lists(false, 100.0), Some("vip"), &[], ("legacy", "DISABLED")),
        case("blacklisted", lists(true, 100.0), Some("banned"), &[], ("legacy", "BLACKLISTED")),
        case("blacklist before whitelist", lists(true, 100.0), Some("both"), &[], ("legacy", "BLACKLISTED")),
        case("whitelisted at 0 %", lists(true, 0.0), Some("vip"), &[], ("new", "WHITELISTED")),
        case("whitelist before conditions", listed.clone(), Some("vip"), &[], ("new", "WHITELISTED")),
        case("blacklist before conditions", listed, Some("banned"), &[], ("legacy", "BLACKLISTED")),
        case("condition before missing user", when(never), None, &[], LEGACY_CONDITION),
        case("no user id", on(), None, &[], ("legacy", "NO_KEY")),
        case("an empty user id is none", on(), Some(""), &[], ("legacy", "NO_KEY")),
        case("nobody at 0 %", lists(true, 0.0), Some("u"), &[], ("legacy", "ROLLOUT")),
        case("everybody at 100 %", on(), Some("u"), &[], NEW),
        case(
            "a user outside ASCII",
            json!({ "enabled": true, "user_whitelist": ["ユーザー"] }),
            Some("ユーザー"),
            &[],
            ("new", "WHITELISTED"),
        ),
        case(
            "bucket 425861 is in at 42.5862 %",
            json!({ "enabled": true, "rollout_percentage": 42.5862, "salt": "graphql_reviews_read" }),
            Some("u1"),
            &[],
            NEW,
        ),
        case(
            "bucket 425861 is out at 42.5861 %",
            json!({ "enabled": true, "rollout_percentage": 42.5861, "salt": "graphql_reviews_read" }),
            Some("u1"),
            &[],
            ("legacy", "ROLLOUT"),
        ),
    ]
}

fn operators() -> Vec<Case> {
    const X: &[(&str, &str)] = &[("header:x-v", "beta-2")];
    const N: &[(&str, &str)] = &[("header:x-v", "10")];
    const V: &[(&str, &str)] = &[("header:x-v", "1.10.0")];
    const IP: &[(&str, &str)] = &[("ip", "10.1.2.3")];
    const V6: &[(&str, &str)] = &[("ip", "2001:db8::1")];
    let mut cases = Vec::new();
    let mut check = |what, name: &str, op: &str, values: &[&str], facts, holds: bool| {
        let expected = if holds { NEW } else { LEGACY_CONDITION };
        cases.push(case(what, attribute(name, op, values), Some("u"), facts, expected));
    };
    let v = "header:x-v";
    check("equals", v, "equals", &["beta-2"], X, true);
    check("equals, other", v, "equals", &["beta"], X, false);
    check("not_equals", v, "not_equals", &["beta"], X, true);
    check("not_equals, same", v, "not_equals", &["beta-2"], X, false);
    check("not_equals of what is missing does not hold", v, "not_equals", &["beta"], &[], false);
    check("in", v, "in", &["a", "beta-2"], X, true);
    check("in, other", v, "in", &["a", "b"], X, false);
    check("not_in", v, "not_in", &["a", "b"], X, true);
    check("not_in, one of them", v, "not_in", &["a", "beta-2"], X, false);
    check("not_in of what is missing does not hold", v, "not_in", &["a"], &[], false);
    check("contains", v, "contains", &["zz", "ta-"], X, true);
    check("contains, not", v, "contains", &["gamma"], X, false);
    check("starts_with", v, "starts_with", &["beta"], X, true);
    check("starts_with, not", v, "starts_with", &["eta"], X, false);
    check("ends_with", v, "ends_with", &["-2"], X, true);
    check("ends_with, not", v, "ends_with", &["-1"], X, false);
    check("gt compares numbers, not texts", v, "gt", &["9"], N, true);
    check("gt, equal", v, "gt", &["10"], N, false);
    check("gte, equal", v, "gte", &["10.0"], N, true);
    check("gte, less", v, "gte", &["10.5"], N, false);
    check("lt", v, "lt", &["11"], N, true);
    check("lt, equal", v, "lt", &["10"], N, false);
    check("lte, equal", v, "lte", &["1e1"], N, true);
    check("lte, more", v, "lte", &["9.99"], N, false);
    check("a text is no number", v, "lt", &["11"], X, false);
    check("semver_equals ignores build", v, "semver_equals", &["1.10.0+b2"], V, true);
    check("semver_gt compares parts as numbers", v, "semver_gt", &["1.9.9"], V, true);
    check("semver_gt, equal", v, "semver_gt", &["1.10.0"], V, false);
    check("semver_gte, equal", v, "semver_gte", &["1.10.0"], V, true);
    check("semver_lt", v, "semver_lt", &["2.0.0-rc.1"], V, true);
    check("semver_lt, equal", v, "semver_lt", &["1.10.0"], V, false);
    check("semver_lte, equal", v, "semver_lte", &["1.10.0"], V, true);
    check("a release is above its candidate", v, "semver_gt", &["1.10.0-rc.1"], V, true);
    check("a text is no version", v, "semver_gte", &["0.0.1"], X, false);
    check("cidr", "ip", "cidr", &["192.168.0.0/16", "10.0.0.0/8"], IP, true);
    check("cidr, outside", "ip", "cidr", &["10.2.0.0/16"], IP, false);
    check("cidr, a single address", "ip", "cidr", &["10.1.2.3"], IP, true);
    check("cidr, version 6", "ip", "cidr", &["2001:db8::/32"], V6, true);
    check("cidr, other version", "ip", "cidr", &["10.0.0.0/8"], V6, false);
    check("cidr of no address", v, "cidr", &["10.0.0.0/8"], X, false);
    check("country", "country", "in", &["NO", "SE"], &[("country", "NO")], true);
    check("country, other", "country", "in", &["NO", "SE"], &[("country", "DE")], false);
    check("cookie", "cookie:plan", "equals", &["pro"], &[("cookie:plan", "pro")], true);
    check("cookie, missing", "cookie:plan", "equals", &["pro"], &[("cookie:plans", "pro")], false);
    check("query, decoded", "query:q", "equals", &["a b/ü"], &[("query:q", "a b/ü")], true);
    check("query, missing", "query:q", "equals", &["1"], &[], false);
    check("path", "path", "starts_with", &["/case/"], &[], true);
    check("path, other", "path", "starts_with", &["/other/"], &[], false);
    check("method", "method", "equals", &["POST"], &[("method", "POST")], true);
    check("method, other", "method", "equals", &["POST"], &[("method", "GET")], false);
    check("header names are case-insensitive", "header:X-V", "equals", &["beta-2"], X, true);
    cases
}

fn windows() -> Vec<Case> {
    let window = |start: Option<&str>, end: Option<&str>| {
        when(json!([{ "type": "time_window", "start": start, "end": end }]))
    };
    let (past, future) = (Some("2020-01-01T00:00:00Z"), Some("2999-01-01T00:00:00+02:00"));
    vec![
        case("inside a window", window(past, future), Some("u"), &[], NEW),
        case("after a window", window(None, past), Some("u"), &[], LEGACY_CONDITION),
        case("before a window", window(future, None), Some("u"), &[], LEGACY_CONDITION),
        case("no start", window(None, future), Some("u"), &[], NEW),
        case("no end", window(past, None), Some("u"), &[], NEW),
        case("neither", window(None, None), Some("u"), &[], NEW),
        case(
            "all conditions must hold",
            when(json!([
                { "type": "time_window", "start": "2020-01-01T00:00:00Z" },
                { "type": "attribute", "name": "header:x-a", "op": "equals", "values": ["1"] },
                { "type": "attribute", "name": "header:x-b", "op": "equals", "values": ["1"] },
            ])),
            Some("u"),
            &[("header:x-a", "1")],
            LEGACY_CONDITION,
        ),
    ]
}

async fn started() -> Stack {
    let variables = BTreeMap::from([("SNAPSHOT_SOFT_TTL_MS", "100".to_owned())]);
    Stack::start(Options { worker_variables: variables, ..Options::default() }).await
}

/// Every case as a flag with a route of its own. No anonymous ids: a case without a user has none.
fn configuration(stack: &Stack, cases: &[Case]) -> Value {
    let mut flags = serde_json::Map::new();
    let mut routes = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        flags.insert(format!("case_{at}"), case.flag.clone());
        routes.push(json!({
            "id": format!("case-{at}"), "match": { "path": format!("/case/{at}") }, "flag": format!("case_{at}"),
            "legacy": "rest", "new": "graphql", "identity": ["header:x-user-id"],
        }));
    }
    json!({
        "feature_flags": flags,
        "origins": { "rest": { "url": stack.legacy.url() }, "graphql": { "url": stack.new.url() } },
        "routes": routes,
    })
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn at_the_edge(stack: &Stack, path: &str, case: &Case) -> (String, String) {
    let mut target = path.to_owned();
    let mut method = "GET";
    let mut headers: Vec<(String, String)> = Vec::new();
    headers.extend(case.user.map(|user| ("x-user-id".to_owned(), user.to_owned())));
    for (name, value) in case.facts {
        match name.split_once(':') {
            Some(("header", header)) => headers.push((header.to_owned(), (*value).to_owned())),
            Some(("cookie", cookie)) => {
                headers.push(("cookie".to_owned(), format!("other=1; {cookie}={value}")))
            }
            Some((_, key)) => target = format!("{target}?first=1&{key}={}", percent(value)),
            None => match *name {
                "country" => headers.push(("cf-blob".to_owned(), json!({ "country": value }).to_string())),
                "ip" => headers.push(("cf-connecting-ip".to_owned(), (*value).to_owned())),
                _ => method = value,
            },
        }
    }
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = http::send(stack.edge.port(), method, &target, &headers, b"").await;
    let header = |name: &str| answer.header(name).unwrap_or_default();
    assert_eq!(header("x-backend"), header("x-cutover-arm"), "{}", case.what);
    (header("x-cutover-arm"), header("x-cutover-reason"))
}

async fn explained(management: &Management, flag: &str, path: &str, case: &Case) -> (String, String) {
    let mut query = format!("path={path}");
    for (name, value) in case.user.map(|user| ("user", user)).iter().chain(case.facts) {
        query.push_str(&format!("&{}={}", percent(name), percent(value)));
    }
    let answer = management.get(&format!("/flags/{flag}/explain?{query}")).await.expect(200);
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
    (text("arm"), text("reason"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_and_explain_agree_case_by_case() {
    let stack = started().await;
    let management = stack.management();
    let cases: Vec<Case> = order_of_evaluation().into_iter().chain(operators()).chain(windows()).collect();
    let configuration = configuration(&stack, &cases);
    let applied = management.put("/config", &configuration).await.expect(200);
    assert!(cases.len() * 2 > 97, "more objects than one transaction holds");
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    let mut wrong = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let path = format!("/case/{at}");
        let edge = at_the_edge(&stack, &path, case).await;
        let explained = explained(&management, &format!("case_{at}"), &path, case).await;
        let expected = (case.expected.0.to_owned(), case.expected.1.to_owned());
        if edge != expected || explained != expected {
            wrong.push(format!("{}: expected {expected:?}, edge {edge:?}, explain {explained:?}", case.what));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} cases agree at the edge and in explain", cases.len());

    // No route, and a flag that does not exist.
    let nowhere = http::get(stack.edge.port(), "/nowhere", &[("x-user-id", "u")]).await;
    assert_eq!(nowhere.header("x-cutover-reason").as_deref(), Some("NO_ROUTE"));
    assert_eq!(nowhere.header("x-backend").as_deref(), Some("legacy"));
    let unknown = management.get("/flags/unknown/explain?user=u").await.expect(404);
    assert_eq!(unknown.body["code"], "not_found");
    // And an emergency, over all of them.
    let declared = management.post("/emergency/rollback", &json!({ "reason": "drill" })).await.expect(200);
    stack.edge_holds(declared.body["revision"].as_u64().unwrap()).await;
    for (at, case) in cases.iter().enumerate() {
        let path = format!("/case/{at}");
        let expected = ("legacy".to_owned(), "EMERGENCY".to_owned());
        assert_eq!(at_the_edge(&stack, &path, case).await, expected, "{}", case.what);
        assert_eq!(
            explained(&management, &format!("case_{at}"), &path, case).await,
            expected,
            "{}",
            case.what
        );
    }
}

/// Length of the window of the next test, in milliseconds. A busy machine asks more than ten times within it.
const WINDOW: i64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn windows_begin_and_end_to_the_millisecond() {
    let stack = started().await;
    let management = stack.management();
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let start = cutover_core::Timestamp::from_millis(now() + 8_000);
    let end = cutover_core::Timestamp::from_millis(start.millis() + WINDOW);
    let flag = when(json!([{ "type": "time_window", "start": start, "end": end }]));
    let cases = [case("window", flag, Some("u"), &[], NEW)];
    let applied = management.put("/config", &configuration(&stack, &cases)).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;

    // explain can be asked about any moment.
    for (offset, arm) in [
        (-1, "legacy"),
        (0, "new"),
        (1, "new"),
        (WINDOW - 1, "new"),
        (WINDOW, "legacy"),
        (WINDOW + 1, "legacy"),
    ] {
        let at = cutover_core::Timestamp::from_millis(start.millis() + offset).to_string();
        let path = format!("/flags/case_0/explain?user=u&at={}", percent(&at));
        assert_eq!(management.get(&path).await.expect(200).body["arm"], arm, "{offset} ms after the start");
    }
    // The edge has its own clock, the same as ours: an answer that began and ended on one side is on that side.
    assert!(now() < start.millis(), "too slow to see the window begin");
    let until_begun = u64::try_from(start.millis() - now()).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(until_begun.saturating_sub(1_500))).await;
    let mut seen = [0_u32; 3];
    while now() < end.millis() + 1_500 {
        let before = now();
        let (arm, _) = at_the_edge(&stack, "/case/0", &cases[0]).await;
        let after = now();
        let inside = |moment: i64| (start.millis()..end.millis()).contains(&moment);
        if inside(before) == inside(after) && after - before < WINDOW {
            assert_eq!(arm == "new", inside(before), "asked {} ms after the start", before - start.millis());
            seen[if inside(before) {
                1
            } else if before < start.millis() {
                0
            } else {
                2
            }] += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}
