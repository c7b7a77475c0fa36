//! The word of the control plane: emergencies that it declares, and the loss of it.

use super::{REQUEST, answer, ask, document, hear, holding, reason, reporting, snapshot, with_canary, word};
use crate::{isolate::Isolate, settings::Settings, test_support, wire::PackedDecision};
use cutover_core::{
    Arm, Emergency, PartsPerMillion, Reason, Snapshot, Timestamp,
    measurement::{answer::Answer, question::Question},
    rules::{emergency::Declaration, flag::OnControlLoss},
    vocabulary::revision::Revision,
};

#[test]
fn everybody_goes_to_legacy_if_the_worker_is_told_so() {
    let mut isolate = holding(1, 100.0);
    isolate.configure(Settings { force_legacy: true, ..Settings::default() }, 0);
    let forced = answer(&isolate, REQUEST, 0);
    assert_eq!((forced.arm(), forced.reason()), (Arm::Legacy, Reason::Emergency));
}

#[test]
fn an_emergency_that_an_answer_tells_holds_at_once() {
    let mut isolate = reporting(0);
    let user = (0..).map(|user| format!("GET\nhttps://h/api/x\n\0\nu{user}"));
    let ask = |isolate: &Isolate, lines: &str| answer(isolate, lines, 10);
    hear(&mut isolate);
    let lines = user.into_iter().find(|lines| ask(&isolate, lines).arm() == Arm::New).unwrap();
    let emergency = Emergency {
        flags: Some(vec!["flag".parse().unwrap()]),
        reason: "r".to_owned(),
        by: "b".to_owned(),
        since: Timestamp::from_millis(0),
        declarations: Vec::new(),
    };
    let declared = Answer { emergency: Some(emergency), ..word(3) };
    isolate.question(2).unwrap();
    isolate.answered(200, &serde_json::to_string(&declared).unwrap(), 2);
    assert_eq!(reason(ask(&isolate, &lines)), Reason::Emergency);
    // A snapshot from before the emergency does not end it; one from after it does.
    isolate.finish_read(3, Ok(Some(with_canary(2, 0).encode().unwrap()))).unwrap();
    assert_eq!(reason(ask(&isolate, &lines)), Reason::Emergency);
    isolate.finish_read(4, Ok(Some(with_canary(4, 0).encode().unwrap()))).unwrap();
    assert_eq!(reason(ask(&isolate, &lines)), Reason::Rollout);
    // An answer can carry the snapshot.
    let off = Answer { snapshot: Some(snapshot(5, 0.0, 0).encode().unwrap()), ..word(5) };
    isolate.question(5).unwrap();
    isolate.answered(200, &serde_json::to_string(&off).unwrap(), 5);
    assert_eq!(
        (ask(&isolate, &lines).arm(), isolate.rules().unwrap().revision()),
        (Arm::Legacy, Revision(5))
    );
}

/// An emergency on one flag.
fn emergency(flag: &str) -> Option<Emergency> {
    let flags = Some(vec![flag.parse().unwrap()]);
    let (reason, by, since) = ("r".to_owned(), "b".to_owned(), Timestamp::from_millis(0));
    Some(Emergency::from(Declaration { flags, reason, by, since }))
}

/// An isolate that reports and holds revision 1, with everybody on the new arm where no emergency holds them.
fn holding_with(emergency: Option<Emergency>) -> Isolate {
    let mut isolate = Isolate::default();
    isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
    isolate.reporting.name("i".to_owned());
    let held = Snapshot { emergency, ..snapshot(1, 100.0, 0) };
    isolate.finish_read(0, Ok(Some(held.encode().unwrap()))).unwrap();
    isolate
}

/// The change that clears an emergency may lower more flags than answers have brakes for.
#[test]
fn an_emergency_is_ended_by_a_snapshot_and_not_by_an_answer() {
    let (flag, other) = (emergency("flag"), emergency("other"));
    for (case, held, told) in [
        ("the snapshot has it", flag.clone(), vec![(3, None)]),
        ("an answer has told it", None, vec![(2, flag.clone()), (3, None)]),
        ("one flag of two was released", None, vec![(2, flag.clone()), (3, other.clone())]),
        ("another flag was released first", flag.clone(), vec![(2, other), (3, None)]),
        ("the answers came in another order", None, vec![(3, None), (2, flag)]),
    ] {
        let mut isolate = holding_with(held);
        let mut now = 0;
        for (revision, emergency) in told {
            now += 1_000;
            ask(&mut isolate, &Answer { emergency, ..word(revision) }, now);
        }
        let decided = |isolate: &Isolate| reason(answer(isolate, REQUEST, now + 1));
        assert_eq!(decided(&isolate), Reason::Emergency, "{case}");
        isolate.finish_read(now, document(3, 100.0)).unwrap();
        assert_eq!(decided(&isolate), Reason::Rollout, "{case}");
    }
}

