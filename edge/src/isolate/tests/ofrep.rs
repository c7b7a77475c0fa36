//! Evaluations over OFREP: paths, callers, statuses, and the work in front of them.

mod headers;

use super::{REQUEST, answer, ask, snapshot, word};
use crate::{
    isolate::{
        Isolate,
        ofrep::{EvaluationRequest, EvaluationResponse, ResponseKind},
    },
    settings::Settings,
    wire::PackedDecision,
};
use cutover_core::{
    Emergency, Flag, PartsPerMillion, Timestamp, measurement::answer::Brake, rules::emergency::Declaration,
    values::access::USUAL_REQUESTS_PER_SECOND, vocabulary::revision::Revision,
};
use serde_json::{Value, json};

const FLAGS: &str = "/ofrep/v1/evaluate/flags";

/// Digest of the token that may evaluate `flag` only.
const ONE: [u8; 32] = [0x11; 32];

/// Digest of the token that may evaluate all flags.
const ALL: [u8; 32] = [0x22; 32];

/// Returns an isolate with the flags `flag`, which is split, and `other`, which is on for everybody.
fn opened(ofrep: Value) -> Isolate {
    let mut isolate = Isolate::default();
    isolate.finish_read(0, Ok(Some(document(7, ofrep)))).unwrap();
    isolate
}

/// Returns the snapshot of [`opened`] as a revision.
fn document(revision: u64, ofrep: Value) -> String {
    let mut snapshot = snapshot(revision, 50.0, 0);
    let other = Flag { enabled: true, rollout_percentage: PartsPerMillion::ALL, ..Flag::default() };
    snapshot.flags.insert("other".parse().unwrap(), other);
    snapshot.ofrep = serde_json::from_value(ofrep).unwrap();
    snapshot.encode().unwrap()
}

fn tokens() -> Value {
    json!([
        { "name": "one", "sha256": "11".repeat(32), "flags": ["flag"] },
        { "name": "all", "sha256": "22".repeat(32), "flags": ["*"] },
    ])
}

/// A request for all flags of a user, with the token for all flags.
fn request() -> EvaluationRequest<'static> {
    EvaluationRequest {
        method: "POST",
        path: FLAGS,
        token: Some(&ALL),
        if_none_match: None,
        origin: None,
        body: Some(br#"{"context":{"targetingKey":"u"}}"#),
    }
}

