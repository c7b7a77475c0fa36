//! Requests that are turned away from an origin that keeps failing.

use super::{REQUEST, answer, document, holding};
use crate::isolate::Isolate;
use cutover_core::{Arm, Reason};

#[test]
fn an_origin_that_keeps_failing_gets_nobody_for_some_seconds() {
    let mut isolate = holding(1, 100.0);
    let generation = isolate.generation();
    let new = isolate.rules().unwrap().routes()[0].new;
    for _ in 0..5 {
        assert_eq!(answer(&isolate, REQUEST, 1_000).arm(), Arm::New);
        isolate.note_result(new, generation, true, 1_000);
    }
    let diverted = answer(&isolate, REQUEST, 1_001);
    assert_eq!(
        (diverted.arm(), diverted.reason(), diverted.route()),
        (Arm::Legacy, Reason::Diverted, Some(0))
    );
    // A newer snapshot does not make the origin well.
    isolate.finish_read(2_000, document(2, 100.0)).unwrap();
    assert_eq!(answer(&isolate, REQUEST, 2_000).reason(), Reason::Diverted);
    assert_eq!(answer(&isolate, REQUEST, 6_001).arm(), Arm::New);
    isolate.note_result(new, isolate.generation(), false, 6_001);
    isolate.note_result(new, isolate.generation(), true, 6_002);
    assert_eq!(answer(&isolate, REQUEST, 6_003).arm(), Arm::New, "a success ends the row");
}

#[test]
fn failures_of_requests_that_a_broken_isolate_decided_divert_nobody() {
    let broken = holding(1, 100.0);
    let mut isolate = Isolate::default();
    isolate.begin_generations(broken.generation() + 1);
    isolate.finish_read(0, document(2, 100.0)).unwrap();
    let new = isolate.rules().unwrap().routes()[0].new;
    for _ in 0..5 {
        isolate.note_result(new, broken.generation(), true, 1_000);
    }
    assert_eq!(answer(&isolate, REQUEST, 1_001).arm(), Arm::New);
}
