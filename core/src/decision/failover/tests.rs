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
        breakers.failed(&origin.parse().unwrap(), 0, Failure { now, dice: 20, ..Failure::default() });
    }
}

fn good_probe(now: i64) -> Success {
    Success { now, is_probe: true, successes: 0 }
}

fn position(rules: &Ruleset, name: &str) -> usize {
    rules.origins().iter().position(|origin| origin.name.as_str() == name).unwrap()
}

fn told(origin: &str) -> [OpenOrigin; 1] {
    [OpenOrigin { origin: origin.parse().unwrap(), open_for_ms: 10_000 }]
}

/// Returns the name of the origin that gets a request, and if it is a probe; `!` marks one that was turned to legacy,
/// `*` one that the secondary of the new arm serves.
fn sent(breakers: &Breakers, rules: &Ruleset, now: i64) -> String {
    sent_by(breakers, rules, now, true)
}

fn sent_by(breakers: &Breakers, rules: &Ruleset, now: i64, is_repeatable: bool) -> String {
    let facts = Facts { method: "GET", path: "/x", user: Some("u1"), ..Facts::default() };
    let mut decision = decide(rules, &facts, Timestamp::from_millis(now));
    let candidate = Candidate { now, is_repeatable, timeout_ms: 0, dice: 99 };
    let course = breakers.steer(rules, &mut decision, candidate);
    let own = decision.origin().unwrap();
    let position =
        if course.is_secondary { failover_of(rules, own).unwrap().secondary.unwrap() } else { own };
    let turned = match (decision.verdict.reason, decision.verdict.arm) {
        (Reason::Diverted, Arm::Legacy) => "!",
        (Reason::Diverted, Arm::New) => "*",
        _ => "",
    };
    format!("{turned}{}{}", rules.origins()[position].name, if course.is_probe { "?" } else { "" })
}

#[test]
fn an_arm_goes_to_its_secondary_and_the_new_one_then_to_legacy() {
    let rules = rules(BOTH, 100);
    let mut breakers = Breakers::default();
    assert_eq!(sent(&breakers, &rules, 0), "new");
    fail(&mut breakers, "new", 0);
    assert_eq!(sent(&breakers, &rules, 0), "*new2");
    fail(&mut breakers, "new2", 1);
    assert_eq!(sent(&breakers, &rules, 1), "!old");
    fail(&mut breakers, "old", 2);
    assert_eq!(sent(&breakers, &rules, 2), "!old2");
    fail(&mut breakers, "old2", 3);
    assert_eq!(sent(&breakers, &rules, 3), "!old", "nobody else can answer");
    // Each comes back by a probe, one at a time.
    assert_eq!(sent(&breakers, &rules, 5_000), "new?");
    assert_eq!(sent(&breakers, &rules, 5_000), "!old");
    assert_eq!(sent(&breakers, &rules, 5_001), "*new2?");
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
    assert!(!breakers.succeeded(&name, 0, good_probe(5_000)));
    for _ in 0..2 {
        assert!(breakers.claim(&rules, old, 5_001));
        breakers.succeeded(&name, 0, good_probe(5_001));
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
        breakers.failed(&name.parse().unwrap(), 0, Failure { dice: 20, ..Failure::default() });
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
        breakers.failed(&name, 0, Failure { successes: 2, dice: 20, ..Failure::default() });
        assert!(breakers.is_closed(&rules, old, 0), "a third fails");
        retried += usize::from(breakers.second(&rules, old, false, 0).is_some());
    }
    assert!((4..=300).contains(&retried), "{retried} retries in 3,000 requests");
}

#[test]
fn what_others_tell_is_obeyed_and_not_told_again() {
    let rules = rules(BOTH, 100);
    let mut breakers = Breakers::default();
    breakers.hear(&rules, &told("new"), 0, 0);
    breakers.hear(&rules, &told("of-another-revision"), 0, 0);
    assert_eq!(sent(&breakers, &rules, 0), "*new2");
    assert_eq!(breakers.open_origins(0), []);
    let states: Vec<_> = breakers.states(0).map(|state| (state.is_told, state.open_for_ms)).collect();
    assert_eq!(states, [(true, 10_000)]);
    assert_eq!(sent(&breakers, &rules, 10_000), "new?");
    fail(&mut breakers, "old", 10_000);
    let open = |now| {
        let open = breakers.open_origins(now).into_iter();
        open.map(|open| (open.origin.to_string(), open.open_for_ms)).collect::<Vec<_>>()
    };
    // Up to the next question at least, and until it recovers.
    assert_eq!([10_000, 16_000].map(open), [(); 2].map(|()| vec![("old".to_owned(), 6_000)]));
}

