//! The value of a flag for a user, and the reason for it.

use super::{compiled, config, evaluated, time, users, variant};
use cutover_core::{
    Arm, Bucket, Facts, PartsPerMillion, Purpose, Revision, Ruleset, Timestamp, decide_flag,
    measurement::answer::Brake,
    rules::emergency::{Declaration, Emergency},
    values::evaluation::EvaluationError,
};

const CONFIG: &str = r##"
feature_flags:
  checkout: { enabled: true, rollout_percentage: 30, user_whitelist: [listed] }
  done: { enabled: true, rollout_percentage: 100 }
segments:
  staff:
    include: [ann, bob]
    exclude: [eve, bob]
    conditions: [{ type: attribute, name: "header:x-staff", op: equals, values: ["yes"] }]
  listed: { include: [ann] }
flags:
  colour:
    type: string
    enabled: true
    variants: { blue: "#00f", green: "#0f0", red: "#f00" }
    default: blue
    off: red
    rules:
      - { segment: staff, variant: green }
      - conditions: [{ type: attribute, name: country, op: in, values: [NO] }]
        weights: { blue: 20, red: 80 }
  limits:
    type: object
    enabled: true
    variants: { small: { items: 10, tags: [a, b] }, large: { items: 1.5 } }
    default: { weights: { small: 60, large: 40 } }
    off: small
  plain: { type: number, enabled: true, variants: { one: 1, many: 2.5 }, default: many, off: one }
  unused: { type: boolean, variants: { yes: true, no: false }, default: yes, off: no }
  behind:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: yes
    off: no
    prerequisites: [{ flag: colour, variant: blue }, { flag: checkout, variant: new }]
  later:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: no
    off: no
    schedule:
      - { at: "2026-08-01T00:00:00Z", set: { default: yes } }
      - { at: "2026-09-01T00:00:00Z", set: { enabled: false } }
      - { at: "2026-10-01T00:00:00Z", set: { enabled: true } }
  office:
    type: string
    enabled: true
    variants: { open: open, closed: closed }
    default: closed
    off: closed
    rules: [{ windows: [{ days: [fri], from: "09:00", to: "17:00" }], variant: open }]
"##;

fn told(
    value: &str,
    variant: &str,
    reason: &'static str,
) -> Result<(String, String, &'static str), EvaluationError> {
    Ok((value.to_owned(), variant.to_owned(), reason))
}