/// A response with all its headers.
struct Response {
    status: u32,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn evaluate(isolate: &mut Isolate, request: &EvaluationRequest<'_>, now: i64) -> Response {
    let EvaluationResponse { kind, etag, body } = isolate.evaluate(request, now);
    assert_eq!(kind.0 & ResponseKind::TAGGED != 0, etag.is_some());
    let mut headers = isolate.evaluation_headers(kind);
    headers.extend(etag.map(|etag| ("etag", etag.to_string())));
    Response { status: kind.status(), headers, body }
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers.iter().find(|(held, _)| *held == name).map(|(_, value)| value.as_str())
}

fn body(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap()
}

fn keys(response: &Response) -> Vec<String> {
    let body = body(response);
    let flags = body["flags"].as_array().unwrap().iter();
    flags.map(|flag| flag["key"].as_str().unwrap().to_owned()).collect()
}

/// A backend may have paths below `/ofrep` of its own; an upgrade of the Worker takes none of them away.
#[test]
fn the_endpoints_are_there_if_the_configuration_has_them() {
    let url = |path: &str| format!("POST\nhttps://api.example.com{path}\n\0\nu1");
    let is_own =
        |isolate: &Isolate, path: &str| answer(isolate, &url(path), 0).lacks(PackedDecision::OWN_PATH);
    let (open, closed) = (opened(json!({ "tokens": tokens() })), opened(Value::Null));
    for (path, is_endpoint) in [
        (FLAGS, true),
        ("/ofrep/v1/evaluate/flags/flag", true),
        ("/ofrep/v1/evaluate/flags/flag?a=b", true),
        ("/ofrep/v1/evaluate/flags/", false),
        ("/ofrep/v1/evaluate", false),
        ("/ofrep/", false),
        ("/api/ofrep/v1/evaluate/flags", false),
    ] {
        assert_eq!(is_own(&open, path), is_endpoint, "{path}");
        assert!(!is_own(&closed, path), "{path}");
    }
    assert!(!answer(&open, REQUEST, 0).lacks(PackedDecision::OWN_PATH));
    let mut closed = closed;
    assert_eq!(evaluate(&mut closed, &request(), 0).status, 404);
}

/// A core that has broken is replaced by one without rules, also while the body of a request is awaited. A client
/// that is told that there is no such endpoint would not try again.
#[test]
fn an_isolate_without_rules_fails_instead_of_denying_its_endpoints() {
    let response = evaluate(&mut Isolate::default(), &request(), 0);
    assert_eq!((response.status, header(&response, "cache-control")), (500, Some("no-store")));
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_eq!(body(&response)["errorDetails"], "the flags could not be evaluated");
}

#[test]
fn each_refusal_has_its_status() {
    let mut isolate = opened(json!({ "tokens": tokens() }));
    let one = |key: &'static str, token: &'static [u8]| EvaluationRequest {
        path: key,
        token: Some(token),
        ..request()
    };
    let flag = "/ofrep/v1/evaluate/flags/flag";
    let cases = [
        (request(), 200),
        (one(flag, &ONE), 200),
        (one("/ofrep/v1/evaluate/flags/%66lag", &ONE), 200),
        (one("/ofrep/v1/evaluate/flags/other", &ONE), 403),
        // Whether a flag exists is told only to those who may evaluate it.
        (one("/ofrep/v1/evaluate/flags/none", &ONE), 403),
        (one("/ofrep/v1/evaluate/flags/none", &ALL), 404),
        (one(flag, &[0x33; 32]), 401),
        (EvaluationRequest { token: None, ..request() }, 401),
        (EvaluationRequest { method: "GET", ..request() }, 405),
        (EvaluationRequest { body: None, ..request() }, 413),
        (EvaluationRequest { body: Some(b"{"), ..request() }, 400),
        (EvaluationRequest { body: Some(b"{\"context\":{\"targetingKey\":\"\xff\"}}"), ..request() }, 400),
        (EvaluationRequest { body: Some(b"{\"context\":1}"), ..request() }, 400),
        (EvaluationRequest { body: Some(b"{}"), ..one(flag, &ALL) }, 400),
    ];
    for (request, status) in cases {
        let response = evaluate(&mut isolate, &request, 0);
        assert_eq!(response.status, status, "{request:?}");
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        let kind = header(&response, "content-type");
        assert_eq!(kind, (!response.body.is_empty()).then_some("application/json"), "{request:?}");
        assert_eq!(header(&response, "www-authenticate"), (status == 401).then_some("Bearer"));
        assert_eq!(header(&response, "allow"), (status == 405).then_some("OPTIONS, POST"));
        assert_eq!(header(&response, "etag").is_some(), status == 200 && request.path == FLAGS);
        // No page of another origin was named.
        assert_eq!(header(&response, "access-control-allow-origin"), None);
    }
}

#[test]
fn a_token_shows_its_flags_and_nobody_needs_one_if_the_configuration_says_so() {
    let mut isolate = opened(json!({ "tokens": tokens(), "anonymous": true }));
    assert_eq!(keys(&evaluate(&mut isolate, &request(), 0)), ["flag", "other"]);
    let one = EvaluationRequest { token: Some(&ONE), ..request() };
    assert_eq!(keys(&evaluate(&mut isolate, &one, 0)), ["flag"]);
    let nobody = EvaluationRequest { token: None, ..request() };
    assert_eq!(keys(&evaluate(&mut isolate, &nobody, 0)), ["flag", "other"]);
    let stranger = EvaluationRequest { token: Some(&[0x33; 32]), ..request() };
    assert_eq!(evaluate(&mut isolate, &stranger, 0).status, 401);
}

#[test]
fn a_client_that_holds_the_answer_gets_304_until_a_brake_an_emergency_or_a_snapshot_changes_it() {
    let mut isolate = opened(json!({ "tokens": tokens() }));
    let (reason, by, since) = ("r".to_owned(), "b".to_owned(), Timestamp::from_millis(0));
    let emergency = Emergency::from(Declaration { flags: None, reason, by, since });
    let brake = Brake {
        revision: Revision(8),
        flag: "other".parse().unwrap(),
        enabled: true,
        rollout: PartsPerMillion::of_percent(50),
    };
    type Change<'c> = (&'c str, &'c dyn Fn(&mut Isolate));
    let changes: [Change<'_>; 4] = [
        ("nothing was held", &|_: &mut Isolate| ()),
        ("a brake", &|isolate: &mut Isolate| isolate.rules().unwrap().brake([&brake])),
        ("an emergency", &|isolate: &mut Isolate| isolate.rules().unwrap().declare([&emergency])),
        ("a snapshot", &|isolate: &mut Isolate| {
            let newer = document(9, json!({ "tokens": tokens() }));
            isolate.finish_read(1, Ok(Some(newer))).unwrap();
        }),
    ];
    let mut tag = "\"none\"".to_owned();
    for (context, change) in changes {
        change(&mut isolate);
        let changed =
            evaluate(&mut isolate, &EvaluationRequest { if_none_match: Some(&tag), ..request() }, 2);
        assert_eq!(changed.status, 200, "{context}");
        tag = header(&changed, "etag").unwrap().to_owned();
        let held = EvaluationRequest { if_none_match: Some(&tag), ..request() };
        let same = evaluate(&mut isolate, &held, 2);
        let expected = (304, "", Some(tag.as_str()));
        assert_eq!((same.status, same.body.as_str(), header(&same, "etag")), expected, "{context}");
        let other = EvaluationRequest { token: Some(&ONE), ..held };
        assert_eq!(evaluate(&mut isolate, &other, 2).status, 200, "the flags of another token");
    }
}

#[test]
fn a_caller_that_is_too_fast_is_told_when_to_come_again() {
    let mut isolate = opened(json!({ "tokens": tokens(), "requests_per_second": 2 }));
    let status = |isolate: &mut Isolate, token: &'static [u8], now: i64| {
        evaluate(isolate, &EvaluationRequest { token: Some(token), ..request() }, now).status
    };
    assert_eq!([0; 3].map(|now| status(&mut isolate, &ALL, now)), [200, 200, 429]);
    let late = evaluate(&mut isolate, &request(), 0);
    assert_eq!((late.status, header(&late, "retry-after")), (429, Some("1")));
    assert_eq!(status(&mut isolate, &ONE, 0), 200, "another token has a limit of its own");
    // Strangers use up nothing of it.
    assert_eq!([0; 3].map(|now| status(&mut isolate, &[0x33; 32], now)), [401; 3]);
    assert_eq!(status(&mut isolate, &ALL, 1_000), 200);
}

