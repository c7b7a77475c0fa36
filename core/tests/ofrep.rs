//! OFREP 0.3.0: bodies in, answers out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use cutover_core::{
    Revision, Ruleset, Timestamp,
    config::Config,
    json::Json,
    ofrep::{
        Answer, BulkRequest, Context, Endpoint, InvalidContext, MAX_ATTRIBUTES, MAX_NAME, MAX_VALUE,
        evaluate_flag, evaluate_flags,
    },
    values::access::{Access, Caller},
    vocabulary::revision::{Epoch, Stamp},
};
use proptest::prelude::*;
use serde_json::{Value, json};

const CONFIG: &str = r##"
feature_flags: { checkout: { enabled: true, rollout_percentage: 100 } }
flags:
  colour:
    type: string
    enabled: true
    variants: { blue: "say \"blue\"\n", green: "grün" }
    default: blue
    off: blue
    rules:
      - { conditions: [{ type: attribute, name: "header:plan", op: equals, values: [gold] }], variant: green }
  halves: { type: number, enabled: true, variants: { one: 1, two: 2.5 }, default: { weights: { one: 50, two: 50 } }, off: one }
  later:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: no
    off: no
    schedule: [{ at: "2026-08-01T00:00:00Z", set: { default: yes } }]
"##;

fn rules() -> Ruleset {
    let config = Config::from_yaml(CONFIG).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Ruleset::compile(&config.snapshot(Revision(7), None)).unwrap()
}

fn now() -> Timestamp {
    "2026-07-03T12:00:00Z".parse().unwrap()
}

/// Returns status and body of the answer about one flag.
fn one(key: &str, body: &str) -> (u16, Value) {
    let Answer { status, body, etag } = evaluate_flag(&rules(), key, body, now());
    assert_eq!(etag, None);
    (status, serde_json::from_str(&body).unwrap())
}

fn stamp(epoch: u64, revision: u64) -> Stamp {
    Stamp { epoch: Epoch(epoch), revision: Revision(revision) }
}

fn all(body: &str, if_none_match: Option<&str>) -> Answer {
    let caller = Caller::default();
    evaluate_flags(&rules(), &BulkRequest { body, if_none_match, caller, stamp: stamp(0, 7), now: now() })
}

