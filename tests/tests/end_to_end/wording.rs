//! Problems of the management API are in its own words: they name the field, what is expected of it and the next step, and
//! no type of Rust; one kind of mistake has one status and one code.

use cutover_tests::{
    client::{Answer, Management},
    openapi::described,
    stack::{Options, Stack},
};
use serde_json::{Value, json};

/// Words that only readers of Rust, or of its libraries, know.
const FORBIDDEN: [&str; 22] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "invalid digit",
    "cannot parse integer",
    "unknown variant",
    "unknown field",
    "missing field",
    "duplicate field",
    "Failed to",
    "deserialize",
    "EOF",
    "expected value at",
    "f64",
    "u32",
    "u64",
    "usize",
    "boolean",
    "sequence",
    "struct",
    "Option",
    "variant",
];

async fn started() -> Stack {
    let stack = Stack::start(Options::default().enforcing()).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack
}

/// Checks that a response is a problem in plain words.
#[track_caller]
fn check(request: &str, answer: &Answer) {
    let shown = format!("{request}: {:#}", answer.body);
    assert_eq!(answer.content_type, "application/problem+json", "{shown}");
    for member in ["code", "detail", "hint"] {
        assert!(answer.body[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {shown}");
    }
    let text = answer.body.to_string();
    for word in FORBIDDEN {
        assert!(!text.contains(word), "{word:?} is said to {shown}");
    }
}

async fn sent(management: &Management, method: &str, path: &str, body: &str) -> Answer {
    let kind = [("content-type", "application/json")];
    let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &kind };
    let answer = management.send(method, path, headers, Some(body).filter(|body| !body.is_empty())).await;
    check(&format!("{method} {path} {body}"), &answer);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_bodies_are_told_by_their_field_in_plain_words() {
    let stack = started().await;
    let management = stack.management();
    let before = management.get("/config").await.expect(200).body;
    let rollout = "/flags/graphql_reviews_read/rollout";
    let promote = "/canary/graphql_offers_read/promote";
    for (method, path, body, field) in [
        ("PUT", rollout, r#"{"percentage":"abc"}"#, "percentage"),
        ("PUT", rollout, r#"{"percentage":null}"#, "percentage"),
        ("PUT", rollout, r#"{"percentage":[1]}"#, "percentage"),
        ("PUT", rollout, r#"{}"#, "percentage"),
        ("PUT", rollout, r#"{"percentage":1,"percent":2}"#, "percent"),
        ("PUT", rollout, "[]", "body"),
        ("PUT", rollout, "7", "body"),
        ("POST", promote, r#"{"x":1}"#, "x"),
        ("POST", promote, r#"{"to_step":-1}"#, "to_step"),
        ("POST", promote, r#"{"to_step":1.5}"#, "to_step"),
        ("POST", promote, r#"{"to_percentage":true}"#, "to_percentage"),
        ("POST", "/tokens", r#"{"name":"t"}"#, "role"),
        ("POST", "/tokens", r#"{"name":"t","role":"boss"}"#, "role"),
        ("POST", "/tokens", r#"{"name":"t","role":1}"#, "role"),
        ("POST", "/tokens", r#"{"name":{},"role":"viewer"}"#, "name"),
        ("POST", "/tokens", r#"{"name":"t","role":"viewer","expires_at":"soon"}"#, "expires_at"),
        ("POST", "/tokens/none/rotate", r#"{"grace_seconds":"1h"}"#, "grace_seconds"),
        ("POST", "/emergency/rollback", r#"{"reason":1}"#, "reason"),
        ("POST", "/emergency/rollback", r#"{"reason":"x","flags":"f"}"#, "flags"),
        ("POST", "/emergency/rollback", r#"{"reason":"x","flags":["a b"]}"#, "flags[0]"),
        ("POST", "/emergency/clear", r#"{"reasons":"x"}"#, "reasons"),
        ("POST", "/experiments/none/stop", r#"{"reason":"x","x":1}"#, "x"),
        (
            "PUT",
            "/experiments/none",
            r#"{"name":"E","variants":{"a":"A","b":"B"},"descripton":"x"}"#,
            "descripton",
        ),
        ("PUT", "/flags/x", r#"{"enabled":"yes"}"#, "enabled"),
        ("PUT", "/flags/x", r#"{"user_whitelist":7}"#, "user_whitelist"),
        ("PUT", "/config", r#"{"routes":{}}"#, "routes"),
    ] {
        let answer = sent(&management, method, path, body).await.expect(422);
        assert_eq!(answer.body["code"], "invalid", "{method} {path} {body}: {:#}", answer.body);
        assert_eq!(answer.body["field"], field, "{method} {path} {body}: {:#}", answer.body);
    }
    for body in ["{", "", "{\"percentage\": }", "\u{e4}"] {
        let answer = management.send("PUT", rollout, &[], Some(body)).await.expect(400);
        check(body, &answer);
        assert_eq!(answer.body["code"], "body_not_json");
    }
    assert_eq!(management.get("/config").await.expect(200).body, before, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_fields_refuse_a_body_with_some() {
    let stack = started().await;
    let management = stack.management();
    let without_body = described().into_iter().filter(|(_, operation)| operation["requestBody"].is_null());
    let operations = without_body.map(|((_, operation), _)| operation);
    let changing: Vec<String> = operations.filter(|operation| !operation.starts_with("GET ")).collect();
    for expected in ["POST /experiments/{name}/start", "DELETE /experiments/{name}", "DELETE /routes/{id}"] {
        assert!(
            changing.iter().any(|operation| operation == expected),
            "{expected} is not among {changing:?}"
        );
    }
    for operation in &changing {
        let (method, path) = operation.split_once(' ').unwrap();
        // Nothing of these names is needed: the body is looked at first.
        let path = path.replace("{name}", "none").replace("{id}", "none");
        let answer = sent(&management, method, &path, r#"{"x":1}"#).await.expect(422);
        let expected = (&json!("invalid"), &json!("x"));
        assert_eq!((&answer.body["code"], &answer.body["field"]), expected, "{method} {path}");
    }
    let kind = [("content-type", "application/json")];
    let path = "/flags/graphql_reviews_read/enable";
    management.send("POST", path, &kind, Some("{}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_kind_of_mistake_in_a_parameter_has_one_status_and_one_code() {
    let stack = started().await;
    let management = stack.management();
    let run = "/canary/graphql_offers_read/runs";
    for path in ["/flags", "/canary", "/tokens", "/changes", "/comparisons", "/audit", run] {
        for wrong in ["0", "abc", "-1", "", "99999999", "1.5"] {
            let answer = sent(&management, "GET", &format!("{path}?limit={wrong}"), "").await.expect(422);
            let expected = (&json!("invalid"), &json!("limit"));
            assert_eq!((&answer.body["code"], &answer.body["field"]), expected, "{path}?limit={wrong}");
        }
        let answer = sent(&management, "GET", &format!("{path}?limt=1"), "").await.expect(422);
        assert_eq!((&answer.body["code"], &answer.body["field"]), (&json!("invalid"), &json!("limt")));
        let answer = sent(&management, "GET", &format!("{path}?limit=1&limit=2"), "").await.expect(422);
        assert_eq!(answer.body["field"], "limit", "{path}");
    }
    for (path, field) in [
        ("/canary/graphql_offers_read?error_rate=high", "error_rate"),
        ("/canary/graphql_offers_read?error_rate=2", "error_rate"),
        ("/audit?revision=x", "revision"),
        ("/audit?flag=a%20b", "flag"),
        ("/audit?before=x", "before"),
        ("/audit/verify?position=x&digest=y", "position"),
        ("/audit/1/changes?part=x", "part"),
        ("/audit/x/changes", "revision"),
    ] {
        let answer = sent(&management, "GET", path, "").await.expect(422);
        assert_eq!(
            (&answer.body["code"], &answer.body["field"]),
            (&json!("invalid"), &json!(field)),
            "{path}"
        );
    }
    for path in ["/canary/graphql_offers_read/start?keep_salt=1", "/config?dry_run=yes"] {
        let method = if path.starts_with("/config") { "PUT" } else { "POST" };
        let answer = sent(&management, method, path, "").await.expect(422);
        assert_eq!(answer.body["code"], "invalid", "{path}");
    }
    // A time is described alike everywhere, with the trap of its plus sign.
    for path in ["/audit?since", "/audit?until", "/flags/graphql_reviews_read/explain?user=u&at"] {
        for wrong in ["yesterday", "2026-01-01T00:00:00+00:00", "2026-01-01"] {
            let answer = sent(&management, "GET", &format!("{path}={wrong}"), "").await.expect(422);
            let hint = answer.body["hint"].as_str().unwrap();
            assert!(hint.contains("RFC 3339") && hint.contains("%2B"), "{path}={wrong}: {hint}");
        }
        management.get(&format!("{path}=2026-01-01T00:00:00%2B00:00")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_without_quotes_is_malformed_and_an_unknown_one_does_not_match() {
    let stack = started().await;
    let management = stack.management();
    let path = "/flags/graphql_reviews_read/rollout";
    let body = json!({ "percentage": 30 }).to_string();
    let tag = management.get("/flags/graphql_reviews_read").await.expect(200).etag.unwrap();
    let weak = format!("W/{tag}");
    for (value, status, code) in [
        (tag.trim_matches('"'), 400, "if_match_malformed"),
        ("139", 400, "if_match_malformed"),
        ("\"139", 400, "if_match_malformed"),
        ("\"", 400, "if_match_malformed"),
        ("\"139\"", 412, "changed_meanwhile"),
        ("\"none\"", 412, "changed_meanwhile"),
        (weak.as_str(), 412, "changed_meanwhile"),
    ] {
        let answer = management.send("PUT", path, &[("if-match", value)], Some(&body)).await.expect(status);
        check(value, &answer);
        assert_eq!(answer.body["code"], code, "{value}: {:#}", answer.body);
    }
    let answer = management.send("PUT", path, &[("if-match", "139")], Some(&body)).await.expect(400);
    assert!(answer.body["hint"].as_str().unwrap().starts_with("quote it"), "{:#}", answer.body);
    management.send("PUT", path, &[("if-match", &tag)], Some(&body)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_have_a_line_only_if_there_are_lines() {
    let stack = started().await;
    let management = stack.management();
    let flag = json!({ "enabled": 1, "rollout_percentage": "x" });
    let errors = management.put("/flags/x", &flag).await.expect(422).body["errors"].clone();
    assert_eq!(errors.as_array().map(Vec::len), Some(2), "{errors:#}");
    for error in errors.as_array().unwrap() {
        assert!(error.get("line").is_none() && error.get("column").is_none(), "{error:#}");
        assert!(error["field"].is_string() && error["message"].is_string(), "{error:#}");
    }
    let yaml = "feature_flags:\n  f: { enabled: 1 }\n";
    let error = management.apply(yaml).await.expect(422).body["errors"][0].clone();
    assert_eq!((&error["line"], error["column"].is_u64()), (&json!(2), true), "{error:#}");
    assert_ne!(error["column"], Value::from(0));
}
