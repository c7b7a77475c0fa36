//! Phases as they are kept: from their first user to their last record.

use super::{
    BEGAN, CONTROL, ERRORS, PURCHASE, TREATMENT, arrivals, batch, design, experiment, exposure, outcome, part,
};
use cutover_core::{
    Timestamp,
    experiment::{
        Circumstances, Conclusion, DEFAULT_CAPACITY, LATE_MS, Phase, PhaseIdentity, PrimaryFinding, Record,
        ReportGap, Waiting, replay,
    },
};

const DAY_S: i64 = 24 * 60 * 60;

fn time(after_s: i64) -> Timestamp {
    Timestamp::from_millis(1_000 * (BEGAN + after_s))
}

fn phase() -> Phase {
    let identity = PhaseIdentity { experiment: experiment(), phase: 1, began: time(0) };
    Phase::begin(identity, design(&[50, 50]), DEFAULT_CAPACITY)
}

/// Adds users of a variant who all fail.
fn fail(phase: &mut Phase, sequence: u64, variant: u8, users: u64) {
    let hashes = || (0..users).map(|user| 1 + user + 10_000 * sequence);
    let exposures = hashes().map(|user| exposure(user, variant, 0)).collect();
    let outcomes = hashes().map(|user| outcome(user, ERRORS, 1, None)).collect();
    phase.fold(&arrivals(&[batch(1, sequence, part(exposures, outcomes))]), time(60));
}

#[test]
fn the_first_harm_stays_whatever_comes_later() {
    let mut phase = phase();
    fail(&mut phase, 1, TREATMENT, 40);
    let harm = phase.judged(time(60), "test");
    assert!(phase.conclude(&harm) && !phase.conclude(&harm), "a conclusion is new once");
    fail(&mut phase, 2, CONTROL, 400);
    let later = phase.judged(time(70), "test");
    let of_errors = later.judgement.tests.iter().find(|test| test.metric == Some(ERRORS)).unwrap();
    assert!(!of_errors.fires, "the evidence itself is gone");
    assert_eq!(later.judgement.conclusion, Conclusion::Off { variant: TREATMENT, metric: ERRORS });
    assert!(!phase.conclude(&later), "no news");
    assert_eq!(phase.harm.as_deref(), Some(&harm));
    assert!(harm.harm().unwrap().starts_with("the guardrail errors fired: of 40 users"));
    let said = later.harm().unwrap();
    assert!(said.starts_with("the guardrail errors fired before; by now, of 440 users"), "{said}");
    // So its last record names what it was stopped for, and each can be made again.
    let last = phase.end(time(80), time(90), "test").unwrap();
    assert_eq!(last.judgement.conclusion, harm.judgement.conclusion);
    assert!(replay(&[harm, later, last]).is_empty());
}

/// Versions that did not keep conclusions have written phases without them.
#[test]
fn a_conclusion_that_an_earlier_version_reached_holds() {
    let before = |conclusion: Conclusion| {
        let mut phase = phase();
        expose(&mut phase, 1, CONTROL, 500);
        expose(&mut phase, 2, TREATMENT, 500);
        phase.concluded = Some(conclusion);
        phase.circumstances = Circumstances::default();
        phase
    };
    let finding = PrimaryFinding { variant: TREATMENT, metric: PURCHASE, is_better: true };
    for conclusion in [
        Conclusion::Hidden { variant: TREATMENT },
        Conclusion::Ready { findings: vec![finding] },
        Conclusion::NoPracticalDifference,
        Conclusion::Off { variant: TREATMENT, metric: ERRORS },
    ] {
        let mut phase = before(conclusion.clone());
        phase.previous = Some(Box::new(before(conclusion.clone())));
        let mut phase = stored(&phase);
        phase.hold_conclusion();
        let previous = phase.previous.clone().unwrap();
        for phase in [&phase, &*previous] {
            assert_eq!(phase.judged(time(10 * DAY_S), "test").judgement.conclusion, conclusion);
        }
        let held = phase.clone();
        phase.hold_conclusion();
        assert_eq!(phase, held, "once is enough");
    }
    let mut waiting = before(Conclusion::Continue { because: Waiting::TooFew });
    waiting.hold_conclusion();
    assert!(waiting.circumstances.is_nothing());
}

#[test]
fn a_phase_forgets_its_users_once_no_report_of_it_counts() {
    let mut phase = phase();
    fail(&mut phase, 1, CONTROL, 2);
    let figures = phase.evidence.figures().clone();
    let late = Timestamp::from_millis(time(90).millis() + LATE_MS);
    assert!(!phase.forget_users(late), "it is counted");
    phase.end(time(90), time(100), "test").unwrap();
    assert!(!phase.forget_users(time(100)) && phase.evidence.remembered() == 2, "reports may still come");
    assert!(phase.forget_users(late) && !phase.forget_users(late));
    assert_eq!((phase.evidence.remembered(), phase.evidence.remembered_share()), (0, 1.0));
    assert_eq!(*phase.evidence.figures(), figures);
}

