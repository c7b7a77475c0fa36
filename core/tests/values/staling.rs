//! Flags that have done their work.

use super::{config, flag, time};
use cutover_core::values::stale::{Stale, StaleAfter, stale, stale_switch};

/// Returns the finding about a flag with these fields, so many days after its last change at the beginning of 2026.
fn found(fields: &str, now: &str) -> Option<Stale> {
    let file = config(&format!(
        "segments: {{ staff: {{ include: [ann] }} }}\nflags: {{ f: {{ type: boolean, variants: {{ on: true, off: false }}, off: \
         off, {fields} }} }}"
    ));
    stale(flag(&file, "f"), time(now), time("2026-01-01T00:00:00Z"), StaleAfter::default())
}

#[test]
fn a_temporary_flag_is_stale_once_it_is_old_or_settled() {
    let settled = |variant: &str, days: u32| Some(Stale::Settled { variant: variant.into(), days });
    const RULE: &str = "rules: [{ segment: staff, variant: on }]";
    let divided = "enabled: true, default: { weights: { on: 50, off: 50 } }";
    for (fields, now, expected) in [
        (divided, "2026-03-31T23:59:59Z", None),
        (divided, "2026-04-01T00:00:00Z", Some(Stale::Old { days: 90 })),
        ("enabled: true, default: on", "2026-01-07T23:59:59Z", None),
        ("enabled: true, default: on", "2026-01-08T00:00:00Z", settled("on", 7)),
        // Its work may be ahead.
        ("enabled: false, default: on", "2026-03-31T23:59:59Z", None),
        ("enabled: false, default: on", "2026-04-01T00:00:00Z", Some(Stale::Old { days: 90 })),
        ("enabled: true, default: { weights: { on: 100 } }", "2026-01-09T00:00:00Z", settled("on", 8)),
        ("enabled: true, permanent: true, default: on", "2030-01-01T00:00:00Z", None),
        // A clock that is behind.
        ("enabled: true, default: on", "2025-01-01T00:00:00Z", None),
    ] {
        assert_eq!(found(fields, now), expected, "{fields} at {now}");
    }
    let (on, off) =
        (format!("enabled: true, default: on, {RULE}"), format!("enabled: true, default: off, {RULE}"));
    assert_eq!(found(&on, "2026-01-08T00:00:00Z"), settled("on", 7));
    assert_eq!(found(&off, "2026-01-08T00:00:00Z"), None, "staff has another variant");
    let scheduled =
        "default: off, schedule: [{ at: \"2026-06-01T00:00:00Z\", set: { enabled: true, default: on } }]";
    assert_eq!(found(scheduled, "2026-05-31T00:00:00Z"), None, "a change is ahead");
    assert_eq!(found(scheduled, "2026-06-07T00:00:00Z"), None, "it has just changed");
    assert_eq!(found(scheduled, "2026-06-08T00:00:00Z"), settled("on", 7));
    let ended =
        "enabled: true, default: on, schedule: [{ at: \"2026-06-01T00:00:00Z\", set: { enabled: false } }]";
    assert_eq!(found(ended, "2026-06-08T00:00:00Z"), None, "the schedule has disabled it");
}

#[test]
fn a_flag_of_routes_is_settled_once_all_of_its_users_are_on_the_new_arm() {
    let found = |fields: &str, now: &str| {
        let file = config(&format!("feature_flags: {{ f: {{ {fields} }} }}"));
        let changed = time("2026-01-01T00:00:00Z");
        stale_switch(&file.feature_flags["f"], time(now), changed, StaleAfter::default())
    };
    let settled = |days: u32| Some(Stale::Settled { variant: "new".into(), days });
    let (week, quarter) = ("2026-01-08T00:00:00Z", "2026-04-01T00:00:00Z");
    let condition = "conditions: [{ type: attribute, name: country, op: in, values: [NO] }]";
    let conditional = format!("enabled: true, rollout_percentage: 100, {condition}");
    for (fields, now, expected) in [
        ("enabled: true, rollout_percentage: 100", "2026-01-07T23:59:59Z", None),
        ("enabled: true, rollout_percentage: 100", week, settled(7)),
        ("enabled: true, rollout_percentage: 100, user_whitelist: [ann]", week, settled(7)),
        ("enabled: true, rollout_percentage: 100, user_blacklist: [ann]", week, None),
        (conditional.as_str(), week, None),
        (conditional.as_str(), quarter, Some(Stale::Old { days: 90 })),
        // Its work is ahead.
        ("enabled: false, rollout_percentage: 100", week, None),
        ("enabled: true, rollout_percentage: 0", week, None),
        ("enabled: true, rollout_percentage: 0", quarter, Some(Stale::Old { days: 90 })),
    ] {
        assert_eq!(found(fields, now), expected, "{fields} at {now}");
    }
}
