//! The variants of a user that backends and clients are told.

use super::{answer, hear, snapshot};
use crate::{
    isolate::Isolate,
    settings::Settings,
    test_support,
    wire::{OutcomeKind, Packed, PackedDecision},
};
use cutover_core::{
    Arm, Bucket, Emergency, PartsPerMillion, Purpose, Reason, Snapshot, Timestamp,
    decision::assignments::TestGroups,
    measurement::batch::Batch,
    rules::{
        emergency::Declaration,
        experiment::document::{Experiment, ExperimentState},
        flag::OnControlLoss,
    },
};
use serde_json::json;

/// A snapshot in which one experiment owns the flag, and another one, which clients are told of, only gives out values.
fn with_experiments(state: ExperimentState) -> Snapshot {
    let mut snapshot = snapshot(1, 100.0, 0);
    let variant = |key: &str, percent: f64| json!({ "key": key, "name": key, "traffic_percentage": percent });
    let mut arms = [variant("control", 50.0), variant("treatment", 50.0)];
    (arms[0]["arm"], arms[1]["arm"]) = (json!("legacy"), json!("new"));
    for (name, experiment) in [
        ("arms", json!({ "name": "Arms", "flag": "flag", "variants": arms })),
        (
            "colours",
            json!({ "name": "Colours", "send_to_client": true, "variants": [variant("blue", 100.0)] }),
        ),
    ] {
        let mut experiment: Experiment = serde_json::from_value(experiment).unwrap();
        experiment.state = state;
        snapshot.experiments.insert(name.parse().unwrap(), experiment);
    }
    snapshot
}

pub(super) fn holding(snapshot: &Snapshot, settings: Settings) -> Isolate {
    let mut isolate = Isolate::default();
    isolate.configure(settings, 0);
    isolate.reporting.name("ab".repeat(16));
    isolate.finish_read(0, Ok(Some(snapshot.encode().unwrap()))).unwrap();
    isolate
}

fn running() -> Isolate {
    holding(&with_experiments(ExperimentState::Running), Settings::default())
}

fn request(path: &str, user: &str) -> String {
    format!("GET\nhttps://h{path}\n\0\n{user}")
}

fn users() -> impl Iterator<Item = String> {
    (0..200).map(|user| format!("user-{user}"))
}

fn groups(of_backend: &str, of_client: &str) -> TestGroups {
    TestGroups { of_backend: of_backend.to_owned(), of_client: of_client.to_owned() }
}

#[test]
fn the_variants_of_a_user_are_noted_with_the_decision() {
    let isolate = running();
    for user in users() {
        let is_control = Bucket::of(Purpose::Variant, "arms", &user).get() < 500_000;
        let (variant, arm) = if is_control { ("control", Arm::Legacy) } else { ("treatment", Arm::New) };
        let decided = answer(&isolate, &request("/api/x", &user), 0);
        assert_eq!((decided.arm(), decided.reason()), (arm, Reason::Experiment), "{user}");
        let expected = groups(&format!("arms={variant}, colours=blue"), "colours=blue");
        assert_eq!(*isolate.groups.borrow(), expected, "{user}");
    }
    // Nothing is left of the user before, where nobody is known.
    for lines in [request("/elsewhere", "user-1"), "GET\nhttps://h/api/x\n\0\n\0".to_owned()] {
        answer(&isolate, &lines, 0);
        assert_eq!(*isolate.groups.borrow(), TestGroups::default(), "{lines:?}");
    }
    for state in [ExperimentState::Draft, ExperimentState::Paused, ExperimentState::Stopped] {
        let isolate = holding(&with_experiments(state), Settings::default());
        answer(&isolate, &request("/api/x", "user-1"), 0);
        assert_eq!(*isolate.groups.borrow(), TestGroups::default(), "{state:?}");
    }
}

