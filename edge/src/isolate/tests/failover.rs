//! Requests that are steered around an origin that keeps failing.

use super::{REQUEST, answer, ask, document, hear, holding, reporting, snapshot, word};
use crate::{
    isolate::{
        Isolate,
        failover::{OriginResult, RequestResult},
    },
    wire::PackedDecision,
};
use cutover_core::{Arm, Reason, measurement::health::OpenOrigin, rules::origin::Failover};

const FAILED: OriginResult =
    OriginResult { result: RequestResult::Failed, is_probe: false, successes: 0, age_ms: 0 };

/// Tells of a request to an origin that failed.
pub(super) fn failed(isolate: &mut Isolate, origin: usize, now: i64) {
    isolate.note_result(origin, isolate.generation(), FAILED, now);
}

/// Tells of a probe that was answered.
fn probed(isolate: &mut Isolate, origin: usize, now: i64) -> bool {
    let ended = OriginResult { result: RequestResult::Answered, is_probe: true, successes: 0, age_ms: 0 };
    isolate.note_result(origin, isolate.generation(), ended, now)
}

fn arms(isolate: &Isolate) -> (usize, usize) {
    let rules = isolate.rules().unwrap();
    (rules.routes()[0].legacy, rules.routes()[0].new)
}

fn is_probe(answer: PackedDecision) -> bool {
    answer.0 & PackedDecision::PROBE != 0
}

fn is_secondary(answer: PackedDecision) -> bool {
    answer.0 & PackedDecision::SECONDARY != 0
}

#[test]
fn an_origin_that_keeps_failing_gets_nobody_for_some_seconds() {
    let mut isolate = holding(1, 100.0);
    let (_, new) = arms(&isolate);
    for _ in 0..5 {
        assert_eq!(answer(&isolate, REQUEST, 1_000).arm(), Arm::New);
        failed(&mut isolate, new, 1_000);
    }
    let diverted = answer(&isolate, REQUEST, 1_001);
    assert_eq!(
        (diverted.arm(), diverted.reason(), diverted.route()),
        (Arm::Legacy, Reason::Diverted, Some(0))
    );
    // A newer snapshot does not make the origin well.
    isolate.finish_read(2_000, document(2, 100.0)).unwrap();
    assert_eq!(answer(&isolate, REQUEST, 2_000).reason(), Reason::Diverted);
    // From 4 to 6 s later it gets one request at a time.
    for good in 1..=3 {
        let probe = answer(&isolate, REQUEST, 7_001);
        assert_eq!((probe.arm(), is_probe(probe)), (Arm::New, true));
        let other = answer(&isolate, REQUEST, 7_001);
        assert_eq!((other.reason(), is_probe(other)), (Reason::Diverted, false));
        assert_eq!(probed(&mut isolate, new, 7_001), good == 3);
    }
    let after = answer(&isolate, REQUEST, 17_001);
    assert_eq!((after.arm(), is_probe(after)), (Arm::New, false));
    isolate.forget_well_origins(17_001);
    assert!(isolate.breakers.is_empty());
}

#[test]
fn failures_of_requests_that_a_broken_isolate_decided_divert_nobody() {
    let broken = holding(1, 100.0);
    let mut isolate = Isolate::default();
    isolate.begin_generations(broken.generation() + 1);
    isolate.finish_read(0, document(2, 100.0)).unwrap();
    let (_, new) = arms(&isolate);
    for _ in 0..5 {
        isolate.note_result(new, broken.generation(), FAILED, 1_000);
    }
    assert_eq!(answer(&isolate, REQUEST, 1_001).arm(), Arm::New);
}

#[test]
fn a_secondary_takes_the_requests_of_either_arm_and_they_stay_of_that_arm() {
    for percent in [0.0, 100.0] {
        let mut isolate = Isolate::default();
        let mut held = snapshot(1, percent, 0);
        let arm = if percent > 0.0 { "new" } else { "legacy" };
        let primary = held.origins.get_mut(arm).unwrap();
        primary.failover = Failover { secondary: Some("other".parse().unwrap()), ..Failover::default() };
        let other = cutover_core::rules::origin::Origin { failover: Failover::default(), ..primary.clone() };
        held.origins.insert("other".parse().unwrap(), other);
        isolate.finish_read(0, Ok(Some(held.encode().unwrap()))).unwrap();
        let origins = isolate.rules().unwrap().origins().to_vec();
        let position = |name: &str| origins.iter().position(|origin| origin.name.as_str() == name).unwrap();
        let before = answer(&isolate, REQUEST, 1_000);
        assert!(!is_secondary(before));
        (0..5).for_each(|_| failed(&mut isolate, position(arm), 1_000));
        let after = answer(&isolate, REQUEST, 1_000);
        assert_eq!((after.arm(), is_secondary(after)), (before.arm(), true));
        // A canary does not climb on what its secondary answers.
        let reason = if arm == "new" { Reason::Diverted } else { before.reason() };
        assert_eq!(after.reason(), reason);
        assert_eq!(isolate.substitute(position(arm), isolate.generation(), 1_000), position("other"));
        let second = isolate.second_origin(position(arm), isolate.generation(), true, 1_000);
        assert_eq!(second, Some(position("other")));
    }
}

#[test]
fn an_isolate_tells_what_it_saw_and_obeys_what_others_saw() {
    let mut isolate = reporting(0);
    hear(&mut isolate);
    let (legacy, new) = arms(&isolate);
    assert!(!isolate.question(10).unwrap().contains("health"));
    isolate.answered(0, "", 10);
    let told = |name: &str| vec![OpenOrigin { origin: name.parse().unwrap(), open_for_ms: 10_000 }];
    ask(&mut isolate, &cutover_core::measurement::answer::Answer { health: told("new"), ..word(1) }, 2_000);
    let to_new = (0..100).map(|user| format!("GET\nhttps://api.example.com/api/x\n\0\nu{user}"));
    let is_diverted = |isolate: &Isolate, now| {
        to_new.clone().any(|lines| answer(isolate, &lines, now).reason() == Reason::Diverted)
    };
    assert!(is_diverted(&isolate, 2_001));
    assert!(isolate.second_origin(new, isolate.generation(), false, 2_001).is_none());
    // Only what it saw itself is told.
    (0..5).for_each(|_| failed(&mut isolate, legacy, 3_000));
    let question = isolate.question(3_001).unwrap();
    assert!(question.contains(r#""health":[{"origin":"legacy","open_for_ms":"#), "{question}");
    // It ends by itself, with a probe.
    assert!(isolate.breakers.states(17_000).all(|state| state.open_for_ms == 0));
}

#[test]
fn an_isolate_whose_requests_are_answered_does_not_obey_others() {
    let mut isolate = reporting(0);
    hear(&mut isolate);
    let (_, new) = arms(&isolate);
    let health = vec![OpenOrigin { origin: "new".parse().unwrap(), open_for_ms: 10_000 }];
    let told = cutover_core::measurement::answer::Answer { health, ..word(1) };
    isolate.note_served(new, isolate.generation(), 2_000);
    ask(&mut isolate, &told, 2_000);
    assert!(isolate.breakers.is_empty());
    // That was for one answer: the next one is obeyed if nothing was answered since.
    ask(&mut isolate, &told, 6_500);
    assert!(!isolate.breakers.is_empty());
    isolate.forget_well_origins(100_000);
    assert!(isolate.breakers.is_empty(), "nobody wants it");
}
