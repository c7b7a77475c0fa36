//! When an isolate reports, asks, and reads KV.

use super::{REQUEST, answer, ask, document, reporting, word};
use crate::{
    isolate::Isolate,
    settings::Settings,
    wire::{OutcomeKind, PackedDecision},
};
use cutover_core::{
    Arm, Reason,
    measurement::{answer::Answer, question::Question},
};

/// Packs the outcome of a request of the new arm.
fn outcome(isolate: &Isolate, status: u32) -> [u32; 7] {
    let reason = (Reason::Rollout as u32) << PackedDecision::REASON_SHIFT;
    let kind = reason
        | PackedDecision::NEW
        | OutcomeKind::tag(isolate.generation()) << OutcomeKind::GENERATION_SHIFT;
    [kind, status << 20 | 5, 7, 1, 103, 0, 0]
}

/// Runs an isolate for five minutes, in which every request has this status, and so many come at once. Returns the instants of
/// its reports.
fn reports(status: u32, at_once: usize) -> Vec<i64> {
    let mut isolate = reporting(0);
    isolate.begin_draws("the same numbers");
    let mut instants = Vec::new();
    for now in (0..300_000).step_by(10) {
        if now % 100 == 0 {
            for _ in 0..at_once {
                isolate.record(&outcome(&isolate, status));
            }
        }
        if isolate.schedule.question_is_due(now, now) {
            ask(&mut isolate, &word(1), now);
        }
        if isolate.schedule.report_is_due(now) {
            instants.push(now);
            // Every third one fails.
            let status = if instants.len() % 3 == 0 { 503 } else { 200 };
            isolate.next_batch(false, 0, now).unwrap();
            let (sequence, body) = (isolate.reporting.sequence(), serde_json::to_string(&word(1)).unwrap());
            isolate.finish_batch(sequence, status, &body, now, || None);
        }
    }
    instants
}

/// Else evidence of errors would come before evidence of successes, and take healthy canaries back.
#[test]
fn when_an_isolate_reports_does_not_depend_on_what_it_counted() {
    let well = reports(200, 1);
    assert!(well.len() > 30, "{well:?}");
    for (status, at_once) in [(404, 1), (503, 1), (1, 1), (200, 50), (503, 50)] {
        assert_eq!(reports(status, at_once), well, "{at_once} of {status}");
    }
}

/// M4: a control plane that refuses for lack of capacity got as many batches again.
#[test]
fn an_isolate_that_is_refused_reports_less_often_and_asks_as_often_as_before() {
    const REFUSED: usize = 7;
    let mut isolate = reporting(0);
    isolate.begin_draws("any numbers");
    let (mut reports, mut questions) = (Vec::new(), Vec::new());
    for now in (0..400_000).step_by(10) {
        if now % 100 == 0 {
            isolate.record(&outcome(&isolate, 200));
        }
        if isolate.schedule.question_is_due(now, now) {
            questions.push(now);
            ask(&mut isolate, &word(1), now);
        }
        if isolate.schedule.report_is_due(now) {
            isolate.next_batch(false, 0, now).unwrap();
            let sequence = isolate.reporting.sequence();
            let (status, body) = match reports.len() {
                refused if refused < REFUSED => ([503, 429][refused % 2], String::new()),
                _ => (200, serde_json::to_string(&word(1)).unwrap()),
            };
            isolate.finish_batch(sequence, status, &body, now, || None);
            reports.push(now);
        }
    }
    let gaps = |instants: &[i64]| -> Vec<i64> { instants.windows(2).map(|pair| pair[1] - pair[0]).collect() };
    let between_reports = gaps(&reports);
    let longest = [10_000, 20_000, 40_000, 60_000, 60_000, 60_000, 60_000, 5_000, 5_000];
    assert!(between_reports.len() >= longest.len(), "{reports:?}");
    for (gap, longest) in between_reports.iter().zip(longest) {
        // The clock of this test goes by 10 ms.
        assert!((longest * 4 / 5..=longest + 10).contains(gap), "{longest}: {between_reports:?}");
    }
    // An answer to a report puts the next question off, and none came before.
    questions.retain(|asked| *asked <= reports[REFUSED]);
    let between_questions = gaps(&questions);
    assert!(between_questions.len() > 40, "{questions:?}");
    assert!(between_questions.iter().all(|gap| (4_000..=4_810).contains(gap)), "{between_questions:?}");
}

fn is_refresh_due(isolate: &Isolate, now: i64) -> bool {
    answer(isolate, REQUEST, now).0 & PackedDecision::REFRESH != 0
}

/// An isolate without users on the new arm, so that no request waits for an answer.
fn on_legacy() -> Isolate {
    let mut isolate = Isolate::default();
    isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
    isolate.reporting.name("ab".repeat(16));
    isolate.finish_read(0, document(1, 0.0)).unwrap();
    isolate
}

/// M5: KV was read every five seconds although each answer confirmed the snapshot.
#[test]
fn an_answer_that_confirms_the_snapshot_saves_a_read_of_kv() {
    let mut isolate = on_legacy();
    for now in (4_800..60_000).step_by(4_800) {
        assert!(!is_refresh_due(&isolate, now), "{now}");
        ask(&mut isolate, &word(1), now);
        assert_eq!(isolate.age_ms(now), Some(0));
    }
    // Without answers it is read as before.
    assert!(!is_refresh_due(&isolate, 64_000) && is_refresh_due(&isolate, 65_000));
    assert!(isolate.begin_read(65_000));
    isolate.finish_read(65_010, document(1, 0.0)).unwrap();
    assert!(!is_refresh_due(&isolate, 70_009) && is_refresh_due(&isolate, 70_010));
}

#[test]
fn an_answer_with_a_newer_revision_has_kv_read_until_it_brings_it() {
    let mut isolate = on_legacy();
    ask(&mut isolate, &word(1), 1_000);
    ask(&mut isolate, &word(2), 2_000);
    assert!(is_refresh_due(&isolate, 2_000) && isolate.begin_read(2_000));
    ask(&mut isolate, &word(2), 2_005);
    isolate.finish_read(2_010, document(1, 0.0)).unwrap();
    assert!(!is_refresh_due(&isolate, 4_009) && is_refresh_due(&isolate, 4_010));
    // The question says for how long KV has been behind.
    let behind = |isolate: &mut Isolate, now| {
        let question: Question = serde_json::from_str(&isolate.question(now).unwrap()).unwrap();
        isolate.answered(200, &serde_json::to_string(&word(2)).unwrap(), now);
        (question.revision.0, question.behind_ms)
    };
    assert_eq!(behind(&mut isolate, 6_000), (1, 4_000));
    assert!(is_refresh_due(&isolate, 6_000), "the same answer once more puts no read off");
    assert!(isolate.begin_read(6_000));
    isolate.finish_read(6_010, document(2, 0.0)).unwrap();
    assert_eq!(behind(&mut isolate, 7_000), (2, 0));
    assert_eq!(answer(&isolate, REQUEST, 7_001).arm(), Arm::Legacy);
}

#[test]
fn an_answer_sets_the_interval_unless_the_environment_does() {
    for (variable, expected) in [(None, 20_000), (Some(200), 200)] {
        let mut isolate = on_legacy();
        isolate.configure(Settings { reports: true, report_interval_ms: variable, ..Settings::default() }, 0);
        ask(&mut isolate, &Answer { interval_ms: 20_000, ..word(1) }, 1);
        assert_eq!(isolate.schedule.interval_ms(), expected);
    }
}
