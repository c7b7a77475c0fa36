//! Headers of responses over OFREP, those for browsers among them.

use super::{FLAGS, ONE, evaluate, header, opened, request, tokens};
use crate::isolate::ofrep::{EvaluationRequest, EvaluationResponse};
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn browsers_are_told_which_pages_may_read_the_answers() {
    let mut isolate = opened(json!({ "tokens": tokens(), "origins": ["https://app.example"] }));
    let from = |origin: Option<&'static str>| EvaluationRequest { origin, ..request() };
    let response = evaluate(&mut isolate, &from(Some("https://app.example")), 0);
    assert_eq!(header(&response, "access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(header(&response, "access-control-expose-headers"), Some("etag, retry-after"));
    assert_eq!(header(&response, "vary"), Some("origin"));
    for origin in [None, Some("https://evil.example"), Some("https://app.example.evil")] {
        let response = evaluate(&mut isolate, &from(origin), 0);
        assert_eq!((response.status, header(&response, "vary")), (200, Some("origin")));
        assert_eq!(header(&response, "access-control-allow-origin"), None, "{origin:?}");
    }
    // A refusal can be read too, or a script could not tell it from a broken network.
    let refused =
        evaluate(&mut isolate, &EvaluationRequest { token: None, ..from(Some("https://app.example")) }, 0);
    assert_eq!(refused.status, 401);
    assert_eq!(header(&refused, "access-control-allow-origin"), Some("https://app.example"));
    // Browsers send no token with a preflight.
    let asked = EvaluationRequest { method: "OPTIONS", token: None, ..from(Some("https://app.example")) };
    let preflight = evaluate(&mut isolate, &asked, 0);
    assert_eq!((preflight.status, preflight.body.as_str()), (204, ""));
    assert_eq!(header(&preflight, "access-control-allow-methods"), Some("POST"));
    let sent = header(&preflight, "access-control-allow-headers").unwrap();
    for name in ["authorization", "content-type", "if-none-match", "x-api-key"] {
        assert!(sent.split(", ").any(|held| held == name), "{name}");
    }
    let mut any = opened(json!({ "tokens": tokens(), "origins": ["*"] }));
    let response = evaluate(&mut any, &from(Some("https://else.example")), 0);
    assert_eq!(header(&response, "access-control-allow-origin"), Some("*"));
}

/// Returns the headers of a response to a page except the entity tag. `allowed` is the page's origin, if it may read
/// the response.
fn expected_headers(
    status: u32,
    has_body: bool,
    allowed: Option<&'static str>,
) -> BTreeMap<&'static str, &'static str> {
    let own: &[_] = match status {
        204 => &[("allow", "OPTIONS, POST")],
        401 => &[("cache-control", "no-store"), ("www-authenticate", "Bearer")],
        405 => &[("cache-control", "no-store"), ("allow", "OPTIONS, POST")],
        429 => &[("cache-control", "no-store"), ("retry-after", "1")],
        _ => &[("cache-control", "no-store")],
    };
    let shared: &[_] = match status {
        204 => &[
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", "authorization, content-type, if-none-match, x-api-key"),
            ("access-control-max-age", "600"),
        ],
        _ => &[("access-control-expose-headers", "etag, retry-after")],
    };
    let kind = has_body.then_some(("content-type", "application/json"));
    let shared = shared.iter().copied().filter(|_| allowed.is_some());
    let origin = allowed.map(|origin| ("access-control-allow-origin", origin));
    own.iter().copied().chain(kind).chain([("vary", "origin")]).chain(shared).chain(origin).collect()
}

/// JavaScript builds each kind of response once, so a kind has to say all that its headers depend on.
#[test]
fn responses_have_the_headers_of_their_requests_and_one_kind_has_the_same_ones() {
    const FAST: [u8; 32] = [0x44; 32];
    const PACE: u32 = 100;
    let origins = ["https://app.example", "https://other.example"];
    let mut tokens = tokens();
    let fast = json!({ "name": "fast", "sha256": "44".repeat(32), "flags": ["*"] });
    tokens.as_array_mut().unwrap().push(fast);
    let access = json!({ "tokens": tokens, "origins": origins, "requests_per_second": PACE });
    let mut isolate = opened(access);
    let is_fast = EvaluationRequest { token: Some(&FAST), ..request() };
    assert!((0..PACE).all(|_| evaluate(&mut isolate, &is_fast, 0).status == 200));
    let tag = header(&evaluate(&mut isolate, &request(), 0), "etag").unwrap().to_owned();
    let [flag, other, none] = ["flag", "other", "none"].map(|flag| format!("{FLAGS}/{flag}"));
    let mut kinds: BTreeMap<u32, BTreeMap<&str, &str>> = BTreeMap::new();
    let pages = [None, Some(origins[0]), Some(origins[1]), Some("https://evil.example")];
    for (origin, path) in pages.into_iter().flat_map(|origin| [(origin, FLAGS), (origin, flag.as_str())]) {
        let is_bulk = path == FLAGS;
        let from = EvaluationRequest { origin, path, ..request() };
        let held = EvaluationRequest { if_none_match: Some(&tag), ..from };
        for (request, status, has_body) in [
            (from, 200, true),
            // One flag has no tag.
            (held, if is_bulk { 304 } else { 200 }, !is_bulk),
            (EvaluationRequest { method: "OPTIONS", ..from }, 204, false),
            (EvaluationRequest { method: "GET", ..from }, 405, true),
            (EvaluationRequest { token: None, ..from }, 401, false),
            (EvaluationRequest { token: Some(&FAST), ..from }, 429, false),
            (EvaluationRequest { token: Some(&ONE), path: &other, ..from }, 403, false),
            (EvaluationRequest { path: &none, ..from }, 404, true),
            (EvaluationRequest { body: None, ..from }, 413, true),
            (EvaluationRequest { body: Some(b"{"), ..from }, 400, true),
        ] {
            let EvaluationResponse { kind, etag, body } = isolate.evaluate(&request, 0);
            let is_tagged = is_bulk && (status == 200 || status == 304);
            let found = (kind.status(), etag.is_some(), !body.is_empty());
            assert_eq!(found, (status, is_tagged, has_body), "{request:?}");
            let headers = isolate.evaluation_headers(kind);
            let headers: BTreeMap<&str, &str> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let allowed = origin.filter(|origin| origins.contains(origin));
            let expected = expected_headers(status, has_body, allowed);
            assert_eq!(headers, expected, "{request:?}");
            let of_kind = kinds.entry(kind.0).or_insert_with(|| expected.clone());
            assert_eq!(*of_kind, expected, "{request:?}");
        }
    }
    // 200 with a tag or without one, and nine others: for either page, and for the pages that may read nothing.
    assert_eq!(kinds.len(), 11 * 3, "{kinds:#?}");
}