#[test]
fn an_isolate_without_a_snapshot_says_for_how_long_it_has_been_behind() {
    let mut isolate = Isolate::default();
    isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
    isolate.reporting.name("i".to_owned());
    let behind_ms = |isolate: &mut Isolate, now: i64, answer: &Answer| {
        let question: Question = serde_json::from_str(&isolate.question(now).unwrap()).unwrap();
        isolate.answered(200, &serde_json::to_string(answer).unwrap(), now);
        question.behind_ms
    };
    // Nothing has been published yet.
    assert_eq!(behind_ms(&mut isolate, 0, &word(0)), 0);
    assert_eq!(behind_ms(&mut isolate, 1_000, &word(1)), 0);
    assert_eq!(behind_ms(&mut isolate, 6_000, &word(2)), 5_000);
    // By then the control plane sends a snapshot of any size.
    let brought = Answer { snapshot: document(2, 100.0).unwrap(), ..word(2) };
    assert_eq!(behind_ms(&mut isolate, 61_000, &brought), 60_000);
    assert_eq!(reason(answer(&isolate, REQUEST, 61_001)), Reason::Rollout);
    assert_eq!(behind_ms(&mut isolate, 66_000, &word(2)), 0);
}

#[test]
fn nobody_goes_to_the_new_arm_on_an_old_word() {
    let mut isolate = Isolate::default();
    let settings = Settings::read(|name| (name == "INGEST_URL").then(|| "http://i".to_owned()));
    isolate.configure(settings, 0);
    isolate.reporting.name("ab".repeat(16));
    isolate.finish_read(0, document(1, 100.0)).unwrap();
    assert_eq!(answer(&isolate, REQUEST, 0), PackedDecision::undecided(PackedDecision::ASK));
    isolate.question(0).unwrap();
    assert_eq!(isolate.question(1), None, "one question at a time");
    assert_eq!(
        answer(&isolate, REQUEST, 10),
        PackedDecision::undecided(PackedDecision::ASK),
        "the response is waited for"
    );
    isolate.answered(200, &serde_json::to_string(&word(1)).unwrap(), 20);
    assert_eq!(answer(&isolate, REQUEST, 6_020).arm(), Arm::New);
    assert_eq!(answer(&isolate, REQUEST, 6_021), PackedDecision::undecided(PackedDecision::ASK));
    // A control plane that does not answer moves no user back, and is not waited for again at once.
    isolate.question(6_021).unwrap();
    isolate.answered(0, "", 7_021);
    assert_eq!(answer(&isolate, REQUEST, 7_022).arm(), Arm::New);
    assert_eq!(answer(&isolate, REQUEST, 12_022), PackedDecision::undecided(PackedDecision::ASK));
}

#[test]
fn a_flag_leaves_the_new_arm_when_the_control_plane_is_lost_if_it_says_so_or_a_canary_runs() {
    let label = test_support::label(0, PartsPerMillion::ALL);
    let cases = [
        (None, false, Arm::New),
        (None, true, Arm::Legacy),
        (Some(OnControlLoss::Hold), true, Arm::New),
        (Some(OnControlLoss::Legacy), false, Arm::Legacy),
    ];
    for (choice, canary, expected) in cases {
        let mut snapshot = snapshot(1, 100.0, 0);
        snapshot.flags.values_mut().for_each(|flag| flag.on_control_loss = choice);
        if canary {
            snapshot.canaries.insert("flag".parse().unwrap(), label.clone());
        }
        let mut isolate = Isolate::default();
        isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
        isolate.reporting.name("i".to_owned());
        isolate.finish_read(0, Ok(Some(snapshot.encode().unwrap()))).unwrap();
        let ask = |isolate: &mut Isolate, now: i64, heard: bool| {
            assert!(answer(isolate, REQUEST, now).lacks(PackedDecision::ASK), "{now}");
            isolate.question(now).unwrap();
            let (status, body) =
                if heard { (200, serde_json::to_string(&word(1)).unwrap()) } else { (0, String::new()) };
            isolate.answered(status, &body, now);
        };
        ask(&mut isolate, 0, true);
        ask(&mut isolate, 50_000, false);
        assert_eq!(answer(&isolate, REQUEST, 50_001).arm(), Arm::New, "{choice:?} {canary}");
        (60_000..=110_000).step_by(10_000).for_each(|now| ask(&mut isolate, now, false));
        assert_eq!(answer(&isolate, REQUEST, 110_000).arm(), Arm::New, "{choice:?} {canary}");
        let late = answer(&isolate, REQUEST, 110_002);
        assert_eq!(late.arm(), expected, "{choice:?} {canary}");
        if expected == Arm::Legacy {
            assert_eq!(late.reason(), Reason::Emergency);
        }
        ask(&mut isolate, 120_000, true);
        assert_eq!(
            answer(&isolate, REQUEST, 120_001).arm(),
            Arm::New,
            "it comes back with the control plane"
        );
    }
}