#[test]
fn a_phase_ends_once_and_is_judged_at_its_end_from_then_on() {
    let mut phase = phase();
    fail(&mut phase, 1, CONTROL, 2);
    let last = phase.end(time(90), time(100), "test").unwrap();
    assert_eq!((last.at, phase.end(time(190), time(200), "test")), (time(100), None));
    assert_eq!(last.circumstances.ended, Some(time(90)));
    assert_eq!(phase.judged(time(900_000), "test"), last);
    assert!(replay(&[last]).is_empty());
    let stored = serde_json::to_string(&phase).unwrap();
    assert_eq!(serde_json::from_str::<Phase>(&stored).unwrap(), phase);
}

/// Adds exposures of users of a variant, and nothing else.
fn expose(phase: &mut Phase, sequence: u64, variant: u8, users: u64) {
    let hashes = (0..users).map(|user| 1 + user + 10_000 * sequence);
    let exposures = hashes.map(|user| exposure(user, variant, 0)).collect();
    phase.fold(&arrivals(&[batch(1, sequence, part(exposures, Vec::new()))]), time(60));
}

/// Adds 200 users of each variant in one tick, of whom this many convert.
fn convert(phase: &mut Phase, sequence: u64, converted: [u64; 2]) {
    let (mut exposures, mut outcomes) = (Vec::new(), Vec::new());
    for (variant, converted) in [CONTROL, TREATMENT].into_iter().zip(converted) {
        for number in 0..200 {
            let user = 1 + number + 1_000 * u64::from(variant) + 10_000 * sequence;
            exposures.push(exposure(user, variant, 0));
            if number < converted {
                outcomes.push(outcome(user, PURCHASE, 1, None));
            }
        }
    }
    phase.fold(&arrivals(&[batch(1, sequence, part(exposures, outcomes))]), time(60));
}

fn concluded(phase: &mut Phase, records: &mut Vec<Record>, after_s: i64) -> Conclusion {
    let record = phase.judged(time(after_s), "test");
    let conclusion = record.judgement.conclusion.clone();
    if phase.conclude(&record) {
        records.push(record);
    }
    conclusion
}

/// Returns the phase as it is read back.
fn stored(phase: &Phase) -> Phase {
    serde_json::from_str(&serde_json::to_string(phase).unwrap()).unwrap()
}

#[test]
fn results_that_were_hidden_stay_so_when_later_users_make_the_split_look_right() {
    let (mut phase, mut records) = (phase(), Vec::new());
    expose(&mut phase, 1, CONTROL, 1_000);
    expose(&mut phase, 2, TREATMENT, 700);
    let hidden = Conclusion::Hidden { variant: TREATMENT };
    assert_eq!(concluded(&mut phase, &mut records, 60), hidden);
    let mut phase = stored(&phase);
    expose(&mut phase, 3, TREATMENT, 300);
    let diluted = phase.judged(time(10 * DAY_S), "test");
    let split = &diluted.judgement.tests[0];
    assert!(split.evidence < split.fires_at && split.fires, "{split:?}");
    assert_eq!(concluded(&mut phase, &mut records, 10 * DAY_S), hidden);
    assert!(diluted.judgement.is_hidden() && diluted.judgement.effects.is_empty());
    // A guardrail still acts, and the records can be made again, each from itself.
    fail(&mut phase, 4, TREATMENT, 40);
    assert!(matches!(concluded(&mut phase, &mut records, 11 * DAY_S), Conclusion::Off { .. }));
    records.push(phase.judged(time(12 * DAY_S), "test"));
    assert_eq!((records.len(), replay(&records)), (3, Vec::new()));
    records[2].circumstances.reached.misfits.clear();
    let said: Vec<String> = replay(&records).iter().map(ToString::to_string).collect();
    assert!(said.contains(&"record 2: a conclusion that was reached before is lost".to_owned()), "{said:?}");
}

/// Of a look between two ticks there is no record, and what it would show counts nevertheless.
#[test]
fn a_wrong_split_is_noted_with_the_tick_that_shows_it() {
    let mut phase = phase();
    expose(&mut phase, 1, CONTROL, 1_000);
    expose(&mut phase, 2, TREATMENT, 1_000);
    assert!(phase.judged(time(60), "test").judgement.is_hidden(), "after the first of the two");
}