#[test]
fn a_caller_has_a_pace_although_the_configuration_names_none() {
    let mut isolate = opened(json!({ "tokens": tokens() }));
    let pace = USUAL_REQUESTS_PER_SECOND.get();
    assert!((0..pace).all(|_| evaluate(&mut isolate, &request(), 0).status == 200));
    assert_eq!(evaluate(&mut isolate, &request(), 0).status, 429);
    assert_eq!(evaluate(&mut isolate, &request(), 1_000).status, 200);
}

/// The table says that there are endpoints; the next snapshot may have closed them.
#[test]
fn nothing_is_evaluated_by_an_old_table_or_without_a_due_refresh() {
    let mut isolate = opened(json!({ "tokens": tokens() }));
    let generation = isolate.generation();
    let before = |isolate: &Isolate, now: i64| isolate.before_evaluation(now, generation).0;
    assert_eq!(before(&isolate, 0), 0);
    let due = isolate.settings().soft_ttl_ms;
    assert_eq!(before(&isolate, due), PackedDecision::REFRESH);
    assert!(isolate.begin_read(due));
    assert_eq!(before(&isolate, due), 0, "another request reads it");
    isolate.finish_read(due, Ok(Some(document(8, Value::Null)))).unwrap();
    assert_eq!(before(&isolate, due), PackedDecision::TABLE);
}

/// An isolate that rested has heard of no emergency and no brake. One with requests all the time hears of them
/// behind these.
#[test]
fn an_evaluation_waits_for_the_control_plane_after_a_rest_and_at_no_other_time() {
    let mut isolate = opened(json!({ "tokens": tokens() }));
    isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
    isolate.reporting.name("i".to_owned());
    let waits = |isolate: &Isolate, now: i64| {
        isolate.before_evaluation(now, isolate.generation()).0 & PackedDecision::ASK != 0
    };
    assert!(waits(&isolate, 0), "it never heard anything");
    isolate.question(0).unwrap();
    assert!(waits(&isolate, 10), "another request has asked");
    isolate.answered(200, &serde_json::to_string(&word(7)).unwrap(), 20);
    assert!(!waits(&isolate, 20));
    isolate.question(4_500).unwrap();
    assert!(!waits(&isolate, 4_510), "the question behind an earlier request");
    isolate.answered(0, "", 5_500);
    assert!(!waits(&isolate, 6_021), "a question had no answer, and the next one is not due");
    ask(&mut isolate, &word(7), 10_000);
    assert_eq!([16_000, 16_001].map(|now| waits(&isolate, now)), [false, true], "the lease is over");
    isolate.question(16_001).unwrap();
    isolate.answered(0, "", 17_001);
    assert!(!waits(&isolate, 17_002), "a control plane that does not answer holds nobody up again");
}

#[test]
fn an_evaluation_waits_only_if_an_emergency_could_change_it() {
    let with = |has_routing_flags: bool, settings: Settings| {
        let mut held = snapshot(7, 50.0, 0);
        if !has_routing_flags {
            held.flags.clear();
        }
        held.ofrep = serde_json::from_value(json!({ "tokens": tokens() })).unwrap();
        let mut isolate = Isolate::default();
        isolate.configure(settings, 0);
        isolate.finish_read(0, Ok(Some(held.encode().unwrap()))).unwrap();
        isolate.before_evaluation(0, isolate.generation()).0 & PackedDecision::ASK != 0
    };
    let reporting = || Settings { reports: true, ..Settings::default() };
    assert!(with(true, reporting()));
    // Where requests go decides no value.
    assert!(with(true, Settings { force_legacy: true, ..reporting() }));
    assert!(!with(false, reporting()));
    assert!(!with(true, Settings { lease_ms: 0, ..reporting() }));
    assert!(!with(true, Settings::default()), "there is no control plane to ask");
}