/// An isolate that holds a flag with `on_control_loss: legacy` and everybody on the new arm.
fn leaving_when_lost() -> Isolate {
    let mut snapshot = snapshot(1, 100.0, 0);
    snapshot.flags.values_mut().for_each(|flag| flag.on_control_loss = Some(OnControlLoss::Legacy));
    let mut isolate = Isolate::default();
    isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
    isolate.reporting.name("i".to_owned());
    isolate.finish_read(0, Ok(Some(snapshot.encode().unwrap()))).unwrap();
    isolate
}

/// Asks, and gets no answer.
fn ask_in_vain(isolate: &mut Isolate, now: i64) {
    isolate.question(now).unwrap();
    isolate.answered(0, "", now);
}

/// One question without an answer, and none for a minute: the control plane was not asked, so it was not silent.
#[test]
fn an_isolate_that_slept_has_not_lost_the_control_plane() {
    let mut isolate = leaving_when_lost();
    ask_in_vain(&mut isolate, 0);
    for woken in [70_000, 140_000] {
        ask_in_vain(&mut isolate, woken);
        assert_eq!(answer(&isolate, REQUEST, woken + 1).arm(), Arm::New, "{woken}");
    }
    // Awake and unanswered for as long as it takes.
    (145_000..=200_000).step_by(5_000).for_each(|now| ask_in_vain(&mut isolate, now));
    assert_eq!(answer(&isolate, REQUEST, 200_000).arm(), Arm::New);
    assert_eq!(answer(&isolate, REQUEST, 200_001).arm(), Arm::Legacy);
}

/// Else the users of an isolate with few requests change arms again and again while the control plane is lost.
#[test]
fn a_rest_does_not_end_the_loss_of_the_control_plane() {
    let mut isolate = leaving_when_lost();
    (0..=65_000).step_by(5_000).for_each(|now| ask_in_vain(&mut isolate, now));
    assert_eq!(answer(&isolate, REQUEST, 65_001).arm(), Arm::Legacy);
    for woken in [100_000, 130_000, 1_000_000] {
        ask_in_vain(&mut isolate, woken);
        let turned = answer(&isolate, REQUEST, woken + 1);
        assert_eq!((turned.arm(), turned.reason()), (Arm::Legacy, Reason::Emergency), "{woken}");
    }
    ask(&mut isolate, &word(1), 1_030_000);
    assert_eq!(answer(&isolate, REQUEST, 1_030_001).arm(), Arm::New, "an answer came");
    // The next silence is a loss after a minute of its own.
    ask_in_vain(&mut isolate, 1_060_000);
    assert_eq!(answer(&isolate, REQUEST, 1_060_001).arm(), Arm::New);
}

#[test]
fn nobody_waits_for_a_control_plane_that_did_not_answer_before() {
    let mut isolate = holding(1, 100.0);
    isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
    isolate.reporting.name("i".to_owned());
    let must_wait = |isolate: &Isolate, now| answer(isolate, REQUEST, now).lacks(PackedDecision::ASK);
    isolate.question(0).unwrap();
    assert!(must_wait(&isolate, 1), "the first question is waited for");
    isolate.answered(0, "", 1_000);
    assert!(!must_wait(&isolate, 1_001));
    assert!(must_wait(&isolate, 6_001), "one request asks again");
    isolate.question(6_001).unwrap();
    assert!(!must_wait(&isolate, 6_002), "and the others do not wait for it");
}
