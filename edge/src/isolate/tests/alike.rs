//! Variants of an experiment have the same users and the same conversions, whatever becomes of the requests of one of them.

use super::{
    answer, ask,
    experiments::{
        ERRORS, ORDER, PAGE, REQUEST_MS, counted, end, exposed, hash, outcomes, parts, record, record_with,
        running, user_of,
    },
    groups::holding,
    hear, reporting, word,
};
use crate::{
    isolate::Isolate,
    settings::Settings,
    wire::{PackedDecision, PackedOutcome},
};
use cutover_core::{Arm, Reason, measurement::batch::Batch};
use std::collections::BTreeSet;

/// Returns the decision that JavaScript counts for legacy's response in the place of a failed one.
fn fallback(decided: PackedDecision) -> PackedDecision {
    let kept = decided.0 & (PackedDecision::EVIDENCE | PackedDecision::NO_ROUTE);
    PackedDecision(kept | (Reason::Fallback as u32) << PackedDecision::REASON_SHIFT)
}

#[test]
fn legacys_response_after_a_failure_of_the_new_backend_is_the_users_and_no_variants() {
    let mut isolate = running();
    let treated = user_of(1);
    let decided = answer(&isolate, &format!("{PAGE}\n\0\n{treated}"), 100_000);
    record_with(&mut isolate, decided, (503, 5), 100, PackedOutcome::FOLLOWED);
    assert_eq!((decided.arm(), decided.reason()), (Arm::New, Reason::Experiment));
    // It is slow too, which is not the variant's doing.
    record(&mut isolate, fallback(decided), (200, 150), 101);
    let parts = parts(&mut isolate, 200_000, true);
    let hashed = hash("arms", &treated);
    let expected = [(hashed, ERRORS, 100, None), (hashed, REQUEST_MS, 101, Some(150_000))];
    assert_eq!(outcomes(&parts, "arms"), BTreeSet::from(expected));
    assert_eq!(exposed(&parts, "arms"), BTreeSet::from([(hashed, 1)]));
}

#[test]
fn legacys_response_in_the_place_of_a_failed_one_adds_nothing_to_the_users_of_a_canary() {
    let users = |falls_back: bool| {
        let mut isolate = reporting(0);
        hear(&mut isolate);
        let is_new =
            |user: &String| answer(&isolate, &format!("{PAGE}\n\0\n{user}"), 1_000).arm() == Arm::New;
        let user = (0..100).map(|user| format!("user-{user}")).find(is_new).unwrap();
        let decided = end(&mut isolate, PAGE, &user, (503, 5), 1);
        assert_eq!(decided.reason(), Reason::Rollout);
        if falls_back {
            record(&mut isolate, fallback(decided), (503, 150), 1);
        }
        let batch: Batch = serde_json::from_str(&isolate.next_batch(true, 0, 2_000).unwrap()).unwrap();
        batch.users
    };
    assert_eq!(users(true), users(false));
    assert_eq!(users(true)[0].events.len(), 1);
}

/// Clients that do not wait for the answer to a question would else be missing in the variant of the new arm.
#[test]
fn an_old_word_lets_the_users_of_every_variant_wait() {
    let mut isolate = holding(&counted(), Settings { reports: true, ..Settings::default() });
    let decided = |isolate: &Isolate, request: &str, position: u8| {
        answer(isolate, &format!("{request}\n\0\n{}", user_of(position)), 10_000)
    };
    for position in [0, 1] {
        let waits = decided(&isolate, PAGE, position);
        assert_eq!(waits, PackedDecision::undecided(PackedDecision::ASK), "variant {position}");
        assert!(!decided(&isolate, ORDER, position).lacks(PackedDecision::ASK), "no experiment decides");
    }
    ask(&mut isolate, &word(1), 10_000);
    let arms = [0, 1].map(|position| decided(&isolate, PAGE, position).arm());
    assert_eq!(arms, [Arm::Legacy, Arm::New]);
}
