//! Epochs: after a restore from a backup, revisions count on below those that isolates hold.

use super::{REQUEST, answer, ask, snapshot, word};
use crate::{isolate::Isolate, settings::Settings};
use cutover_core::{
    Arm, DeploymentId, Emergency, Epoch, PartsPerMillion, Reason, Snapshot, Timestamp,
    measurement::{
        answer::{Answer, Brake},
        question::Question,
    },
    vocabulary::revision::Revision,
};

/// The second of the restore, and a time shortly after it in milliseconds since 1970.
const RESTORED: u64 = 1_767_225_600;
const NOW: i64 = 1_767_225_601_000;

fn deployment(name: &str) -> Option<DeploymentId> {
    Some(name.parse().unwrap())
}

fn document(epoch: u64, revision: u64, percent: f64) -> Snapshot {
    Snapshot { epoch: Epoch(epoch), deployment: deployment("own"), ..snapshot(revision, percent, 0) }
}

fn read(isolate: &mut Isolate, document: &Snapshot, now: i64) -> Result<(), String> {
    let read = isolate.finish_read(now, Ok(Some(document.encode().unwrap())));
    read.map_err(|refusal| refusal.to_string())
}

/// The answer of a control plane that is at a revision of an epoch.
fn told(epoch: u64, revision: u64) -> Answer {
    Answer { epoch: Epoch(epoch), deployment: deployment("own"), ..word(revision) }
}

fn emergency() -> Option<Emergency> {
    let (reason, by) = ("drill".to_owned(), "operator".to_owned());
    Some(Emergency { flags: None, reason, by, since: Timestamp::from_millis(0), declarations: Vec::new() })
}

/// An isolate that reports and holds a revision, in which everybody is on the new arm.
fn holding(epoch: u64, revision: u64) -> Isolate {
    let mut isolate = Isolate::default();
    isolate.configure(Settings { reports: true, ..Settings::default() }, NOW);
    isolate.reporting.name("ab".repeat(16));
    read(&mut isolate, &document(epoch, revision, 100.0), NOW).unwrap();
    ask(&mut isolate, &told(epoch, revision), NOW);
    isolate
}

fn decided(isolate: &Isolate, now: i64) -> (Arm, Reason) {
    let answer = answer(isolate, REQUEST, now);
    (answer.arm(), answer.reason())
}

const ON_NEW: (Arm, Reason) = (Arm::New, Reason::Rollout);
const IN_EMERGENCY: (Arm, Reason) = (Arm::Legacy, Reason::Emergency);

#[test]
fn a_later_epoch_is_followed_whatever_its_revision() {
    let mut isolate = holding(0, 500);
    // In the same epoch an older revision is refused, and its emergency is not heard.
    assert!(read(&mut isolate, &document(0, 481, 0.0), NOW).is_err());
    read(&mut isolate, &document(RESTORED, 481, 0.0), NOW).unwrap();
    assert_eq!(decided(&isolate, NOW + 1), (Arm::Legacy, Reason::Rollout));
    let refused = read(&mut isolate, &document(0, 501, 100.0), NOW).unwrap_err();
    assert!(
        refused.contains("revision 501 was refused because revision 481e1767225600 is held"),
        "{refused}"
    );
    let question: Question = serde_json::from_str(&isolate.question(NOW + 2).unwrap()).unwrap();
    assert_eq!(
        (question.stamp().to_string().as_str(), question.deployment),
        ("481e1767225600", deployment("own"))
    );
}

#[test]
fn an_emergency_of_a_later_epoch_holds_before_its_snapshot_comes() {
    let mut isolate = holding(0, 500);
    ask(&mut isolate, &Answer { emergency: emergency(), ..told(RESTORED, 482) }, NOW + 1);
    assert_eq!(decided(&isolate, NOW + 2), IN_EMERGENCY);
    // It is ended by the snapshot of a later revision, and not by an answer.
    ask(&mut isolate, &told(RESTORED, 483), NOW + 3);
    assert_eq!(decided(&isolate, NOW + 4), IN_EMERGENCY);
    read(&mut isolate, &document(RESTORED, 483, 100.0), NOW + 4).unwrap();
    assert_eq!(decided(&isolate, NOW + 4), ON_NEW);
    let brake = Brake {
        revision: Revision(484),
        flag: "flag".parse().unwrap(),
        enabled: false,
        rollout: PartsPerMillion::ALL,
    };
    ask(&mut isolate, &Answer { brakes: vec![brake], ..told(RESTORED, 484) }, NOW + 5);
    assert_eq!(decided(&isolate, NOW + 6), (Arm::Legacy, Reason::Braked));
    read(&mut isolate, &document(RESTORED, 484, 100.0), NOW + 7).unwrap();
    assert_eq!(decided(&isolate, NOW + 8), ON_NEW);
}

