//! Which origin gets a request, over the course of a failure.

use super::*;
use crate::{Facts, Ruleset, Timestamp, config::Config, decide, vocabulary::revision::Revision};

fn rules(origins: &str, share: u32) -> Ruleset {
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: {share} }} }}\n\
         origins: {{ {origins} }}\n\
         routes: [{{ id: all, match: {{ path: \"/{{*rest}}\" }}, flag: f, legacy: old, new: new }}]\n"
    );
    let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Ruleset::compile(&config.snapshot(Revision(1), None)).unwrap()
}

const BOTH: &str = "old: { url: \"http://a\", secondary: old2 }, old2: { url: \"http://b\" }, \
                    new: { url: \"http://c\", secondary: new2 }, new2: { url: \"http://d\" }";

fn fail(breakers: &mut Breakers, origin: &str, now: i64) {
    for _ in 0..5 {
        breakers.failed(&origin.parse().unwrap(), Failure { now, dice: 20, ..Failure::default() });
    }
}

/// Returns the name of the origin that gets a request, and if it is a probe; `!` marks one that was turned to legacy.
fn sent(breakers: &Breakers, rules: &Ruleset, now: i64) -> String {
    let facts = Facts { method: "GET", path: "/x", user: Some("u1"), ..Facts::default() };
    let mut decision = decide(rules, &facts, Timestamp::from_millis(now));
    let candidate = Candidate { now, is_repeatable: true, timeout_ms: 0, dice: 99 };
    let course = breakers.steer(rules, &mut decision, candidate);
    let own = decision.origin().unwrap();
    let position =
        if course.is_secondary { failover_of(rules, own).unwrap().secondary.unwrap() } else { own };
    let turned = if decision.verdict.reason == Reason::Diverted { "!" } else { "" };
    format!("{turned}{}{}", rules.origins()[position].name, if course.is_probe { "?" } else { "" })
}

#[test]
fn an_arm_goes_to_its_secondary_and_the_new_one_then_to_legacy() {
    let rules = rules(BOTH, 100);
    let mut breakers = Breakers::default();
    assert_eq!(sent(&breakers, &rules, 0), "new");
    fail(&mut breakers, "new", 0);
    assert_eq!(sent(&breakers, &rules, 0), "new2");
    fail(&mut breakers, "new2", 1);
    assert_eq!(sent(&breakers, &rules, 1), "!old");
    fail(&mut breakers, "old", 2);
    assert_eq!(sent(&breakers, &rules, 2), "!old2");
    fail(&mut breakers, "old2", 3);
    assert_eq!(sent(&breakers, &rules, 3), "!old", "nobody else can answer");
    // Each comes back by a probe, one at a time.
    assert_eq!(sent(&breakers, &rules, 5_000), "new?");
    assert_eq!(sent(&breakers, &rules, 5_000), "!old");
    assert_eq!(sent(&breakers, &rules, 5_001), "new2?");
    assert_eq!(sent(&breakers, &rules, 5_002), "!old?");
}

#[test]
fn legacy_is_never_cut_off() {
    let rules = rules("old: { url: \"http://a\" }, new: { url: \"http://c\" }", 0);
    let mut breakers = Breakers::default();
    fail(&mut breakers, "old", 0);
    assert_eq!(sent(&breakers, &rules, 0), "old");
    assert_eq!(sent(&breakers, &rules, 5_000), "old?");
    assert_eq!(sent(&breakers, &rules, 5_000), "old");
}

#[test]
fn an_origin_with_a_path_for_its_health_is_probed_by_no_client() {
    let rules = rules(
        "old: { url: \"http://a\", health: /healthz, secondary: old2 }, old2: { url: \"http://b\" }, \
         new: { url: \"http://c\" }",
        0,
    );
    let old = rules.origins().iter().position(|origin| origin.name.as_str() == "old").unwrap();
    let mut breakers = Breakers::default();
    fail(&mut breakers, "old", 0);
    assert!(!breakers.claim(&rules, old, 4_999));
    assert_eq!(sent(&breakers, &rules, 5_000), "old2");
    assert!(breakers.claim(&rules, old, 5_000));
    assert!(!breakers.claim(&rules, old, 5_000), "one at a time");
    let name = "old".parse().unwrap();
    assert!(!breakers.succeeded(&name, true, 0, 5_000));
    for _ in 0..2 {
        assert!(breakers.claim(&rules, old, 5_001));
        breakers.succeeded(&name, true, 0, 5_001);
    }
    assert_eq!(sent(&breakers, &rules, 5_001), "old2", "this user returns later");
    assert_eq!(sent(&breakers, &rules, 15_001), "old");
    breakers.forget(25_001);
    assert!(breakers.is_empty());
}

#[test]
fn a_request_is_sent_a_second_time_within_the_budget_and_always_once_the_circuit_is_open() {
    let rules = rules(
        "old: { url: \"http://a\", retry: true }, new: { url: \"http://c\", secondary: new2 }, \
         new2: { url: \"http://d\" }",
        100,
    );
    let position =
        |name: &str| rules.origins().iter().position(|origin| origin.name.as_str() == name).unwrap();
    let (old, new, new2) = (position("old"), position("new"), position("new2"));
    let mut breakers = Breakers::default();
    let mut second = |name: &str, failed, is_late| {
        breakers.failed(&name.parse().unwrap(), Failure { dice: 20, ..Failure::default() });
        breakers.second(&rules, failed, is_late, 0)
    };
    let to_secondary: Vec<_> = (0..8).map(|_| second("new", new, true)).collect();
    assert_eq!(to_secondary, [Some(new2); 8]);
    assert_eq!(second("old", old, true), None, "its time is over");
    let again: Vec<_> = (0..5).map(|_| second("old", old, false)).collect();
    assert_eq!(again, [Some(old), Some(old), Some(old), None, None]);
    assert_eq!(second("new2", new2, false), None, "a secondary has none");
}

#[test]
fn failures_between_successes_are_retried_for_a_tenth_of_them() {
    let rules = rules(
        "old: { url: \"http://a\", secondary: old2 }, old2: { url: \"http://b\" }, new: { url: \"http://c\" }",
        0,
    );
    let old = rules.origins().iter().position(|origin| origin.name.as_str() == "old").unwrap();
    let mut breakers = Breakers::default();
    let name = "old".parse().unwrap();
    let mut retried = 0;
    for _ in 0..1_000 {
        breakers.failed(&name, Failure { successes: 2, dice: 20, ..Failure::default() });
        assert!(breakers.is_closed(&rules, old, 0), "a third fails");
        retried += usize::from(breakers.second(&rules, old, false, 0).is_some());
    }
    assert!((4..=300).contains(&retried), "{retried} retries in 3,000 requests");
}

#[test]
fn what_others_tell_is_obeyed_and_not_told_again() {
    let rules = rules(BOTH, 100);
    let mut breakers = Breakers::default();
    let told = [OpenOrigin { origin: "new".parse().unwrap(), open_for_ms: 10_000 }];
    breakers.hear(&told, 0, 0);
    assert_eq!(sent(&breakers, &rules, 0), "new2");
    assert_eq!(breakers.open_origins(0), []);
    assert!(breakers.states(0).all(|state| state.is_told && state.open_for_ms == 10_000));
    assert_eq!(sent(&breakers, &rules, 10_000), "new?");
    fail(&mut breakers, "old", 10_000);
    let open: Vec<_> =
        breakers.open_origins(10_000).into_iter().map(|open| open.origin.to_string()).collect();
    assert_eq!(open, ["old"]);
}
