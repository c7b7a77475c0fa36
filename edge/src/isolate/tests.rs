//! Transitions of an isolate's state, on the host.

mod alike;
mod brakes;
mod control;
mod epochs;
mod events;
mod experiments;
mod failover;
mod groups;
mod limits;
mod ofrep;
mod reports;
mod timing;

use crate::{
    isolate::{reading::READ_PATIENCE_MS, *},
    test_support,
};
use cutover_core::{
    PartsPerMillion, Snapshot,
    adapter::Program,
    measurement::answer::Answer,
    rules::condition::document::{Condition, Operator},
    vocabulary::revision::Revision,
};
use std::sync::Arc;

fn snapshot(revision: u64, percent: f64, headers: usize) -> Snapshot {
    let mut snapshot = test_support::snapshot(revision, PartsPerMillion::from_percent(percent).unwrap());
    let condition = |index: usize| Condition::Attribute {
        name: format!("header:x-{index}").parse().unwrap(),
        op: Operator::Equals,
        values: vec!["1".to_owned()],
    };
    snapshot.flags.values_mut().for_each(|flag| flag.conditions = (0..headers).map(condition).collect());
    snapshot
}

fn document(revision: u64, percent: f64) -> Result<Option<String>, String> {
    Ok(Some(snapshot(revision, percent, 0).encode().unwrap()))
}

fn holding(revision: u64, percent: f64) -> Isolate {
    let mut isolate = Isolate::default();
    assert!(isolate.begin_read(0));
    isolate.finish_read(0, document(revision, percent)).unwrap();
    isolate
}

fn answer(isolate: &Isolate, lines: &str, now: i64) -> PackedDecision {
    isolate.decide(&Packed::new(lines), now, isolate.generation(), || None).0
}

fn reason(answer: PackedDecision) -> Reason {
    answer.reason()
}

const REQUEST: &str = "GET\nhttps://api.example.com/api/x\n\0\nu1";

/// An isolate that reports and whose canary is at the given step.
fn reporting(step: u32) -> Isolate {
    let mut isolate = Isolate::default();
    let settings = Settings::read(|name| (name == "INGEST_URL").then(|| "https://ingest.example".to_owned()));
    isolate.configure(settings, 0);
    isolate.reporting.name("ab".repeat(16));
    isolate.finish_read(0, Ok(Some(with_canary(1, step).encode().unwrap()))).unwrap();
    isolate
}

fn with_canary(revision: u64, step: u32) -> Snapshot {
    let mut snapshot = snapshot(revision, 50.0, 0);
    let label = test_support::label(step, PartsPerMillion::of_percent(50));
    snapshot.canaries.insert("flag".parse().unwrap(), label);
    snapshot
}

/// The answer of a control plane that is at a revision.
fn word(revision: u64) -> Answer {
    Answer::at(Revision(revision))
}

/// Asks, and applies an answer.
fn ask(isolate: &mut Isolate, answer: &Answer, now: i64) {
    isolate.question(now).unwrap();
    isolate.answered(200, &serde_json::to_string(answer).unwrap(), now);
}

fn hear(isolate: &mut Isolate) {
    ask(isolate, &word(1), 1);
}

#[test]
fn without_a_snapshot_legacy_answers_and_the_isolate_asks_for_one() {
    let isolate = Isolate::default();
    let answer = answer(&isolate, REQUEST, 0);
    assert_eq!(answer, PackedDecision::undecided(PackedDecision::BOOT));
}

#[test]
fn a_table_of_another_generation_is_read_again() {
    let isolate = holding(1, 100.0);
    let (answer, _) = isolate.decide(&Packed::new(REQUEST), 0, isolate.generation() + 1, || None);
    assert_eq!(answer, PackedDecision::undecided(PackedDecision::TABLE));
}

