//! The life of a circuit, step by step and at random.

use super::*;
use proptest::prelude::*;

/// The middle of the jitter.
const EXACT: u64 = 20;

fn request(now: i64) -> Candidate {
    Candidate { now, is_repeatable: true, timeout_ms: 1_000, dice: 0 }
}

fn failure(now: i64) -> Failure {
    Failure { now, dice: EXACT, ..Failure::default() }
}

fn opened(now: i64) -> Breaker {
    let mut breaker = Breaker::default();
    (0..FAILURES_IN_A_ROW).for_each(|_| breaker.failed(failure(now)));
    breaker
}

#[test]
fn failures_in_a_row_open_a_circuit_and_one_success_between_them_keeps_it_closed() {
    let mut breaker = Breaker::default();
    for _ in 1..FAILURES_IN_A_ROW {
        breaker.failed(failure(0));
    }
    assert!(breaker.succeeded(false, 0, 0));
    for _ in 1..FAILURES_IN_A_ROW {
        breaker.failed(failure(1));
        assert_eq!(breaker.admit(request(1)), Admission::Send);
    }
    breaker.failed(failure(1));
    assert_eq!(breaker.admit(request(5_000)), Admission::Avoid);
    assert_eq!(breaker.admit(request(5_001)), Admission::Probe);
    // Successes that were counted and not told end a row too.
    let mut breaker = Breaker::default();
    for _ in 0..3 {
        (0..3).for_each(|_| breaker.failed(failure(0)));
        breaker.failed(Failure { successes: 9, ..failure(0) });
    }
    assert!(breaker.is_closed(0));
}

#[test]
fn half_of_twenty_requests_that_fail_open_a_circuit_and_fewer_do_not() {
    for (successes, is_open) in [(1, true), (2, false)] {
        let mut breaker = Breaker::default();
        for second in 0..10 {
            breaker.failed(Failure { successes, ..failure(second * 900) });
        }
        assert_eq!(!breaker.is_closed(8_100), is_open, "{successes}");
    }
    // What is older than the window does not count.
    let mut breaker = Breaker::default();
    for second in 0..60 {
        breaker.failed(Failure { successes: 1, ..failure(second * 2_000) });
    }
    assert!(breaker.is_closed(118_000));
}