#[test]
fn a_user_whose_id_is_minted_has_the_variants_of_that_id() {
    let isolate = running();
    let id = "0123456789abcdef0123456789abcdef";
    let lines = "GET\nhttps://h/api/x\n\0\n\0";
    let decide = |isolate: &Isolate| {
        let minting = || Some(id.to_owned());
        isolate.decide(&Packed::new(lines), 0, isolate.generation(), minting)
    };
    let (decided, minted) = decide(&isolate);
    assert_ne!(decided.0 & PackedDecision::MINTED, 0);
    assert_eq!(minted.as_deref(), Some(id));
    let by_cookie = format!("GET\nhttps://h/api/x\ncutover_uid={id}\n\0");
    let of_minted = isolate.groups.borrow().clone();
    assert!(of_minted.of_backend.starts_with("arms="), "{of_minted:?}");
    assert_eq!(answer(&isolate, &by_cookie, 0).arm(), decided.arm());
    assert_eq!(*isolate.groups.borrow(), of_minted);
    // An experiment that decides nothing is no reason to mint an id.
    let mut values_only = with_experiments(ExperimentState::Running);
    values_only.experiments.retain(|name, _| name.as_str() == "colours");
    let isolate = holding(&values_only, Settings::default());
    let (decided, minted) = decide(&isolate);
    assert_eq!((decided.0 & PackedDecision::MINTED, minted), (0, None));
    assert_eq!(*isolate.groups.borrow(), TestGroups::default());
}

/// A user of the treatment who is sent to legacy with everybody else must not count as exposed.
#[test]
fn no_variant_is_told_while_its_flag_is_held() {
    let told = |isolate: &Isolate, now: i64| {
        let decided = answer(isolate, &request("/api/x", "user-1"), now);
        let groups = isolate.groups.borrow().of_backend.clone();
        (decided.reason(), groups.split('=').next().unwrap_or_default().to_owned())
    };
    let isolate = running();
    assert_eq!(told(&isolate, 0), (Reason::Experiment, "arms".to_owned()));
    let emergency = Emergency::from(Declaration {
        flags: None,
        reason: "r".to_owned(),
        by: "b".to_owned(),
        since: Timestamp::from_millis(0),
    });
    isolate.rules().unwrap().declare([&emergency]);
    assert_eq!(told(&isolate, 0), (Reason::Emergency, "colours".to_owned()));

    let snapshot = with_experiments(ExperimentState::Running);
    let forced = holding(&snapshot, Settings { force_legacy: true, ..Settings::default() });
    let treated = users().find(|user| Bucket::of(Purpose::Variant, "arms", user).get() >= 500_000).unwrap();
    answer(&forced, &request("/api/x", &treated), 0);
    assert_eq!(*forced.groups.borrow(), groups("colours=blue", "colours=blue"));

    // The control plane is lost after a minute, and the flag leaves the new arm then.
    let mut leaving = snapshot;
    leaving.flags.values_mut().for_each(|flag| flag.on_control_loss = Some(OnControlLoss::Legacy));
    let mut isolate = holding(&leaving, Settings { reports: true, ..Settings::default() });
    for now in (0..=64_000).step_by(4_000) {
        let expected = if now < 60_000 { "arms" } else { "colours" };
        isolate.question(now).unwrap();
        isolate.answered(500, "", now);
        assert_eq!(told(&isolate, now + 1).1, expected, "{now}");
    }
}

#[test]
fn requests_that_an_experiment_decides_are_counted_as_others_and_are_no_evidence() {
    let mut snapshot = with_experiments(ExperimentState::Running);
    let label = test_support::label(0, PartsPerMillion::of_percent(50));
    snapshot.canaries.insert("flag".parse().unwrap(), label);
    let mut isolate = holding(&snapshot, Settings { reports: true, ..Settings::default() });
    hear(&mut isolate);
    for user in users() {
        let decided = answer(&isolate, &request("/api/x", &user), 10).0;
        assert_eq!(decided & PackedDecision::EVIDENCE, 0, "{user}");
        let tag = OutcomeKind::tag(isolate.generation()) << OutcomeKind::GENERATION_SHIFT;
        isolate.record(&[decided & PackedDecision::KIND | tag, 200 << 20 | 5, 0, 0, 0, 0, 0]);
    }
    let batch: Batch = serde_json::from_str(&isolate.next_batch(false, 0, 20).unwrap()).unwrap();
    assert!(batch.cells.iter().all(|cell| cell.reason == Reason::Experiment), "{batch:?}");
    assert_eq!(batch.cells.iter().map(|cell| cell.counts.requests).sum::<u64>(), 200);
    assert_eq!((batch.cells.len(), batch.users.len()), (2, 0));
}

#[test]
fn experiments_add_no_allocation_to_a_decision() {
    let lines = request("/api/x", "user-1");
    let allocations = |isolate: &Isolate| {
        // The first one makes the room that the others use again.
        answer(isolate, &lines, 0);
        let info = allocation_counter::measure(|| {
            answer(isolate, &lines, 0);
        });
        info.count_total
    };
    let without = holding(&with_experiments(ExperimentState::Stopped), Settings::default());
    assert_eq!(allocations(&running()), allocations(&without));
}