#[test]
fn the_word_of_others_closes_no_origin_that_is_well_here() {
    let rules = rules(BOTH, 100);
    let mut breakers = Breakers::default();
    let name = "new".parse().unwrap();
    breakers.note_served(&name, 0);
    breakers.hear(&rules, &told("new"), 0, 0);
    assert!(breakers.is_empty(), "it answers now");
    // One failure, and it is believed.
    breakers.failed(&name, 0, Failure { now: 10_000, ..Failure::default() });
    breakers.note_served(&name, 10_001);
    breakers.hear(&rules, &told("new"), 10_001, 0);
    assert_eq!(sent(&breakers, &rules, 10_001), "*new2");
    // Own good probes count for more than words, for a minute after the recovery.
    for _ in 0..3 {
        assert_eq!(sent(&breakers, &rules, 25_002), "new?");
        breakers.succeeded(&name, 0, good_probe(25_002));
    }
    for (now, is_obeyed) in [(35_002, false), (95_001, false), (95_002, true)] {
        breakers.hear(&rules, &told("new"), now, 0);
        assert_eq!(!breakers.is_closed(&rules, position(&rules, "new"), now), is_obeyed, "{now}");
    }
}

#[test]
fn a_request_begun_before_the_opening_neither_opens_it_again_nor_is_a_good_probe() {
    let rules = rules(BOTH, 100);
    let mut breakers = Breakers::default();
    let name = "new".parse().unwrap();
    fail(&mut breakers, "new", 0);
    for _ in 0..3 {
        assert_eq!(sent(&breakers, &rules, 5_000), "new?");
        assert!(!breakers.succeeded(&name, 5_001, good_probe(5_000)), "a probe of long ago");
        breakers.release(&name, 5_000);
    }
    (0..3).for_each(|_| _ = breakers.succeeded(&name, 0, good_probe(5_000)));
    breakers.forget(15_000);
    assert!(breakers.is_empty());
    // With a time limit of 30 s these end long after it is well.
    for _ in 0..100 {
        breakers.failed(&name, 30_000, Failure { now: 30_000, dice: 20, ..Failure::default() });
    }
    assert!(breakers.is_empty());
    fail(&mut breakers, "new", 30_000);
    assert_eq!(sent(&breakers, &rules, 30_000), "*new2");
}

#[test]
fn a_path_that_does_not_tell_the_health_leaves_the_probes_to_clients_for_a_minute() {
    let origins = "old: { url: \"http://a\", health: /healthz, secondary: old2 }, old2: { url: \"http://b\" }, \
                   new: { url: \"http://c\" }";
    let rules = rules(origins, 0);
    let (mut breakers, old) = (Breakers::default(), position(&rules, "old"));
    let name = "old".parse().unwrap();
    fail(&mut breakers, "old", 0);
    assert!(breakers.claim(&rules, old, 5_000));
    breakers.mute(&name, 5_000);
    assert!(!breakers.claim(&rules, old, 5_000));
    // An order is none, however long nothing else comes, because the secondary can have it.
    assert_eq!(sent_by(&breakers, &rules, 50_000, false), "old2");
    assert_eq!(sent(&breakers, &rules, 50_000), "old?");
    breakers.release(&name, 50_001);
    assert_eq!(sent(&breakers, &rules, 65_000), "old2", "it is asked again");
    assert!(breakers.claim(&rules, old, 65_000));
}

#[test]
fn a_canary_holds_while_the_secondary_of_its_new_origin_answers() {
    let rules = rules(BOTH, 100);
    let mut breakers = Breakers::default();
    fail(&mut breakers, "new", 0);
    let facts = Facts { method: "GET", path: "/x", user: Some("u1"), ..Facts::default() };
    let mut decision = decide(&rules, &facts, Timestamp::from_millis(0));
    let candidate = Candidate { now: 0, is_repeatable: true, timeout_ms: 0, dice: 99 };
    assert!(breakers.steer(&rules, &mut decision, candidate).is_secondary);
    assert_eq!((decision.verdict.arm, decision.verdict.reason), (Arm::New, Reason::Diverted));
    // Whoever is of the arm for another reason is no evidence in any case.
    decision.verdict.reason = Reason::Experiment;
    assert!(breakers.steer(&rules, &mut decision, candidate).is_secondary);
    assert_eq!(decision.verdict.reason, Reason::Experiment);
}
