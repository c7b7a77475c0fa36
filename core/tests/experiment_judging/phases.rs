//! Phases as they are kept: from their first user to their last record.

use super::{
    BEGAN, CONTROL, ERRORS, TREATMENT, arrivals, batch, design, experiment, exposure, outcome, part,
};
use cutover_core::{
    Timestamp,
    experiment::{Conclusion, DEFAULT_CAPACITY, Phase, PhaseIdentity, replay},
};

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
    assert!(
        !matches!(later.judgement.conclusion, Conclusion::Off { .. }),
        "{:?}",
        later.judgement.conclusion
    );
    assert!(phase.conclude(&later));
    assert_eq!(phase.harm.as_deref(), Some(&harm));
    assert!(harm.harm().unwrap().contains("errors") && later.harm().is_none());
}

#[test]
fn a_phase_ends_once_and_is_judged_at_its_end_from_then_on() {
    let mut phase = phase();
    fail(&mut phase, 1, CONTROL, 2);
    let last = phase.end(time(100), "test").unwrap();
    assert_eq!((last.at, phase.end(time(200), "test")), (time(100), None));
    assert_eq!(phase.judged(time(900_000), "test"), last);
    assert!(replay(&[last]).is_empty());
    let stored = serde_json::to_string(&phase).unwrap();
    assert_eq!(serde_json::from_str::<Phase>(&stored).unwrap(), phase);
}