/// A document with a high epoch, put into KV by whoever has its token, must not deafen isolates to the control plane.
#[test]
fn emergencies_and_brakes_of_any_epoch_are_obeyed_and_ended_by_the_highest() {
    let mut isolate = holding(RESTORED, 7);
    ask(&mut isolate, &Answer { emergency: emergency(), ..told(0, 501) }, NOW + 1);
    assert_eq!(decided(&isolate, NOW + 2), IN_EMERGENCY);
    // Neither an answer of the lower epoch ends it, nor a document.
    ask(&mut isolate, &told(0, 502), NOW + 3);
    read(&mut isolate, &document(RESTORED, 8, 100.0), NOW + 4).unwrap();
    assert_eq!(decided(&isolate, NOW + 5), IN_EMERGENCY);
    ask(&mut isolate, &told(RESTORED, 8), NOW + 6);
    assert_eq!(decided(&isolate, NOW + 7), ON_NEW);
    let (flag, rollout) = ("flag".parse().unwrap(), PartsPerMillion::ALL);
    let brake = Brake { revision: Revision(3), flag, enabled: false, rollout };
    ask(&mut isolate, &Answer { brakes: vec![brake], ..told(0, 503) }, NOW + 8);
    assert_eq!(decided(&isolate, NOW + 9), (Arm::Legacy, Reason::Braked));
    ask(&mut isolate, &told(RESTORED, 8), NOW + 10);
    assert_eq!(decided(&isolate, NOW + 11), ON_NEW);
}

/// Brakes of one epoch never reach back to a revision of another, which the answer says.
#[test]
fn a_late_answer_of_the_time_before_a_restore_lowers_no_flag_that_it_does_not_name() {
    let mut isolate = holding(RESTORED, 7);
    let late = Answer { brakes_after: Some(Revision(501)), ..told(0, 501) };
    ask(&mut isolate, &late, NOW + 1);
    assert_eq!(decided(&isolate, NOW + 2), ON_NEW);
}

#[test]
fn an_epoch_of_the_far_future_is_not_followed() {
    let far = RESTORED + 2 * 24 * 60 * 60;
    let mut isolate = holding(0, 500);
    let refused = read(&mut isolate, &document(far, 1, 0.0), NOW).unwrap_err();
    assert!(refused.contains("more than a day ahead"), "{refused}");
    let snapshot = Some(document(far, 1, 0.0).encode().unwrap());
    ask(&mut isolate, &Answer { snapshot, ..told(far, 1) }, NOW + 1);
    assert_eq!(decided(&isolate, NOW + 2), ON_NEW);
    // Its emergency can only make traffic legacy. The next answer of a right epoch ends it, with its snapshot.
    ask(&mut isolate, &Answer { emergency: emergency(), ..told(far, 2) }, NOW + 3);
    assert_eq!(decided(&isolate, NOW + 4), IN_EMERGENCY);
    ask(&mut isolate, &told(RESTORED, 1), NOW + 5);
    assert_eq!(decided(&isolate, NOW + 6), IN_EMERGENCY);
    read(&mut isolate, &document(RESTORED, 1, 100.0), NOW + 7).unwrap();
    assert_eq!(decided(&isolate, NOW + 8), ON_NEW);
}

#[test]
fn the_word_of_another_deployment_is_never_accepted() {
    let mut isolate = holding(0, 7);
    let foreign = Snapshot { deployment: deployment("staging"), ..document(0, 9, 0.0) };
    let refused = read(&mut isolate, &foreign, NOW).unwrap_err();
    assert!(refused.contains("another deployment, staging"), "{refused}");
    let failures = isolate.reporting.failures;
    let foreign = Answer { deployment: deployment("staging"), emergency: emergency(), ..told(0, 9) };
    ask(&mut isolate, &foreign, NOW + 1);
    assert_eq!(decided(&isolate, NOW + 2), ON_NEW);
    assert_eq!(isolate.reporting.failures, failures + 1, "the isolate's own control plane has not answered");
    let body = serde_json::to_string(&foreign).unwrap();
    assert!(!isolate.finish_batch(1, 200, &body, NOW + 3, || None));
    // None is named to a question that named it, and by a version that knows none.
    ask(&mut isolate, &Answer { deployment: None, emergency: emergency(), ..told(0, 9) }, NOW + 4);
    assert_eq!(decided(&isolate, NOW + 5), IN_EMERGENCY);
}