#[test]
fn a_difference_that_was_found_stays_found() {
    let (mut phase, mut records) = (phase(), Vec::new());
    let day = 8 * DAY_S;
    (1..5).for_each(|sequence| convert(&mut phase, sequence, [25, 50]));
    let finding = PrimaryFinding { variant: TREATMENT, metric: PURCHASE, is_better: true };
    let ready = Conclusion::Ready { findings: vec![finding] };
    assert_eq!(concluded(&mut phase, &mut records, day), ready);
    let mut phase = stored(&phase);
    for sequence in 5..9 {
        convert(&mut phase, sequence, [50, 25]);
        let record = phase.judged(time(day + sequence as i64), "test");
        let conclusion = concluded(&mut phase, &mut records, day + sequence as i64);
        assert_eq!(conclusion, ready, "{:?}", record.judgement.tests);
    }
    let last = phase.judged(time(2 * day), "test");
    let of_purchase = |test: &&cutover_core::experiment::TestResult| test.metric == Some(PURCHASE);
    assert!(!last.judgement.tests.iter().find(of_purchase).unwrap().fires, "the evidence itself is gone");
    assert_eq!(records.len(), 1, "one record, however often it is judged");
    records.push(last);
    assert_eq!(replay(&records), Vec::new());
}

/// A user who is seen in another variant is taken out again, so enough events may be too few, and enough.
#[test]
fn a_conclusion_does_not_flap_between_too_few_and_undecided() {
    let mut phase = phase();
    let of = |because| Conclusion::Continue { because };
    let mut record = phase.judged(time(8 * DAY_S), "test");
    let mut news = |because| {
        record.judgement.conclusion = of(because);
        phase.conclude(&record)
    };
    assert!(news(Waiting::TooFew) && news(Waiting::Undecided));
    for because in [Waiting::TooFew, Waiting::Undecided, Waiting::TooFew] {
        assert!(!news(because));
    }
}

/// Exposures of two users of control, of whom the second one came after this many seconds.
fn late(phase: &mut Phase, after_s: u32) {
    let exposures = vec![exposure(501, CONTROL, 80), exposure(502, CONTROL, after_s)];
    let batch = batch(2, 1, part(exposures, vec![outcome(501, PURCHASE, 85, None)]));
    phase.fold_through(&arrivals(&[batch]), time(130), time(120));
}

#[test]
fn reports_of_what_happened_before_the_end_count_after_it() {
    let mut phase = phase();
    fail(&mut phase, 1, CONTROL, 2);
    let first = phase.end(time(90), time(100), "test").unwrap();
    assert!(phase.is_waiting(time(120)) && phase.close(time(120), time(130), "test").is_none());
    let mut phase = stored(&phase);
    late(&mut phase, 91);
    let over = LATE_MS / 1_000 + 90;
    assert!(phase.is_waiting(time(over - 1)) && !phase.is_waiting(time(over)));
    assert_eq!(phase.close(time(over - 1), time(over), "test"), None, "more may come");
    let mut phase = stored(&phase);
    let last = phase.close(time(over), time(over + 1), "test").unwrap();
    let users = |record: &Record| record.figures.running[0].users;
    assert_eq!(
        (users(&first), users(&last)),
        (2, 3),
        "that of the user who came after the end is not one of them"
    );
    assert_eq!(last.figures.running[0].metrics[usize::from(PURCHASE)].with_event, 1);
    assert_eq!((last.at, last.circumstances.ended), (time(over + 1), Some(time(90))));
    assert_eq!(phase.close(time(over), time(over + 2), "test"), None, "one such record");
    assert_eq!(replay(&[first, last]), Vec::new());
}

/// A phase that an earlier version ended, and the records of one.
#[test]
fn what_an_earlier_version_wrote_is_read() {
    let mut phase = phase();
    expose(&mut phase, 1, CONTROL, 3);
    let record = phase.judged(time(60), "test");
    let text = serde_json::to_string(&record).unwrap();
    assert!(!text.contains("circumstances"), "{text}");
    assert_eq!(replay(&[serde_json::from_str(&text).unwrap()]), Vec::new());
    let mut held = serde_json::to_value(&phase).unwrap();
    for new in ["circumstances", "has_late", "previous"] {
        assert_eq!(held.get(new), None, "{new}");
    }
    held["ended"] = serde_json::json!(time(100));
    let mut before: Phase = serde_json::from_value(held).unwrap();
    assert!(!before.is_waiting(time(101)));
    assert_eq!((before.close(time(900), time(900), "test"), before.ended), (None, Some(time(100))));
}

#[test]
fn a_gap_of_the_phase_is_in_its_records() {
    let mut phase = phase();
    let gap = |since, until| ReportGap { since: time(since), until: time(until) };
    assert!(!phase.note_gap(gap(-90, 0)), "before the phase");
    assert!(phase.note_gap(gap(10, 20)) && !phase.note_gap(gap(12, 20)) && phase.note_gap(gap(30, 40)));
    let record = phase.judged(time(60), "test");
    assert_eq!(record.circumstances.gap, Some(gap(10, 40)));
    let expected = format!("the shortest time is not over; {}", gap(10, 40));
    assert!(
        record.says() == expected && expected.ends_with("have expired and are unknown"),
        "{}",
        record.says()
    );
    phase.end(time(90), time(100), "test").unwrap();
    assert!(!phase.note_gap(gap(90, 95)), "after it");
}
