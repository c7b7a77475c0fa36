//! Statuses and bodies of the protocol.

use super::{Evaluating, FLAGS, SERVER, USER, WEB, keys};
use cutover_core::Timestamp;
use cutover_lambda::clock;
use cutover_tests::{http, paths, schemathesis};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The path of one flag.
fn flag(key: &str) -> String {
    format!("{FLAGS}/{key}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_of_each_type_is_evaluated_for_a_user() {
    let edge = Evaluating::start("").await;
    for (key, value, variant) in [
        ("colour", json!("#00f"), "blue"),
        ("limits", json!({ "items": 3 }), "small"),
        ("shop.discount", json!(2.5), "some"),
        ("switch", json!(true), "yes"),
        // A flag of routes is true on the new arm.
        ("everything", json!(true), "new"),
    ] {
        let answer = edge.post(&flag(key), SERVER, USER).await;
        assert_eq!(answer.status, 200, "{key}");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
        let body = answer.json();
        assert_eq!((&body["key"], &body["value"], &body["variant"]), (&json!(key), &value, &json!(variant)));
        assert!(body["reason"].is_string() && body["metadata"]["revision"].is_u64(), "{body}");
    }
    let gold = r#"{"context":{"targetingKey":"ann","plan":"gold"}}"#;
    assert_eq!(edge.post(&flag("colour"), SERVER, gold).await.json()["value"], "#0f0");
    let split = edge.post(&flag("shop.split"), SERVER, USER).await.json();
    assert_eq!(split["reason"], "SPLIT");
    for _ in 0..3 {
        assert_eq!(edge.post(&flag("shop.split"), SERVER, USER).await.json(), split);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_of_a_client_has_its_status_and_its_code() {
    let edge = Evaluating::start("").await;
    for (key, body, status, code) in [
        ("colour", "", 400, "PARSE_ERROR"),
        ("colour", "{", 400, "PARSE_ERROR"),
        ("colour", "[]", 400, "PARSE_ERROR"),
        ("colour", r#"{"context":"ann"}"#, 400, "INVALID_CONTEXT"),
        ("colour", r#"{"context":{"targetingKey":1}}"#, 400, "INVALID_CONTEXT"),
        ("shop.split", "{}", 400, "TARGETING_KEY_MISSING"),
        ("none", USER, 404, "FLAG_NOT_FOUND"),
        ("a%2Fb", USER, 404, "FLAG_NOT_FOUND"),
    ] {
        let answer = edge.post(&flag(key), SERVER, body).await;
        assert_eq!(answer.status, status, "{key} {body}");
        let told = answer.json();
        assert_eq!(told["errorCode"], code, "{key} {body}");
        assert!(told["errorDetails"].is_string(), "{told}");
    }
    for (body, code) in [("{", "PARSE_ERROR"), (r#"{"context":1}"#, "INVALID_CONTEXT")] {
        let answer = edge.post(FLAGS, SERVER, body).await;
        assert_eq!((answer.status, &answer.json()["errorCode"]), (400, &json!(code)));
    }
    for method in ["GET", "PUT", "DELETE"] {
        let answer = edge.send(method, FLAGS, &[("x-api-key", SERVER)], "").await;
        assert_eq!(
            (answer.status, answer.header("allow").as_deref()),
            (405, Some("OPTIONS, POST")),
            "{method}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read() {
    const LIMIT: usize = 65_536;
    let edge = Evaluating::start("").await;
    let padded = |length: usize| format!("{USER}{}", " ".repeat(length - USER.len()));
    assert_eq!(edge.post(FLAGS, SERVER, &padded(LIMIT)).await.status, 200);
    let refused = edge.post(FLAGS, SERVER, &padded(LIMIT + 1)).await;
    assert_eq!(refused.status, 413);
    assert!(refused.json()["errorDetails"].is_string());
    // Without an announced length it is counted on the way.
    for (length, status) in [(LIMIT, 200), (LIMIT + 1, 413)] {
        let body = padded(length);
        let request = format!(
            "POST {FLAGS} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\nx-api-key: {SERVER}\r\n\
             transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        );
        assert_eq!(http::exchange(edge.port(), request.as_bytes()).await.status, status, "{length}");
    }
    // A stranger learns nothing of the limit.
    assert_eq!(edge.post(FLAGS, "stranger", &padded(LIMIT + 1)).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_a_mistake_of_the_client() {
    let edge = Evaluating::start("").await;
    // A chunk whose length is none.
    let broken = format!(
        "POST {FLAGS} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\nx-api-key: {SERVER}\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\n{{\"con\r\nno length\r\n"
    );
    let answer = http::exchange(edge.port(), broken.as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["errorCode"]), (400, &json!("PARSE_ERROR")));
}

/// The web provider keeps its entity tag when it changes its context or its token.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_holds_the_answer_is_told_so_until_it_would_get_another_one() {
    let edge = Evaluating::start("").await;
    let first = edge.post(FLAGS, SERVER, USER).await;
    assert_eq!(keys(&first), ["colour", "everything", "limits", "shop.discount", "shop.split", "switch"]);
    let tag = first.header("etag").unwrap();
    let again = async |token: &str, body: &str| {
        let headers = [("x-api-key", token), ("if-none-match", tag.as_str())];
        edge.send("POST", FLAGS, &headers, body).await
    };
    let same = again(SERVER, USER).await;
    assert_eq!((same.status, same.header("etag"), same.body.len()), (304, Some(tag.clone()), 0));
    for body in
        [r#"{"context":{"targetingKey":"bob"}}"#, r#"{"context":{"targetingKey":"ann","plan":"gold"}}"#, "{}"]
    {
        assert_eq!(again(SERVER, body).await.status, 200, "{body}");
    }
    assert_eq!(again(WEB, USER).await.status, 200);
}

/// The Worker copies its responses from earlier ones.
#[tokio::test(flavor = "multi_thread")]
async fn each_answer_has_the_values_and_the_tag_of_its_own_request() {
    let edge = Evaluating::start("").await;
    let gold = r#"{"context":{"targetingKey":"bob","plan":"gold"}}"#;
    let mut tags: Vec<[String; 2]> = Vec::new();
    for _ in 0..3 {
        let mut pair = Vec::new();
        for (body, colour) in [(USER, "#00f"), (gold, "#0f0")] {
            let answer = edge.post(FLAGS, SERVER, body).await;
            assert_eq!((answer.status, &answer.json()["flags"][0]["value"]), (200, &json!(colour)));
            let tag = answer.header("etag").unwrap();
            let held = [("x-api-key", SERVER), ("if-none-match", tag.as_str())];
            let same = edge.send("POST", FLAGS, &held, body).await;
            assert_eq!((same.status, same.header("etag"), same.body.len()), (304, Some(tag.clone()), 0));
            assert_eq!((same.header("content-type"), answer.header("vary")), (None, None));
            let one = edge.post(&flag("colour"), SERVER, body).await;
            assert_eq!((one.status, one.header("etag"), &one.json()["value"]), (200, None, &json!(colour)));
            let refused = edge.post(FLAGS, SERVER, "{").await;
            assert_eq!((refused.status, refused.header("etag")), (400, None));
            assert_eq!(refused.header("cache-control").as_deref(), Some("no-store"));
            pair.push(tag);
        }
        tags.push(pair.try_into().unwrap());
    }
    assert_ne!(tags[0][0], tags[0][1]);
    assert_eq!((&tags[1], &tags[2]), (&tags[0], &tags[0]));
}

/// Time passes without a snapshot, so a tag of the revision alone would hold the old values for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_schedule_changes_the_entity_tag() {
    let due = Timestamp::from_millis(clock::now().millis() + 8_000);
    let values = format!(
        "flags:\n  later:\n    {{ type: boolean, enabled: true, variants: {{ \"yes\": true, \"no\": false }}, default: \"no\", \
         off: \"no\", schedule: [{{ at: \"{due}\", set: {{ default: \"yes\" }} }}] }}\n"
    );
    let edge = Evaluating::configured(&values, "ofrep: { anonymous: true }\n").await;
    let first = edge.send("POST", FLAGS, &[], USER).await;
    assert_eq!(first.json()["flags"][1]["value"], json!(false), "{}", first.json());
    let tag = first.header("etag").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let later = loop {
        let answer = edge.send("POST", FLAGS, &[("if-none-match", &tag)], USER).await;
        if answer.status == 200 {
            break answer;
        }
        assert_eq!(answer.status, 304);
        assert!(Instant::now() < deadline, "the schedule never changes the tag");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(later.json()["flags"][1]["value"], json!(true));
    assert_ne!(later.header("etag").unwrap(), tag);
    assert!(clock::now() >= due, "the value came before its time");
}

/// Whatever is sent that the description allows, or nearly allows, is answered as it says.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_gets_an_answer_that_is_not_described() {
    let edge = Evaluating::start("").await;
    let url = format!("http://127.0.0.1:{}", edge.port());
    let document = paths::root().join("docs/ofrep.openapi.json");
    schemathesis::check(&document, &url, SERVER).await;
    let described: Value = serde_json::from_str(&std::fs::read_to_string(document).unwrap()).unwrap();
    let mut endpoints: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    endpoints.sort();
    assert_eq!(endpoints, [FLAGS, flag("{key}").as_str()]);
}
