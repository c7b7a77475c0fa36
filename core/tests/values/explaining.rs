//! The reason for a value, in the words of an operator.

use super::{config, flag, rules_in, rules_of, time};
use cutover_core::{
    Emergency, Facts,
    values::evaluation::{Decider, EvaluationError},
};
use serde_json::json;

const CONFIG: &str = "
feature_flags: { checkout: { enabled: true, rollout_percentage: 50 } }
segments: { staff: { include: [ann] } }
flags:
  colour:
    type: string
    enabled: true
    variants: { blue: B, green: G }
    default: { weights: { blue: 50, green: 50 } }
    off: blue
    rules:
      - { segment: staff, variant: green }
      - conditions: [{ type: attribute, name: country, op: in, values: [NO] }]
        weights: { blue: 100 }
  behind:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: yes
    off: no
    prerequisites: [{ flag: colour, variant: green }]
  routed:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: yes
    off: no
    prerequisites: [{ flag: checkout, variant: new }]
  plain: { type: boolean, enabled: true, variants: { yes: true, no: false }, default: yes, off: no }
  off: { type: boolean, variants: { yes: true, no: false }, default: yes, off: no }
  ended:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: yes
    off: no
    schedule:
      - { at: \"2026-07-01T00:00:00Z\", set: { enabled: false } }
      - { at: \"2026-07-02T00:00:00Z\", set: { default: no } }
";

#[test]
fn the_part_of_the_flag_that_decides_is_told() {
    let config = config(CONFIG);
    let rules = rules_of(&config);
    let now = time("2026-07-03T12:00:00Z");
    let explained = |name: &str, user: Option<&str>, country: Option<&str>| {
        let facts = Facts { country, ..Facts::default() };
        let explanation = rules.explain_value(name, user, &facts, now).unwrap();
        // What is explained is what applications get.
        assert_eq!(explanation.evaluation, rules.evaluate(name, user, &facts, now), "{name} {user:?}");
        (explanation.decider, explanation.in_words(flag(&config, name), now))
    };
    // Whoever is not in the segment has the variant of the own bucket.
    let other = (0..).map(|number| format!("u{number}")).find(|user| {
        let found = rules.evaluate("colour", Some(user), &Facts::default(), now).unwrap();
        found.variant == "blue"
    });
    let other = other.as_deref();
    let bucket = rules.explain_value("colour", other, &Facts::default(), now).unwrap().bucket.unwrap().get();
    assert!(bucket < 500_000, "blue is in front: {bucket}");
    let weights = format!("its weights give bucket {bucket} of 1000000 this variant");
    let by_default = format!("no rule matches, so the default decides; {weights}");
    let by_rule = format!("rules[1] is the first one that matches; {weights}");
    for (name, user, country, decider, words) in [
        ("plain", None, None, Decider::Default, "the default of the flag"),
        ("off", Some("ann"), None, Decider::Disabled, "the flag is disabled"),
        (
            "ended",
            Some("ann"),
            None,
            Decider::Disabled,
            "the schedule has disabled the flag at 2026-07-01T00:00:00Z",
        ),
        (
            "colour",
            Some("ann"),
            Some("NO"),
            Decider::Rule(0),
            "rules[0] (segment staff) is the first one that matches",
        ),
        ("colour", other, None, Decider::Default, by_default.as_str()),
        ("colour", other, Some("NO"), Decider::Rule(1), by_rule.as_str()),
        (
            "colour",
            None,
            None,
            Decider::Default,
            "no rule matches, so the default decides; its weights need a user id, and the request has none",
        ),
        ("behind", Some("ann"), None, Decider::Default, "the default of the flag"),
        (
            "behind",
            other,
            None,
            Decider::Prerequisite(0),
            "the user lacks the prerequisite: the variant green of the flag colour",
        ),
    ] {
        assert_eq!(explained(name, user, country), (Some(decider), words.to_owned()), "{name} {user:?}");
    }
    for name in ["behind", "routed"] {
        let undecided = explained(name, None, None);
        let words = "a prerequisite is split by users, and the request has no user id".to_owned();
        assert_eq!(undecided, (None, words), "{name}");
        let error = rules.evaluate(name, None, &Facts::default(), now).unwrap_err();
        assert_eq!(error, EvaluationError::TargetingKeyMissing);
    }
    // An empty id is none, as it is for applications.
    assert_eq!(explained("behind", Some(""), None).0, None);
    assert!(rules.explain_value("none", None, &Facts::default(), now).is_none());
    assert!(rules.explain_value("checkout", None, &Facts::default(), now).is_none(), "it decides routes");
}

/// A user may be given the very variant that is needed, as the variant `off`: the words say why it meets nothing.
#[test]
fn an_unmet_prerequisite_is_told_with_the_state_of_its_flag() {
    let config = config(
        "
feature_flags: { dark: { enabled: false }, held: { enabled: true, rollout_percentage: 100 }, lit: { enabled: true } }
flags:
  off: { type: boolean, variants: { yes: true, no: false }, default: yes, off: no }
  over:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: yes
    off: no
    schedule: [{ at: \"2026-07-01T00:00:00Z\", set: { enabled: false } }]
  behind:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: yes
    off: no
    prerequisites: [{ flag: off, variant: yes }]
",
    );
    let now = time("2026-07-03T12:00:00Z");
    let words = |flag: &str, variant: &str| {
        let mut config = config.clone();
        let mut asked = config.flags["behind"].clone();
        let needed = json!([{ "flag": flag, "variant": variant }]);
        asked.prerequisites = serde_json::from_value(needed).unwrap();
        config.flags.insert("asked".parse().unwrap(), asked);
        let emergency = Emergency {
            flags: Some(vec!["held".parse().unwrap()]),
            reason: "test".to_owned(),
            by: "operator".to_owned(),
            since: now,
            declarations: Vec::new(),
        };
        let rules = rules_in(&config, Some(emergency));
        let explanation = rules.explain_value("asked", Some("ann"), &Facts::default(), now).unwrap();
        assert_eq!(explanation.decider, Some(Decider::Prerequisite(0)), "{variant} of {flag}");
        explanation.in_words(&config.flags["asked"], now)
    };
    let unmet = |flag: &str, variant: &str, why: &str| {
        format!("the prerequisite, the variant {variant} of the flag {flag}, is not met: {why}")
    };
    for (flag, variant, why) in [
        ("off", "yes", "that flag is disabled"),
        ("off", "no", "that flag is disabled"),
        ("over", "no", "that flag is disabled"),
        ("behind", "no", "that flag lacks a prerequisite itself"),
        ("dark", "new", "that flag is disabled"),
        ("held", "new", "an emergency holds that flag"),
    ] {
        assert_eq!(words(flag, variant), unmet(flag, variant, why));
    }
    let other = "the user lacks the prerequisite: the variant new of the flag lit";
    assert_eq!(words("lit", "new"), other);
}
