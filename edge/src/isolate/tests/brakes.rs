//! Brakes: changes that lowered a flag, applied before their snapshot comes.

use super::{REQUEST, answer, ask, document, word};
use crate::{isolate::Isolate, settings::Settings};
use cutover_core::{
    Arm, PartsPerMillion, Reason,
    measurement::answer::{Answer, Brake},
    vocabulary::revision::Revision,
};

fn brake(revision: u64, enabled: bool, percent: u32) -> Brake {
    let rollout = PartsPerMillion::of_percent(percent);
    Brake { revision: Revision(revision), flag: "flag".parse().unwrap(), enabled, rollout }
}

fn told(revision: u64, brakes: &[Brake]) -> Answer {
    Answer { brakes: brakes.to_vec(), ..word(revision) }
}

/// An isolate that reports and holds revision 1, in which everybody is on the new arm.
fn isolate() -> Isolate {
    let mut isolate = Isolate::default();
    isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
    isolate.reporting.name("ab".repeat(16));
    isolate.finish_read(0, document(1, 100.0)).unwrap();
    ask(&mut isolate, &word(1), 0);
    isolate
}

fn decided(isolate: &Isolate, now: i64) -> (Arm, Reason) {
    let answer = answer(isolate, REQUEST, now);
    (answer.arm(), answer.reason())
}

#[test]
fn a_brake_holds_until_the_snapshot_of_its_revision_comes() {
    let mut isolate = isolate();
    assert_eq!(decided(&isolate, 1), (Arm::New, Reason::Rollout));
    ask(&mut isolate, &told(3, &[brake(3, true, 0)]), 1_000);
    assert_eq!(decided(&isolate, 1_001), (Arm::Legacy, Reason::Braked));
    // A snapshot from before the change does not release it, nor does an answer without it.
    isolate.finish_read(1_100, document(2, 100.0)).unwrap();
    ask(&mut isolate, &told(3, &[]), 1_200);
    assert_eq!(decided(&isolate, 1_201), (Arm::Legacy, Reason::Braked));
    isolate.finish_read(1_300, document(3, 0.0)).unwrap();
    assert_eq!(decided(&isolate, 1_301), (Arm::Legacy, Reason::Rollout));
    isolate.finish_read(1_400, document(4, 100.0)).unwrap();
    assert_eq!(decided(&isolate, 1_401), (Arm::New, Reason::Rollout));
}

#[test]
fn the_least_of_several_brakes_holds_and_none_of_the_past() {
    let mut isolate = isolate();
    ask(&mut isolate, &told(4, &[brake(2, false, 100), brake(4, true, 100)]), 1_000);
    assert_eq!(decided(&isolate, 1_001), (Arm::Legacy, Reason::Braked));
    isolate.finish_read(1_100, document(4, 100.0)).unwrap();
    assert_eq!(decided(&isolate, 1_101), (Arm::New, Reason::Rollout));
    // What the held snapshot has is no news.
    ask(&mut isolate, &told(4, &[brake(3, true, 0)]), 2_000);
    assert_eq!(decided(&isolate, 2_001), (Arm::New, Reason::Rollout));
}

/// The head keeps the latest brakes. What an isolate was not told may have lowered any flag.
#[test]
fn an_isolate_that_brakes_do_not_reach_sends_nobody_to_the_new_arm_until_a_snapshot_comes() {
    let mut isolate = isolate();
    ask(&mut isolate, &Answer { brakes_after: Some(Revision(3)), ..word(5) }, 1_000);
    assert_eq!(decided(&isolate, 1_001), (Arm::Legacy, Reason::Braked));
    // Neither another answer ends it, nor a snapshot that is too old.
    ask(&mut isolate, &word(5), 1_100);
    isolate.finish_read(1_200, document(2, 100.0)).unwrap();
    assert_eq!(decided(&isolate, 1_201), (Arm::Legacy, Reason::Braked));
    // From revision 3 on the brakes say which flags were lowered.
    isolate.finish_read(1_300, document(3, 100.0)).unwrap();
    assert_eq!(decided(&isolate, 1_301), (Arm::New, Reason::Rollout));
    // One that is reached already, or by the snapshot of the same answer, goes on.
    let snapshot = document(6, 100.0).unwrap();
    ask(&mut isolate, &Answer { brakes_after: Some(Revision(3)), ..word(5) }, 2_000);
    assert_eq!(decided(&isolate, 2_001), (Arm::New, Reason::Rollout));
    ask(&mut isolate, &Answer { brakes_after: Some(Revision(6)), snapshot, ..word(6) }, 3_000);
    assert_eq!(decided(&isolate, 3_001), (Arm::New, Reason::Rollout));
}

#[test]
fn the_answer_to_a_batch_brakes_too() {
    let mut isolate = isolate();
    let body = serde_json::to_string(&told(2, &[brake(2, true, 0)])).unwrap();
    assert!(isolate.finish_batch(1, 200, &body, 10, || None));
    assert_eq!(decided(&isolate, 11), (Arm::Legacy, Reason::Braked));
}