#[test]
fn refused_documents_leave_what_is_held() {
    let mut isolate = holding(5, 100.0);
    let damaged = document(6, 0.0).unwrap().map(|text| text.replace("\"enabled\":true", "\"enabled\":null"));
    let mut foreign = snapshot(7, 0.0, 0);
    foreign.routes[0].new = "nowhere".parse().unwrap();
    let cases = [
        (document(4, 0.0), "revision 4 was refused because revision 5 is held"),
        (Ok(damaged), "the hash does not match the body"),
        (Ok(Some("{}".to_owned())), "not a snapshot document"),
        (Ok(Some(String::new())), "not a snapshot document"),
        (Ok(None), "no snapshot has been published"),
        (Err("KV is down".to_owned()), "KV is down"),
        (Ok(Some(foreign.encode().unwrap())), "names the origin nowhere"),
        (
            document(9, 0.0).map(|text| text.map(|text| text.replacen("\"schema\":1", "\"schema\":5", 1))),
            "schema 5",
        ),
    ];
    for (read, expected) in cases {
        let refusal = isolate.finish_read(1_000, read).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
        assert_eq!(isolate.last_refusal(), Some(refusal.as_str()));
        assert_eq!(isolate.rules().unwrap().revision(), Revision(5));
        assert_eq!(answer(&isolate, REQUEST, 1_000).arm(), Arm::New);
    }
    isolate.finish_read(1_000, document(6, 0.0)).unwrap();
    assert_eq!(isolate.last_refusal(), None);
    assert_eq!(answer(&isolate, REQUEST, 1_000).arm(), Arm::Legacy);
}

#[test]
fn one_read_at_a_time_and_none_before_the_soft_ttl() {
    let mut isolate = holding(1, 100.0);
    let due = |isolate: &Isolate, now| answer(isolate, REQUEST, now).0 & PackedDecision::REFRESH != 0;
    assert!(!due(&isolate, 4_999) && !isolate.begin_read(4_999));
    assert!(due(&isolate, 5_000) && isolate.begin_read(5_000));
    assert!(!due(&isolate, 5_001) && !isolate.begin_read(5_001), "a read is under way");
    assert!(isolate.begin_read(5_000 + READ_PATIENCE_MS), "a lost read does not block the next one forever");
    // A failing store is not read more often than a healthy one.
    isolate.finish_read(20_000, Err("down".to_owned())).unwrap_err();
    assert!(!due(&isolate, 24_999) && due(&isolate, 25_000));
    assert_eq!(isolate.reads, 3);
}

#[test]
fn an_old_snapshot_is_served_and_marked() {
    let isolate = holding(1, 100.0);
    assert_eq!(answer(&isolate, REQUEST, 300_000).0 & PackedDecision::STALE, 0);
    let late = answer(&isolate, REQUEST, 300_001);
    assert_ne!(late.0 & PackedDecision::STALE, 0);
    assert_eq!(late.arm(), Arm::New);
}

#[test]
fn an_anonymous_user_is_minted_once_and_then_known() {
    let isolate = holding(1, 99.9999);
    let id = "0123456789abcdef0123456789abcdef";
    let stranger = Packed::new("GET\nhttps://h/api/x\n\0\n\0");
    let (answer, minted) = isolate.decide(&stranger, 0, isolate.generation(), || Some(id.to_owned()));
    assert_eq!((answer.arm(), minted.as_deref()), (Arm::New, Some(id)));
    assert_ne!(answer.0 & PackedDecision::MINTED, 0);
    let known = format!("GET\nhttps://h/api/x\ncutover_uid={id}\n\0");
    let (answer, minted) =
        isolate.decide(&Packed::new(&known), 0, isolate.generation(), || panic!("minted again"));
    assert_eq!((answer.arm(), minted), (Arm::New, None));
    // At a share of 100 % no id is needed; without randomness the request goes to legacy instead of failing.
    let (everybody, minted) = {
        let isolate = holding(1, 100.0);
        isolate.decide(&stranger, 0, isolate.generation(), || panic!("minted for nothing"))
    };
    assert_eq!((everybody.arm(), minted), (Arm::New, None));
    let (answer, _) = isolate.decide(&stranger, 0, isolate.generation(), || None);
    assert_eq!((reason(answer), answer.arm()), (Reason::NoKey, Arm::Legacy));
}

#[test]
fn a_request_packed_for_another_generation_is_never_decided() {
    let mut isolate = Isolate::default();
    isolate.finish_read(0, Ok(Some(snapshot(1, 100.0, 3).encode().unwrap()))).unwrap();
    let packed_for = isolate.generation();
    let lines = format!("GET\nhttps://h/api/x{}\nu1", "\n1".repeat(4));
    let decided = isolate.decide(&Packed::new(&lines), 0, packed_for, || None).0;
    assert_eq!((decided.arm(), decided.reason()), (Arm::New, Reason::Rollout));
    isolate.finish_read(10, Ok(Some(snapshot(2, 100.0, 2).encode().unwrap()))).unwrap();
    let (answer, minted) = isolate.decide(&Packed::new(&lines), 10, packed_for, || Some("id".to_owned()));
    assert_eq!((answer, minted), (PackedDecision::undecided(PackedDecision::TABLE), None));
}