#[test]
fn the_first_rule_that_matches_decides_and_otherwise_the_default() {
    let rules = compiled(CONFIG);
    let none = Facts::default();
    let staff = Facts { headers: &[("x-staff", "yes")], ..none };
    let colour = |user: &str, facts: &Facts<'_>| evaluated(&rules, "colour", Some(user), facts);
    assert_eq!(colour("u", &none), told(r##""#00f""##, "blue", "DEFAULT"));
    assert_eq!(colour("ann", &none), told(r##""#0f0""##, "green", "TARGETING_MATCH"));
    assert_eq!(colour("u", &staff), told(r##""#0f0""##, "green", "TARGETING_MATCH"));
    // Who is excluded belongs neither by a list nor by a condition.
    assert_eq!(colour("bob", &none), told(r##""#00f""##, "blue", "DEFAULT"));
    assert_eq!(colour("eve", &staff), told(r##""#00f""##, "blue", "DEFAULT"));
    // Without an id the conditions of a segment still decide.
    assert_eq!(evaluated(&rules, "colour", None, &staff), told(r##""#0f0""##, "green", "TARGETING_MATCH"));
    assert_eq!(evaluated(&rules, "plain", None, &none), told("2.5", "many", "STATIC"));
    assert_eq!(evaluated(&rules, "unused", Some("u"), &none), told("false", "no", "DISABLED"));
    assert_eq!(evaluated(&rules, "none", Some("u"), &none), Err(EvaluationError::FlagNotFound));
}

#[test]
fn weights_divide_users_by_their_buckets_and_need_an_id() {
    let rules = compiled(CONFIG);
    let norway = Facts { country: Some("NO"), ..Facts::default() };
    for user in users() {
        let bucket = |flag: &str| Bucket::of(Purpose::Rollout, flag, &user).get();
        let expected = if bucket("limits") < 600_000 {
            told(r#"{"items":10,"tags":["a","b"]}"#, "small", "SPLIT")
        } else {
            told(r#"{"items":1.5}"#, "large", "SPLIT")
        };
        assert_eq!(evaluated(&rules, "limits", Some(&user), &Facts::default()), expected, "{user}");
        let expected = if bucket("colour") < 200_000 { "blue" } else { "red" };
        assert_eq!(evaluated(&rules, "colour", Some(&user), &norway).unwrap().1, expected, "{user}");
    }
    for user in [None, Some("")] {
        let found = evaluated(&rules, "limits", user, &Facts::default());
        assert_eq!(found, Err(EvaluationError::TargetingKeyMissing));
    }
}

/// The value of a flag of routes is true exactly for the users of the new arm.
#[test]
fn a_flag_of_routes_is_a_boolean_flag() {
    let rules = compiled(CONFIG);
    let facts = Facts::default();
    for user in users() {
        let verdict = decide_flag(rules.flag("checkout"), Some(&user), &facts, time("2026-07-03T12:00:00Z"));
        let expected = if verdict.arm == Arm::New { ("true", "new") } else { ("false", "legacy") };
        let found = evaluated(&rules, "checkout", Some(&user), &facts);
        assert_eq!(found, told(expected.0, expected.1, "SPLIT"), "{user}");
    }
    let listed = evaluated(&rules, "checkout", Some("listed"), &facts);
    assert_eq!(listed, told("true", "new", "TARGETING_MATCH"));
    assert_eq!(evaluated(&rules, "checkout", None, &facts), Err(EvaluationError::TargetingKeyMissing));
    assert_eq!(evaluated(&rules, "done", None, &facts), told("true", "new", "DEFAULT"));
    let brake = |rollout: u32| Brake {
        revision: Revision(2),
        flag: "done".parse().unwrap(),
        enabled: true,
        rollout: PartsPerMillion::of_percent(rollout),
    };
    rules.brake([&brake(50)]);
    assert_eq!(evaluated(&rules, "done", None, &facts), told("false", "legacy", "DISABLED"));
    rules.brake([]);
    rules.declare([&emergency()]);
    assert_eq!(evaluated(&rules, "checkout", Some("listed"), &facts), told("false", "legacy", "DISABLED"));
    assert_eq!(evaluated(&rules, "behind", Some("listed"), &facts), told("false", "no", "DISABLED"));
}

fn emergency() -> Emergency {
    Emergency::from(Declaration {
        flags: None,
        reason: "fire".to_owned(),
        by: "ann".to_owned(),
        since: Timestamp::from_millis(0),
    })
}

#[test]
fn a_flag_is_off_for_users_who_lack_a_prerequisite() {
    let rules = compiled(CONFIG);
    let mut met = 0;
    for user in users() {
        let is_met = variant(&rules, "checkout", &user) == "new";
        met += u32::from(is_met);
        let expected = if is_met { told("true", "yes", "DEFAULT") } else { told("false", "no", "DISABLED") };
        assert_eq!(evaluated(&rules, "behind", Some(&user), &Facts::default()), expected, "{user}");
    }
    assert!((400..800).contains(&met), "{met}");
    let staff = Facts { headers: &[("x-staff", "yes")], ..Facts::default() };
    assert_eq!(evaluated(&rules, "behind", Some("listed"), &staff), told("false", "no", "DISABLED"));
    let missing = evaluated(&rules, "behind", None, &Facts::default());
    assert_eq!(missing, Err(EvaluationError::TargetingKeyMissing));
}

/// One caller may disable any flag at any time, so that must not enable another one.
#[test]
fn a_flag_that_is_disabled_or_lacks_a_prerequisite_meets_no_prerequisite() {
    let flag = |fields: &str| {
        format!("{{ type: boolean, variants: {{ yes: true, no: false }}, off: no, {fields} }}")
    };
    let behind = |name: &str, variant: &str| {
        flag(&format!("enabled: true, default: yes, prerequisites: [{{ flag: {name}, variant: {variant} }}]"))
    };
    let ended = "enabled: true, default: yes, schedule: \
                 [{ at: \"2026-07-01T00:00:00Z\", set: { enabled: false } }]";
    for (first, of_yes, of_no) in [
        ("enabled: true, default: yes", "yes", "no"),
        // The variant that is off is met if an enabled flag gives it out.
        ("enabled: true, default: no", "no", "yes"),
        ("enabled: false, default: yes", "no", "no"),
        ("enabled: false, default: no", "no", "no"),
        (ended, "no", "no"),
    ] {
        let flags = [
            ("first", flag(first)),
            ("of_yes", behind("first", "yes")),
            ("of_no", behind("first", "no")),
            ("behind_of_yes", behind("of_yes", "no")),
        ];
        let flags: Vec<String> = flags.iter().map(|(name, flag)| format!("  {name}: {flag}\n")).collect();
        let rules = compiled(&format!("flags:\n{}", flags.concat()));
        for (name, expected) in [("of_yes", of_yes), ("of_no", of_no), ("behind_of_yes", "no")] {
            assert_eq!(variant(&rules, name, "ann"), expected, "{name} with {first}");
        }
    }
}

#[test]
fn a_schedule_and_a_window_take_effect_at_their_very_millisecond() {
    let rules = compiled(CONFIG);
    for (name, at, expected) in [
        ("later", "2026-07-31T23:59:59.999Z", ("no", "DEFAULT")),
        ("later", "2026-08-01T00:00:00Z", ("yes", "DEFAULT")),
        ("later", "2026-08-31T23:59:59.999Z", ("yes", "DEFAULT")),
        ("later", "2026-09-01T00:00:00Z", ("no", "DISABLED")),
        ("later", "2026-09-30T23:59:59.999Z", ("no", "DISABLED")),
        // What an earlier change has set stays.
        ("later", "2026-10-01T00:00:00Z", ("yes", "DEFAULT")),
        ("later", "0000-01-01T00:00:00Z", ("no", "DEFAULT")),
        ("office", "2026-07-03T08:59:59.999Z", ("closed", "DEFAULT")),
        ("office", "2026-07-03T09:00:00Z", ("open", "TARGETING_MATCH")),
        ("office", "2026-07-03T17:00:00Z", ("closed", "DEFAULT")),
        ("office", "2026-07-04T12:00:00Z", ("closed", "DEFAULT")),
    ] {
        let found = rules.evaluate(name, Some("u"), &Facts::default(), time(at)).unwrap();
        assert_eq!((found.variant, found.reason.as_str()), expected, "{name} at {at}");
    }
}

/// Everything that a value depends on besides revision, user and request changes the hash.
#[test]
fn circumstances_change_with_times_windows_and_what_isolates_hear() {
    let rules = compiled(CONFIG);
    let at = |rules: &Ruleset, text: &str| rules.circumstances(time(text));
    let (noon, later) = ("2026-07-03T12:00:00Z", "2026-07-03T12:00:01Z");
    let before = at(&rules, noon);
    assert_eq!(before, at(&rules, later));
    assert_eq!(before, at(&compiled(CONFIG), noon));
    assert_ne!(before, at(&rules, "2026-07-03T18:00:00Z"), "a window");
    assert_ne!(before, at(&rules, "2026-08-07T12:00:00Z"), "a schedule");
    rules.declare([&emergency()]);
    let held = at(&rules, noon);
    assert_ne!(before, held);
    rules.declare([]);
    assert_eq!(before, at(&rules, noon));
    let brake = Brake {
        revision: Revision(2),
        flag: "checkout".parse().unwrap(),
        enabled: true,
        rollout: PartsPerMillion::of_percent(10),
    };
    rules.brake([&brake]);
    assert_ne!(before, at(&rules, noon));
    assert_ne!(held, at(&rules, noon));
}

#[test]
fn an_evaluation_costs_no_allocation() {
    let rules = compiled(CONFIG);
    let headers = [("x-staff", "no")];
    let facts = Facts { country: Some("NO"), headers: &headers, ..Facts::default() };
    let now = time("2026-07-03T12:00:00Z");
    let names = ["colour", "limits", "plain", "unused", "behind", "later", "office", "checkout", "none"];
    let info = allocation_counter::measure(|| {
        for name in names {
            let _ = std::hint::black_box(rules.evaluate(name, Some("user-4711"), &facts, now));
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn a_flag_that_cannot_be_evaluated_is_not_compiled() {
    let refused = |change: fn(&mut cutover_core::Snapshot)| {
        let mut snapshot = config(CONFIG).snapshot(Revision(1), None);
        change(&mut snapshot);
        Ruleset::compile(&snapshot).unwrap_err().to_string()
    };
    assert_eq!(refused(|snapshot| snapshot.segments.clear()), "flag colour: there is no segment staff");
    assert_eq!(refused(|snapshot| snapshot.flags.clear()), "flag behind: there is no flag checkout");
    assert_eq!(
        refused(|snapshot| snapshot.values.get_mut("later").unwrap().schedule.reverse()),
        "flag later: the schedule is not in the order of its times"
    );
    assert_eq!(
        refused(|snapshot| drop(snapshot.values.get_mut("plain").unwrap().variants.remove(0))),
        "flag plain: there is no variant one"
    );
    assert_eq!(
        refused(|snapshot| {
            let behind = snapshot.values["behind"].clone();
            snapshot.values.get_mut("colour").unwrap().prerequisites = behind.prerequisites;
        }),
        "flag behind: the prerequisites go in a circle, or are too many"
    );
}
