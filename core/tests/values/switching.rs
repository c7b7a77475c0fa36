//! The state in force of a flag with a schedule, and a flag that is switched in spite of it.

use super::{config, flag, time};

const CONFIG: &str = "
flags:
  f:
    type: boolean
    enabled: true
    variants: { yes: true, no: false }
    default: no
    off: no
    schedule:
      - { at: \"2026-08-01T00:00:00Z\", set: { default: yes } }
      - { at: \"2026-09-01T00:00:00Z\", set: { enabled: false, default: no } }
      - { at: \"2026-10-01T00:00:00Z\", set: { enabled: true } }
      - { at: \"2026-11-01T00:00:00Z\", set: { enabled: false } }
";

#[test]
fn the_state_in_force_is_that_of_the_last_change_that_is_over() {
    let config = config(CONFIG);
    let flag = flag(&config, "f");
    for (now, enabled, default, since, until) in [
        ("2026-07-31T23:59:59.999Z", true, "no", None, Some("2026-08-01T00:00:00Z")),
        ("2026-08-01T00:00:00Z", true, "yes", Some("2026-08-01T00:00:00Z"), Some("2026-09-01T00:00:00Z")),
        ("2026-09-30T00:00:00Z", false, "no", Some("2026-09-01T00:00:00Z"), Some("2026-10-01T00:00:00Z")),
        ("2026-10-02T00:00:00Z", true, "no", Some("2026-10-01T00:00:00Z"), Some("2026-11-01T00:00:00Z")),
        ("2027-01-01T00:00:00Z", false, "no", Some("2026-11-01T00:00:00Z"), None),
    ] {
        let state = flag.in_force(time(now));
        let served = serde_json::to_value(state.default).unwrap();
        assert_eq!((state.enabled, served["variant"].as_str()), (enabled, Some(default)), "{now}");
        assert_eq!((state.since, state.until), (since.map(time), until.map(time)), "{now}");
    }
}

#[test]
fn a_flag_is_switched_until_a_change_that_is_ahead() {
    let config = config(CONFIG);
    let flag = flag(&config, "f");
    for now in
        ["2026-07-01T00:00:00Z", "2026-08-15T00:00:00Z", "2026-09-15T00:00:00Z", "2026-10-15T00:00:00Z"]
    {
        let now = time(now);
        for enabled in [true, false] {
            let switched = flag.switched(enabled, now);
            let state = switched.in_force(now);
            assert_eq!(state.enabled, enabled, "{now}");
            // Nothing else moves, neither now nor later.
            assert_eq!(state.default, flag.in_force(now).default, "{now}");
            assert_eq!(state.until, flag.in_force(now).until, "{now}");
            let ahead = |flag: &cutover_core::values::document::ValueFlag| {
                flag.schedule.iter().filter(|change| change.at > now).cloned().collect::<Vec<_>>()
            };
            assert_eq!(ahead(&switched), ahead(flag), "{now}");
        }
    }
    // A change that said nothing else is gone, and one that set the default keeps that.
    let later = time("2026-12-01T00:00:00Z");
    let switched = flag.switched(true, later);
    assert_eq!(switched.schedule.len(), 2, "{:?}", switched.schedule);
    assert!(switched.schedule.iter().all(|change| change.set.enabled.is_none()));
    assert_eq!(switched.switched(true, later), switched);
}