#[test]
fn a_flag_is_answered_with_value_reason_variant_and_metadata() {
    let metadata = json!({ "revision": 7 });
    assert_eq!(
        one("colour", r#"{"context":{"targetingKey":"u"}}"#),
        (
            200,
            json!({ "key": "colour", "value": "say \"blue\"\n", "reason": "DEFAULT", "variant": "blue", "metadata": metadata })
        )
    );
    assert_eq!(
        one("colour", r#"{"context":{"targetingKey":"u","plan":"gold","more":{"a":[1]}}}"#).1["variant"],
        "green"
    );
    assert_eq!(
        one("checkout", "{}"),
        (
            200,
            json!({ "key": "checkout", "value": true, "reason": "DEFAULT", "variant": "new", "metadata": metadata })
        )
    );
    let (status, body) = one("halves", r#"{"context":{"targetingKey":"u"}}"#);
    assert_eq!((status, &body["reason"]), (200, &json!("SPLIT")));
    assert!(body["value"] == 1 || body["value"] == 2.5, "{body}");
}

#[test]
fn each_error_has_its_status_code_and_details() {
    for (key, body, status, code) in [
        ("colour", "", 400, "PARSE_ERROR"),
        ("colour", "{", 400, "PARSE_ERROR"),
        ("colour", "[]", 400, "PARSE_ERROR"),
        ("colour", r#"{"context":[]}"#, 400, "INVALID_CONTEXT"),
        ("colour", r#"{"context":"u"}"#, 400, "INVALID_CONTEXT"),
        ("colour", r#"{"context":{"targetingKey":7}}"#, 400, "INVALID_CONTEXT"),
        ("halves", "{}", 400, "TARGETING_KEY_MISSING"),
        ("halves", r#"{"context":null}"#, 400, "TARGETING_KEY_MISSING"),
        ("halves", r#"{"context":{"targetingKey":""}}"#, 400, "TARGETING_KEY_MISSING"),
        ("halves", r#"{"context":{"targetingKey":null}}"#, 400, "TARGETING_KEY_MISSING"),
        ("no \"such\" flag", "{}", 404, "FLAG_NOT_FOUND"),
    ] {
        let (found, answer) = one(key, body);
        assert_eq!(
            (found, &answer["key"], &answer["errorCode"]),
            (status, &json!(key), &json!(code)),
            "{body}"
        );
        assert!(!answer["errorDetails"].as_str().unwrap().is_empty(), "{answer}");
        assert_eq!(answer.as_object().unwrap().len(), 3, "{answer}");
    }
    for (body, code) in [("{", "PARSE_ERROR"), (r#"{"context":1}"#, "INVALID_CONTEXT")] {
        let answer = all(body, None);
        let value: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (answer.status, &value["errorCode"], value.get("key")),
            (400, &json!(code), None),
            "{body}"
        );
        assert_eq!(answer.etag, None);
    }
    assert_eq!(Answer::unauthorized().status, 401);
    assert_eq!(Answer::forbidden().status, 403);
    assert_eq!(Answer::too_many_requests().status, 429);
    for (answer, status) in
        [(Answer::not_found(), 404), (Answer::method_not_allowed(), 405), (Answer::body_too_large(), 413)]
    {
        assert_eq!(answer.status, status);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(body["errorDetails"].is_string(), "{body}");
    }
    let failed = Answer::internal("a \"trap\"");
    assert_eq!((failed.status, failed.body.as_str()), (500, r#"{"errorDetails":"a \"trap\""}"#));
}

#[test]
fn all_flags_are_answered_by_ascending_key_with_their_errors() {
    let answer = all("{}", None);
    assert_eq!(answer.status, 200);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["metadata"], json!({ "revision": 7 }));
    let flags = body["flags"].as_array().unwrap();
    let keys: Vec<&str> = flags.iter().map(|flag| flag["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["checkout", "colour", "halves", "later"]);
    assert_eq!(flags[2]["errorCode"], "TARGETING_KEY_MISSING");
    assert!(flags[2].get("value").is_none());
    let answer = all(r#"{"context":{"targetingKey":"u"}}"#, None);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    for flag in body["flags"].as_array().unwrap() {
        let (_, mut alone) = one(flag["key"].as_str().unwrap(), r#"{"context":{"targetingKey":"u"}}"#);
        alone.as_object_mut().unwrap().remove("metadata");
        assert_eq!(*flag, alone, "one by one the answers are the same");
    }
}

#[test]
fn a_client_that_holds_the_answer_gets_304_until_anything_changes() {
    let rules = rules();
    let body = r#"{"context":{"targetingKey":"u","plan":"gold"}}"#;
    let caller = Caller::default();
    let request = BulkRequest { body, if_none_match: None, caller, stamp: stamp(0, 7), now: now() };
    let tag = evaluate_flags(&rules, &request).etag.unwrap().to_string();
    let held = BulkRequest { if_none_match: Some(&tag), ..request };
    let status = |request: BulkRequest<'_>| {
        let answer = evaluate_flags(&rules, &request);
        assert!(answer.etag.is_some() && answer.body.is_empty() == (answer.status == 304));
        answer.status
    };
    assert_eq!(status(held), 304);
    // A body is not read again to find that it says the same.
    let spaced = r#"{ "context": { "targetingKey": "u", "plan": "gold" } }"#;
    assert_eq!(status(BulkRequest { body: spaced, ..held }), 200);
    // OFREP knows tags only.
    assert_eq!(status(BulkRequest { if_none_match: Some("*"), ..held }), 200);
    let weak = format!("W/{tag}, \"1\"");
    assert_eq!(status(BulkRequest { if_none_match: Some(&weak), ..held }), 304);
    // Clients keep their tag when they change their context.
    for body in
        ["{}", r#"{"context":{"targetingKey":"v","plan":"gold"}}"#, r#"{"context":{"targetingKey":"u"}}"#]
    {
        assert_eq!(status(BulkRequest { body, ..held }), 200, "{body}");
    }
    assert_eq!(status(BulkRequest { stamp: stamp(0, 8), ..held }), 200);
    assert_eq!(status(BulkRequest { stamp: stamp(1, 7), ..held }), 200);
    let before = "2026-07-31T23:59:59.999Z".parse().unwrap();
    assert_eq!(status(BulkRequest { now: before, ..held }), 304);
    let after = "2026-08-01T00:00:00Z".parse().unwrap();
    assert_eq!(status(BulkRequest { now: after, ..held }), 200, "the schedule of a flag");
}

/// Two applications may show their values to one user: neither gets those of the other one, nor is it told that it holds its
/// own answer already.
#[test]
fn a_caller_gets_the_flags_of_its_token_and_a_tag_of_its_own() {
    let tokens = json!([
        { "name": "shop", "sha256": "01".repeat(32), "flags": ["colour", "h*"] },
        { "name": "all", "sha256": "02".repeat(32), "flags": ["*"] },
        { "name": "none", "sha256": "03".repeat(32), "flags": ["no-such-flag"] },
    ]);
    let access: Access = serde_json::from_value(json!({ "tokens": tokens })).unwrap();
    let rules = rules();
    let body = r#"{"context":{"targetingKey":"u"}}"#;
    let answer = |byte: u8, if_none_match: Option<&str>| {
        let caller = access.caller(Some(&[byte; 32])).unwrap();
        evaluate_flags(&rules, &BulkRequest { body, if_none_match, caller, stamp: stamp(0, 7), now: now() })
    };
    let keys = |byte: u8| -> Vec<String> {
        let body: Value = serde_json::from_str(&answer(byte, None).body).unwrap();
        let flags = body["flags"].as_array().unwrap().iter();
        flags.map(|flag| flag["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(1), ["colour", "halves"]);
    assert_eq!(keys(2), ["checkout", "colour", "halves", "later"]);
    assert!(keys(3).is_empty());
    let tag = answer(1, None).etag.unwrap().to_string();
    for (byte, status) in [(1, 304), (2, 200), (3, 200)] {
        assert_eq!(answer(byte, Some(&tag)).status, status, "token {byte}");
    }
}

/// Every condition looks for its attribute, so their product is what a request costs.
#[test]
fn a_context_over_a_limit_is_refused() {
    let many = |count: usize| -> Value { (0..count).map(|index| (format!("a{index}"), json!(1))).collect() };
    let named = |name: &str, length: usize| json!({ name: "x".repeat(length) });
    let halves = |kind: &str, length: usize| -> Value {
        ["a", "b"].into_iter().map(|name| (format!("{kind}:{name}"), "x".repeat(length))).collect()
    };
    for (what, context, status) in [
        ("attributes", many(MAX_ATTRIBUTES), 200),
        ("too many attributes", many(MAX_ATTRIBUTES + 1), 400),
        ("a name", named(&"n".repeat(MAX_NAME), 1), 200),
        ("a long name", named(&"n".repeat(MAX_NAME + 1), 1), 400),
        ("a value", named("plan", MAX_VALUE), 200),
        ("a long value", named("plan", MAX_VALUE + 1), 400),
        ("a user", named("targetingKey", MAX_VALUE), 200),
        ("a long user", named("targetingKey", MAX_VALUE + 1), 400),
        ("cookies", halves("cookie", MAX_VALUE / 2 - 10), 200),
        ("long cookies", halves("cookie", MAX_VALUE / 2), 400),
        ("parameters", halves("query", MAX_VALUE / 2 - 10), 200),
        ("long parameters", halves("query", MAX_VALUE / 2), 400),
        // No condition can read it, so nothing looks for it.
        ("a long list", json!({ "list": ["x".repeat(MAX_VALUE + 1)] }), 200),
    ] {
        let body = json!({ "context": context }).to_string();
        for (found, answer) in [one("colour", &body), {
            let answer = all(&body, None);
            (answer.status, serde_json::from_str(&answer.body).unwrap())
        }] {
            assert_eq!(found, status, "{what}: {answer}");
            let code = (status == 400).then_some(&json!("INVALID_CONTEXT")).cloned();
            assert_eq!(answer.get("errorCode"), code.as_ref(), "{what}");
        }
    }
}

/// The token of a web page is known to everybody: it buys the work of its own flags and of no others.
#[test]
fn the_flags_of_other_tokens_are_not_evaluated() {
    let flag = |condition: &str| {
        format!(
            "{{ type: boolean, enabled: true, variants: {{ yes: true, no: false }}, default: no, off: no, \
             rules: [{{ conditions: [{condition}], variant: yes }}] }}"
        )
    };
    // A parameter that has to be decoded costs an allocation, each time that a condition reads it.
    let decoding = flag("{ type: attribute, name: \"query:q\", op: equals, values: [\"a b\"] }");
    let plain = flag("{ type: attribute, name: \"header:plan\", op: equals, values: [gold] }");
    let others: String = (0..50).map(|index| format!("  other_{index}: {decoding}\n")).collect();
    let config = Config::from_yaml(&format!("flags:\n  mine: {plain}\n{others}"))
        .unwrap_or_else(|problems| panic!("{problems:#?}"));
    let rules = Ruleset::compile(&config.snapshot(Revision(7), None)).unwrap();
    let tokens = json!([
        { "name": "mine", "sha256": "01".repeat(32), "flags": ["mine"] },
        { "name": "all", "sha256": "02".repeat(32), "flags": ["*"] },
    ]);
    let access: Access = serde_json::from_value(json!({ "tokens": tokens })).unwrap();
    let allocations = |byte: u8| {
        let caller = access.caller(Some(&[byte; 32])).unwrap();
        let body = r#"{"context":{"query:q":"a b"}}"#;
        let request = BulkRequest { body, if_none_match: None, caller, stamp: stamp(0, 7), now: now() };
        let info = allocation_counter::measure(|| assert_eq!(evaluate_flags(&rules, &request).status, 200));
        info.count_total
    };
    let (mine, everything) = (allocations(1), allocations(2));
    assert!(mine + 50 <= everything, "{mine} of {everything}");
}

#[test]
fn attributes_are_the_facts_that_conditions_read() {
    let body = r#"{"context":{"targetingKey":"u","country":"NO","ip":"192.0.2.1","path":"/a","method":"GET","Plan":"gold",
        "header:X-App":"ios","cookie:a":" b ","cookie:c":"d;e","query:q ü":"a&b=c","age":41.50,"beta":true,"none":null,
        "list":[1],"not a token":"x","twice":"first","twice":"second"}}"#;
    let body = Json::parse(body).unwrap();
    let context = Context::read(&body).unwrap();
    assert_eq!(context.user(), Some("u"));
    context.with_facts(|facts| {
        assert_eq!(
            (facts.country, facts.ip, facts.path, facts.method),
            (Some("NO"), Some("192.0.2.1"), "/a", "GET")
        );
        for (name, value) in [
            ("plan", Some("gold")),
            ("x-app", Some("ios")),
            ("age", Some("41.50")),
            ("beta", Some("true")),
            ("twice", Some("second")),
            ("none", None),
            ("list", None),
            ("country", None),
        ] {
            assert_eq!(facts.header(name), value, "{name}");
        }
        assert_eq!((facts.cookie("a"), facts.cookie("c")), (Some(" b "), None));
        assert_eq!(facts.query_parameter("q ü").as_deref(), Some("a&b=c"));
        assert_eq!(facts.query_parameter("b"), None);
    });
    let wrong = Json::parse(r#"{"context":{"targetingKey":{}}}"#).unwrap();
    assert_eq!(Context::read(&wrong).err(), Some(InvalidContext::TargetingKey));
    assert_eq!(Endpoint::of_path("/ofrep/v1/evaluate/flags"), Some(Endpoint::Flags));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes in, JSON of the protocol goes out.
    #[test]
    fn arbitrary_requests_get_an_answer(
        key in "\\PC{0,12}",
        body in prop_oneof!["\\PC{0,60}", "\\{\"context\":\\{\"\\PC{0,12}\":\"\\PC{0,12}\"\\}\\}"],
        tag in "\\PC{0,12}",
    ) {
        let (status, answer) = one(&key, &body);
        prop_assert!([200, 400, 404].contains(&status));
        prop_assert_eq!(answer.get("errorCode").is_some(), status != 200);
        let answer = all(&body, Some(&tag));
        if answer.status != 304 {
            prop_assert!(serde_json::from_str::<Value>(&answer.body).is_ok());
        }
    }
}
