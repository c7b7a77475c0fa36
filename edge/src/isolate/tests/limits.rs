//! Rate limits inside of a decision.

use super::*;
use crate::wire::LimiterAnswers;
use cutover_core::limit::{Answer as LimiterAnswer, LimitPolicy};

/// An isolate whose route has a limit of requests by user, and whose flag has a share of the users.
fn limited(percent: f64) -> Isolate {
    let mut snapshot = snapshot(1, percent, 0);
    let policy = r#"{"key":["user"],"requests":5,"period_seconds":3600}"#;
    let policy: LimitPolicy = serde_json::from_str(policy).unwrap();
    snapshot.limits.insert("per_user".parse().unwrap(), policy);
    snapshot.routes[0].limit.push("per_user".parse().unwrap());
    let mut isolate = Isolate::default();
    isolate.finish_read(0, Ok(Some(snapshot.encode().unwrap()))).unwrap();
    isolate
}

fn decided(isolate: &Isolate, user: &str, answers: u32) -> (PackedDecision, Option<String>) {
    let lines = format!("GET\nhttps://api.example.com/api/x\n\0\n{user}\n192.0.2.1");
    let mut packed = Packed::new(&lines);
    packed.answers = LimiterAnswers(answers);
    isolate.decide(&packed, 0, isolate.generation(), || Some("0123456789abcdef0123456789abcdef".to_owned()))
}

#[test]
fn a_decision_lacks_the_answer_of_a_limiter_and_is_made_with_it() {
    let isolate = limited(100.0);
    let lacking = PackedDecision::undecided(PackedDecision::LIMIT);
    assert_eq!(decided(&isolate, "u1", 0), (lacking, None));
    let granted = LimiterAnswers::GRANTED | LimiterAnswers::AGAIN;
    let (admitted, _) = decided(&isolate, "u1", granted);
    assert_eq!((admitted.arm(), admitted.reason(), admitted.route()), (Arm::New, Reason::Rollout, Some(0)));
    let failed = LimiterAnswers::FAILED | LimiterAnswers::AGAIN;
    // The granted one is in the isolate's own count.
    for _ in 0..4 {
        assert_eq!(decided(&isolate, "u1", failed).0.reason(), Reason::Rollout);
    }
    let (refused, _) = decided(&isolate, "u1", failed);
    assert_eq!((refused.arm(), refused.reason(), refused.route()), (Arm::Legacy, Reason::Limited, Some(0)));
    assert_eq!(refused.0 & (PackedDecision::EVIDENCE | PackedDecision::MINTED | PackedDecision::COMPARE), 0);
}

/// Whoever comes without an id could come as somebody else each time.
#[test]
fn an_id_that_is_minted_is_no_key_and_a_refusal_brings_none() {
    let isolate = limited(50.0);
    let failed = LimiterAnswers::FAILED | LimiterAnswers::AGAIN;
    for _ in 0..5 {
        let (admitted, minted) = decided(&isolate, "\0", failed);
        assert!(minted.is_some() && admitted.0 & PackedDecision::MINTED != 0);
    }
    let (refused, minted) = decided(&isolate, "\0", failed);
    assert_eq!((refused.reason(), minted), (Reason::Limited, None));
    assert_eq!(decided(&isolate, "u1", failed).0.reason(), Reason::Rollout, "a user has a key of its own");
}

#[test]
fn another_generation_keeps_tokens_and_counts() {
    let mut isolate = limited(100.0);
    assert!(decided(&isolate, "u1", 0).0.lacks(PackedDecision::LIMIT));
    let questions = isolate.limits.get_mut().questions(25);
    assert!(
        questions.contains(r#""policy":"per_user","key":"u:header:x-user-id:u1","wanted":1"#),
        "{questions}"
    );
    let answer = LimiterAnswer { granted: 2, remaining: Some(1), reset_us: 0, retry_us: 0 };
    isolate.limits.get_mut().answered(1, answer, 0);
    isolate.configure(Settings::default(), 0);
    assert_eq!(decided(&isolate, "u1", 0).0.reason(), Reason::Rollout);
    let lines = isolate.limits.get_mut().lines();
    assert_eq!(lines, "\"per_user\";q=5;w=3600\n\"per_user\";r=1;t=0");
    assert_eq!(isolate.limits.borrow().counts().next().unwrap().1.allowed, 1);
}

#[test]
fn other_routes_have_no_limits() {
    let isolate = holding(1, 100.0);
    let failed = LimiterAnswers::FAILED | LimiterAnswers::AGAIN;
    for _ in 0..10 {
        assert_eq!(decided(&isolate, "u1", failed).0.reason(), Reason::Rollout);
    }
    assert_eq!(isolate.limits.borrow().counts().count(), 0);
}
