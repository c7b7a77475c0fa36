//! Flags with values in files, exports and snapshots.

use super::{config, evaluated, rules_of};
use cutover_core::{
    Facts, Revision, Snapshot,
    config::{Action, Config, diff},
};

const CONFIG: &str = "
feature_flags: { checkout: { enabled: true, rollout_percentage: 50 } }
segments: { staff: { description: people, include: [ann, 7], exclude: [eve], conditions: [{ type: time_window }] } }
flags:
  f:
    type: object
    description: colours
    enabled: true
    variants: [{ key: z, value: { z: 1, a: [true, null] } }, { key: a, value: {} }]
    default: { weights: { a: 30, z: 70 } }
    off: a
    permanent: true
    salt: paint
    rules:
      - segment: staff
        windows: [{ days: [mon], from: \"22:00\", to: \"06:00\" }, { from: \"00:00\", to: \"00:00\" }]
        variant: z
      - { conditions: [{ type: attribute, name: country, op: in, values: [NO] }], weights: { z: 100 } }
    prerequisites: [{ flag: checkout, variant: new }]
    schedule: [{ at: \"2026-01-31T08:00:00Z\", set: { enabled: false, default: a } }]
";

#[test]
fn what_is_exported_is_what_was_applied() {
    let applied = config(CONFIG);
    applied.check().unwrap();
    let exported = serde_json::to_value(&applied).unwrap();
    assert_eq!(Config::from_json(&exported).unwrap(), applied);
    assert_eq!(serde_json::from_value::<Config>(exported).unwrap(), applied);
    assert_eq!(applied.merged(&applied, true), applied);
    let object = applied.object("flags", "f").unwrap();
    assert_eq!(object["variants"][0]["value"].to_string(), r#"{"z":1,"a":[true,null]}"#);
    assert_eq!(object["default"]["weights"], serde_json::json!({ "a": 30.0, "z": 70.0 }));
    assert!(applied.object("segments", "staff").is_some());
}

/// A Worker of the version before reads the snapshot on, without the parts that it does not know.
#[test]
fn a_snapshot_with_values_has_the_schema_that_earlier_readers_know() {
    let with = config(CONFIG).snapshot(Revision(7), None);
    let text = with.encode().unwrap();
    assert!(text.starts_with(r#"{"schema":1,"revision":7,"#), "{text}");
    assert_eq!(Snapshot::decode(&text).unwrap(), with);
    let without = Snapshot { values: Default::default(), segments: Default::default(), ..with };
    let text = without.encode().unwrap();
    assert!(!text.contains("value_flags") && !text.contains("segments"), "{text}");
    assert_eq!(Snapshot::decode(&text).unwrap(), without);
}

#[test]
fn what_a_flag_refers_to_is_created_before_it_and_deleted_after_it() {
    let (empty, full) = (Config::default(), config(CONFIG));
    let order = |before: &Config, after: &Config, action: Action| -> Vec<&'static str> {
        let changes = diff(before, after);
        assert!(changes.iter().all(|change| change.action == action));
        changes.iter().map(|change| change.section).collect()
    };
    assert_eq!(order(&empty, &full, Action::Create), ["feature_flags", "segments", "flags"]);
    assert_eq!(order(&full, &empty, Action::Delete), ["flags", "feature_flags", "segments"]);
}

/// The example of docs/flags.md is a configuration without mistakes and warnings.
#[test]
fn the_documented_example_is_evaluated() {
    let text = include_str!("../../../docs/flags.md");
    let example = text.split("```yaml").nth(1).unwrap().split("```").next().unwrap();
    let config = config(example);
    assert_eq!(config.warnings(), Vec::<String>::new());
    let found = evaluated(&rules_of(&config), "button", Some("ann"), &Facts::default()).unwrap();
    assert_eq!(found, ("\"#0f0\"".to_owned(), "green".to_owned(), "TARGETING_MATCH"));
}