#[test]
fn an_origin_that_stays_down_is_tried_less_and_less_often() {
    let mut breaker = opened(0);
    let mut now = 0;
    let mut lengths = Vec::new();
    for _ in 0..8 {
        let begun = now;
        // Late failures of requests under way do not make it longer.
        (0..100).for_each(|_| breaker.failed(failure(now + 1)));
        while breaker.admit(request(now)) == Admission::Avoid {
            now += 500;
        }
        lengths.push((now - begun) / 1_000);
        breaker.failed(Failure { is_probe: true, ..failure(now) });
    }
    assert_eq!(lengths, [5, 10, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn openings_differ_between_isolates() {
    let length = |dice| {
        let mut breaker = Breaker::default();
        (0..FAILURES_IN_A_ROW).for_each(|_| breaker.failed(Failure { dice, ..failure(0) }));
        breaker.open_for_ms(0)
    };
    assert_eq!([length(0), length(20), length(40)], [4_000, 5_000, 6_000]);
}

#[test]
fn three_good_probes_let_a_growing_share_of_the_users_return() {
    let mut breaker = opened(0);
    for probe in 0..GOOD_PROBES {
        assert_eq!(breaker.admit(request(6_000)), Admission::Probe, "{probe}");
        assert_eq!(breaker.admit(request(6_000)), Admission::Avoid, "one at a time");
        assert_eq!(breaker.succeeded(true, 0, 6_000), probe + 1 == GOOD_PROBES);
    }
    let mut share = |now| {
        let mut of = |dice: u64| breaker.admit(Candidate { dice, ..request(now) }) == Admission::Send;
        (0..100).filter(|dice| of(*dice)).count()
    };
    assert_eq!([6_000, 10_999, 11_000, 15_999, 16_000].map(&mut share), [10, 10, 50, 50, 100]);
    assert!(breaker.is_settled(16_000));
    // It begins anew: the openings before are forgotten.
    (0..FAILURES_IN_A_ROW).for_each(|_| breaker.failed(failure(20_000)));
    assert_eq!(breaker.open_for_ms(20_000), 5_000);
}

#[test]
fn a_relapse_while_recovering_is_longer() {
    let mut breaker = opened(0);
    (0..GOOD_PROBES).for_each(|_| {
        assert_eq!(breaker.admit(request(6_000)), Admission::Probe);
        breaker.succeeded(true, 0, 6_000);
    });
    (0..FAILURES_IN_A_ROW).for_each(|_| breaker.failed(failure(7_000)));
    assert_eq!(breaker.open_for_ms(7_000), 10_000);
}

#[test]
fn a_probe_that_does_not_end_gives_up_its_place() {
    let mut breaker = opened(0);
    assert_eq!(breaker.admit(request(6_000)), Admission::Probe);
    assert_eq!(breaker.admit(request(6_999)), Admission::Avoid);
    assert_eq!(breaker.admit(request(7_000)), Admission::Probe);
    breaker.release();
    assert_eq!(breaker.admit(request(7_001)), Admission::Probe);
}

#[test]
fn a_request_that_cannot_be_repeated_is_a_probe_only_if_no_other_comes() {
    let mut breaker = opened(0);
    let order = |now| Candidate { is_repeatable: false, ..request(now) };
    assert_eq!(breaker.admit(order(5_000)), Admission::Avoid);
    assert_eq!(breaker.admit(order(9_999)), Admission::Avoid);
    assert_eq!(breaker.admit(order(10_000)), Admission::Probe);
    // One that could be repeated begins these seconds anew.
    let mut breaker = opened(0);
    assert_eq!(breaker.admit(request(9_000)), Admission::Probe);
    breaker.succeeded(true, 0, 9_100);
    assert_eq!(
        [10_000, 13_999, 14_000].map(|now| breaker.admit(order(now))),
        [Admission::Avoid, Admission::Avoid, Admission::Probe]
    );
}

#[test]
fn a_response_to_a_request_of_before_says_nothing_about_after() {
    let mut breaker = opened(0);
    assert!(!breaker.succeeded(false, 0, 1_000), "it was begun before");
    assert!(!breaker.succeeded(false, 0, 6_000), "it is no probe");
    breaker.failed(failure(6_000));
    assert_eq!(breaker.circuit(6_000), Circuit::HalfOpen);
}

#[test]
fn a_half_open_circuit_that_nobody_tries_closes_after_a_minute() {
    let mut breaker = opened(0);
    assert_eq!(breaker.circuit(64_999), Circuit::HalfOpen);
    assert!(breaker.is_settled(65_000), "nothing is left of it");
    // Each probe begins the minute anew, and the time that it has is its own.
    assert_eq!(breaker.admit(request(60_000)), Admission::Probe);
    assert_eq!([120_999, 121_000].map(|now| breaker.circuit(now)), [Circuit::HalfOpen, Circuit::Closed]);
    // Another failing row opens it for the first time.
    (0..FAILURES_IN_A_ROW).for_each(|_| breaker.failed(failure(130_000)));
    assert_eq!(breaker.open_for_ms(130_000), 5_000);
}

#[test]
fn what_others_tell_opens_a_circuit_and_ends_in_a_probe() {
    let mut breaker = Breaker::default();
    breaker.open_by_word(7_000, 1_000, 0);
    assert_eq!((breaker.open_for_ms(1_000), breaker.own_open_for_ms(1_000)), (7_000, None));
    // The ends are spread over the time between two questions.
    let mut spread = Breaker::default();
    spread.open_by_word(7_000, 1_000, 4_999);
    assert_eq!(spread.open_for_ms(1_000), 11_999);
    // The word may be renewed, for 15 s in all, and one that is shorter changes nothing.
    breaker.open_by_word(300_000, 2_000, 0);
    assert_eq!(breaker.open_for_ms(2_000), 14_000);
    breaker.open_by_word(1_000, 15_000, 0);
    assert_eq!(breaker.open_for_ms(15_000), 1_000);
    // Then the isolate looks for itself, whatever it is told meanwhile.
    breaker.open_by_word(300_000, 16_000, 0);
    assert_eq!(breaker.admit(request(16_000)), Admission::Probe);
    (0..GOOD_PROBES).for_each(|_| _ = breaker.succeeded(true, 0, 16_000));
    breaker.open_by_word(300_000, 16_001, 0);
    assert_eq!(breaker.circuit(16_001), Circuit::Recovering);
}

#[test]
fn an_own_opening_lasts_as_long_as_the_own_results_say() {
    let mut breaker = opened(1_000);
    breaker.open_by_word(15_000, 1_000, 0);
    assert_eq!(breaker.own_open_for_ms(1_000), Some(5_000));
    assert_eq!(breaker.own_open_for_ms(6_000), Some(0), "up to a good probe");
    (0..GOOD_PROBES).for_each(|_| _ = breaker.succeeded(true, 0, 6_000));
    assert_eq!(breaker.own_open_for_ms(6_000), None);
}

#[test]
fn retries_end_after_half_of_the_budget_and_begin_again_with_successes() {
    let mut breaker = Breaker::default();
    let granted: Vec<bool> = (0..FAILURES_IN_A_ROW)
        .map(|_| {
            breaker.failed(failure(0));
            breaker.has_budget()
        })
        .collect();
    assert_eq!(granted, [true, true, true, true, false]);
    breaker.succeeded(false, 8, 0);
    assert!(breaker.has_budget());
}

proptest! {
    /// Whatever happens, in whatever order: a half-open circuit has one probe under way, and one that never closes gets
    /// no more probes than the doubling of its openings allows.
    #[test]
    fn a_dead_origin_gets_one_probe_at_a_time_and_few_in_all(
        steps in prop::collection::vec((0_i64..400, any::<u64>(), any::<bool>()), 1..400)
    ) {
        let mut breaker = opened(0);
        let (mut now, mut probes, mut under_way) = (0, 0_u32, None::<i64>);
        for (pause, dice, ends) in steps {
            now += pause;
            let admitted = breaker.admit(Candidate { dice, ..request(now) });
            prop_assert_ne!(admitted, Admission::Send);
            if admitted == Admission::Probe {
                prop_assert!(under_way.is_none_or(|until| now >= until));
                (under_way, probes) = (Some(now + 1_000), probes + 1);
            }
            if ends && under_way.take().is_some() {
                breaker.failed(Failure { now, is_probe: true, dice, ..Failure::default() });
            }
        }
        // Each probe has its place for a second at least, or opens the circuit for four.
        prop_assert!(i64::from(probes) <= 1 + now / 1_000, "{probes} in {now} ms");
    }

    /// A circuit of an origin that is well again closes, whatever was before.
    #[test]
    fn an_origin_that_is_well_gets_everything_again(
        steps in prop::collection::vec((0_i64..3_000, any::<u64>(), 0_u32..4), 0..200)
    ) {
        let mut breaker = Breaker::default();
        let mut now = 0;
        for (pause, dice, kind) in steps {
            now += pause;
            let is_probe = breaker.admit(Candidate { dice, ..request(now) }) == Admission::Probe;
            match kind {
                0 => { breaker.succeeded(is_probe, 0, now); }
                1 => breaker.open_by_word(20_000, now, dice),
                2 if is_probe => breaker.release(),
                _ => breaker.failed(Failure { now, is_probe, successes: 0, dice }),
            }
        }
        now += breaker.open_for_ms(now) + 1_000;
        for _ in 0..GOOD_PROBES {
            let is_probe = breaker.admit(request(now)) == Admission::Probe;
            breaker.succeeded(is_probe, 0, now);
        }
        prop_assert!(breaker.is_closed(now + 2 * HALF_MS));
        prop_assert_eq!(breaker.admit(Candidate { dice: 99, ..request(now + 2 * HALF_MS) }), Admission::Send);
    }
}
