//! The part of a batch for experiments, on the wire.

use super::{batch, exposure, identified, outcome, part};
use cutover_core::{
    measurement::{
        batch::Batch,
        experiments::{ExperimentKey, ExperimentPart, GuardrailEvent, MAX_ENTRIES, UserOutcome},
        user_hash::UserKey,
    },
    statistics::split_mix::mix,
};

const WRITTEN: &str = r#"{"experiment":"checkout","phase":1,"since":1767225600,"exposures":[[18446744073709551614,1,0]],"outcomes":[[7,0,17],[7,1,17,12500]]}"#;

#[test]
fn a_part_is_lists_of_numbers() {
    let exposures = vec![exposure(u64::MAX - 1, 1, 0)];
    let part = part(exposures, vec![outcome(7, 0, 17, None), outcome(7, 1, 17, Some(12_500))]);
    assert_eq!(serde_json::to_string(&part).unwrap(), WRITTEN);
    assert_eq!(serde_json::from_str::<ExperimentPart>(WRITTEN).unwrap(), part);
    for wrong in ["[7]", "[7,0]", "[7,0,1,2,3,4]", "[7,0,1,null]", "[7,0,1,2,null]", "[7,0,-1]", "[7,256,1]"]
    {
        let text = WRITTEN.replace("[7,0,17]", wrong);
        assert!(serde_json::from_str::<ExperimentPart>(&text).is_err(), "{text}");
    }
}

#[test]
fn an_outcome_with_an_id_is_longer_and_takes_the_room_of_two() {
    let valued = identified(7, 1, 17, Some(12_500), u64::MAX);
    for (outcome, written) in
        [(valued, "[7,1,17,12500,18446744073709551615]"), (identified(7, 0, 17, None, 9), "[7,0,17,null,9]")]
    {
        assert_eq!(serde_json::to_string(&outcome).unwrap(), written);
        assert_eq!(serde_json::from_str::<UserOutcome>(written).unwrap(), outcome);
    }
    let largest = |user: u64| identified(mix(user), 15, 90_000, Some(999_999_999_999_999), mix(user + 1));
    let outcomes = (0..).map(largest).take(MAX_ENTRIES / 2).collect();
    assert_full(part(Vec::new(), outcomes));
}

/// Every entry is as long as it can be.
#[test]
fn a_full_batch_takes_at_most_60_kb() {
    let exposures = (0..).map(|user| exposure(mix(user), 15, 90_000)).take(MAX_ENTRIES / 2).collect();
    let outcomes = (0..).map(|user| outcome(mix(user), 15, 90_000, Some(999_999_999_999_999)));
    assert_full(part(exposures, outcomes.take(MAX_ENTRIES / 2).collect()));
    let event =
        |user: u64| GuardrailEvent { user: mix(user), variant: 15, metrics: u16::MAX, after_s: 90_000 };
    let guardrails = (0..).map(event).take(MAX_ENTRIES).collect();
    assert_full(ExperimentPart { guardrails, ..part(Vec::new(), Vec::new()) });
}

/// Asserts that a part fills a batch, and that the batch is as small as is promised.
fn assert_full(part: ExperimentPart) {
    assert_eq!(part.entries(), MAX_ENTRIES);
    let full = batch(1, 1, part).encode().len();
    assert!(full < 60_000, "{full} bytes");
}

#[test]
fn a_batch_of_the_version_before_has_no_experiments_and_a_later_part_is_read() {
    let empty = Batch::empty("0".repeat(32), 1);
    let before = empty.encode();
    assert!(!before.contains("experiments"), "{before}");
    assert_eq!(serde_json::from_str::<Batch>(&before).unwrap(), empty);
    // Readers tolerate fields that they do not know, as the reader before tolerates this part.
    let later = WRITTEN.replacen('{', r#"{"later":{"x":1},"#, 1);
    let text = before.replacen('{', &format!(r#"{{"unknown":[1],"experiments":[{later}],"#), 1);
    let read: Batch = serde_json::from_str(&text).unwrap();
    assert_eq!(read.experiments, [serde_json::from_str::<ExperimentPart>(WRITTEN).unwrap()]);
}

#[test]
fn hashes_of_users_depend_on_the_key_of_the_phase() {
    let hex = ["07060504030201000f0e0d0c0b0a0908", "07060504030201000f0e0d0c0b0a0909"];
    let [one, other] = hex.map(|hex| ExperimentKey::parse(hex).unwrap());
    assert_eq!(one.hash(""), 0x726f_db47_dd0e_0e31, "SipHash-2-4 of the reference");
    assert_ne!(one.hash("user-1"), other.hash("user-1"));
    assert_eq!(one.hash("user-1"), UserKey::parse(hex[0]).unwrap().hash("user-1"));
    assert_ne!(one.hash_event("order-1"), other.hash_event("order-1"));
    assert_ne!(one.hash_event("user-1"), one.hash("user-1"), "an event is no user");
    assert_eq!(ExperimentKey::parse("07"), None);
    assert!(!format!("{one:?}").contains("0706"), "the key is a secret");
}