#[test]
fn a_request_is_decided_by_all_its_inputs_however_many() {
    let mut isolate = Isolate::default();
    isolate.finish_read(0, Ok(Some(snapshot(1, 100.0, 8).encode().unwrap()))).unwrap();
    // Sorted: cookie, x-0 to x-7, x-user-id.
    assert_eq!(isolate.inputs().len(), 10);
    let lines = |last: &str| format!("GET\nhttps://h/api/x\n\0{}\n{last}\nu1", "\n1".repeat(7));
    assert_eq!(reason(answer(&isolate, &lines("1"), 0)), Reason::Rollout);
    assert_eq!(reason(answer(&isolate, &lines("0"), 0)), Reason::Condition);
}

/// Reads the program of an adapter for a REST backend, with one route.
fn program(path: &str) -> Arc<Program> {
    let faults = ["otherwise", "invalid", "too_large", "unauthenticated", "unreachable", "timeout", "unfit"];
    let faults = faults.map(|name| format!(r#""{name}":{{"status":500,"code":"","message":[]}}"#)).join(",");
    let route = format!(
        r#"{{"match":{{"methods":["GET"],"path":"{path}"}},"backend":{{"rest":["GET",[{{"text":"/v2"}}],null]}},"status":200}}"#
    );
    let text = format!(r#"{{"errors":{{"envelope":[],{faults}}},"routes":[{route}]}}"#);
    Arc::new(serde_json::from_str(&text).unwrap())
}

#[test]
fn a_decision_begins_the_exchange_of_the_adapter_that_has_a_route() {
    let mut snapshot = snapshot(1, 100.0, 0);
    for (name, path) in [("first", "/api/a"), ("second", "/api/b/{id}")] {
        snapshot.adapters.insert(name.parse().unwrap(), program(path));
        snapshot.routes[0].adapt.push(name.parse().unwrap());
    }
    let mut isolate = Isolate::default();
    isolate.finish_read(0, Ok(Some(snapshot.encode().unwrap()))).unwrap();
    let begun = |path: &str| {
        let answer = answer(&isolate, &REQUEST.replace("/api/x", path), 0);
        (reason(answer), isolate.begun.take().map(|(adapter, ..)| adapter))
    };
    assert_eq!(begun("/api/a"), (Reason::Rollout, Some(0)));
    assert_eq!(begun("/api/b/7"), (Reason::Rollout, Some(1)));
    assert_eq!(begun("/api/x"), (Reason::Unadapted, None));
}

#[test]
fn cookies_are_only_skipped_where_nobody_looks_at_them() {
    let unless = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = snapshot(1, 100.0, 1);
        change(&mut snapshot);
        Ruleset::compile(&snapshot).unwrap().cookies_unless().map(str::to_owned)
    };
    let condition = |name: &str| Condition::Attribute {
        name: name.parse().unwrap(),
        op: Operator::Equals,
        values: vec!["1".to_owned()],
    };
    assert_eq!(unless(&|_| ()).as_deref(), Some("x-user-id"));
    assert_eq!(unless(&|s| s.routes.clear()), None);
    for sources in [["cookie:uid", "header:x-user-id"], ["anonymous", "header:x-user-id"]] {
        let identity: Vec<_> = sources.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(unless(&|s| s.routes[0].identity = identity.clone()), None, "{sources:?}");
    }
    for name in ["cookie:plan", "header:cookie"] {
        let looks = |s: &mut Snapshot| {
            for flag in s.flags.values_mut() {
                flag.conditions.push(condition(name));
            }
        };
        assert_eq!(unless(&looks), None, "{name}");
    }
    let other_header = |s: &mut Snapshot| {
        let mut route = s.routes[0].clone();
        route.id = "other".parse().unwrap();
        route.matcher.path = "/other".to_owned();
        route.identity = vec!["header:x-account".parse().unwrap()];
        s.routes.push(route);
    };
    assert_eq!(unless(&other_header), None);
}

proptest::proptest! {
    #[test]
    fn whatever_is_packed_and_whatever_was_read_nothing_panics(
        lines in "(GET|POST|\\PC{0,4})\n(https?://h)?/[a-z/%?=&]{0,12}(\n(\\PC{0,8}|\0)){0,4}",
        text in "\\PC{0,60}",
        now in proptest::prelude::any::<i64>(),
        percent in 0_u32..=100,
    ) {
        let mut isolate = holding(1, f64::from(percent));
        let _ = isolate.finish_read(now / 4, Ok(Some(text)));
        let (answer, _) = isolate.decide(&Packed::new(&lines), now / 4, isolate.generation(), || None);
        proptest::prop_assert!(matches!(answer.route(), None | Some(0)));
    }
}
