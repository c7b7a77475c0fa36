//! Properties of rate limits.

use super::{Answer, CompiledLimit, Held, Key, KeyPart, LEASE_MS, Left, LimitPolicy, Rate, Standing, Taken};
use crate::request::{
    facts::Facts,
    identity::{Source, User},
};
use proptest::prelude::*;

/// Returns a compiled policy of requests in a minute.
fn limit(requests: u32, more: &str) -> CompiledLimit {
    let text = format!(r#"{{"key":["user"],"requests":{requests},"period_seconds":60{more}}}"#);
    let policy: LimitPolicy = serde_json::from_str(&text).unwrap();
    CompiledLimit::new(&"per_user".parse().unwrap(), &policy)
}

proptest! {
    /// The promise of the algorithm, for every pair of requests: between them no more is admitted than the burst and the
    /// tokens of that time.
    #[test]
    fn no_window_has_more_than_the_burst_and_the_tokens_of_its_time(
        interval in 1_u64..5_000_000,
        burst in 1_u32..50,
        steps in proptest::collection::vec((0_u64..20_000_000, 0_u32..60), 1..80),
    ) {
        let rate = Rate::new(interval, burst);
        let (mut tat, mut now) = (0, 1_700_000_000_000_000);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (pause, wanted) in steps {
            now += pause;
            let taken = rate.take(tat, now, wanted);
            prop_assert!(taken.granted <= wanted && taken.granted + taken.remaining <= burst);
            prop_assert!(taken.tat >= tat, "time is never given back");
            tat = taken.tat;
            admitted.push((now, u64::from(taken.granted)));
        }
        for (first, (begin, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (end, granted) in &admitted[first..] {
                sum += granted;
                prop_assert!(sum <= u64::from(burst) + (end - begin) / interval, "{sum} in {} µs", end - begin);
            }
        }
    }

    /// A client that waits exactly as long as it is told is admitted, and one that waits a microsecond less is not.
    #[test]
    fn the_time_to_wait_is_exact(
        interval in 1_u64..100_000_000,
        burst in 1_u32..1_000,
        ahead in 0_u64..1_000_000_000,
        now in 1_600_000_000_000_000_u64..1_900_000_000_000_000,
    ) {
        let rate = Rate::new(interval, burst);
        let taken = rate.take(now + ahead, now, u32::MAX);
        prop_assert_eq!(taken.remaining, 0);
        prop_assert!(taken.retry_us > 0 && taken.retry_us <= interval);
        prop_assert_eq!(rate.take(taken.tat, now + taken.retry_us, 1).granted, 1);
        prop_assert_eq!(rate.take(taken.tat, now + taken.retry_us - 1, 1).granted, 0);
        let whole = rate.take(taken.tat, now + taken.reset_us, 0);
        prop_assert_eq!((whole.remaining, whole.reset_us), (burst, 0));
    }

    #[test]
    fn extreme_values_overflow_nothing(tat: u64, now: u64, wanted: u32, interval: u64, burst: u32) {
        let rate = Rate::new(interval, burst);
        for (tat, now) in [(tat, now), (0, now), (u64::MAX, now), (tat, 0), (tat, u64::MAX), (u64::MAX, u64::MAX)] {
            let taken = rate.take(tat, now, wanted);
            prop_assert!(taken.granted <= wanted.min(rate.burst()));
            prop_assert!(taken.retry_us <= rate.interval_us());
        }
    }

    /// Several isolates borrow from one limit, at any times and rates, and answers take their time: what they spend between
    /// any two instants is the burst at most, and the tokens of that time and of the second for which leases hold.
    #[test]
    fn leases_never_admit_more_than_the_limit(
        requests in 20_u32..400,
        steps in proptest::collection::vec((0_usize..4, 0_i64..400, 0_i64..900), 1..300),
    ) {
        let limit = limit(requests, "");
        let mut isolates = [Held::default(); 4];
        let mut under_way: Vec<(i64, i64, usize, Answer)> = Vec::new();
        let (mut tat, mut now) = (0, 1_700_000_000_000);
        let mut spent: Vec<i64> = Vec::new();
        for (isolate, pause, delay) in steps {
            now += pause;
            for (due, asked_at, isolate, answer) in under_way.extract_if(.., |(due, ..)| *due <= now) {
                // Requests wait for 25 ms. The tokens of those that have given up are for others.
                let is_awaited = due - asked_at < 25;
                isolates[isolate].answered(answer, asked_at, is_awaited, now);
                spent.extend((is_awaited && answer.granted > 0).then_some(due));
            }
            let held = &mut isolates[isolate];
            held.note(now);
            match held.standing(now) {
                Standing::Token => {
                    held.spend();
                    spent.push(now);
                }
                Standing::Refused(ms) => prop_assert!(ms > 0),
                Standing::Unknown => {
                    let wanted = held.wanted(&limit, now);
                    prop_assert!((1..=limit.most_lent).contains(&wanted));
                    let taken = limit.rate.take(tat, now.unsigned_abs() * 1_000, wanted);
                    tat = taken.tat;
                    let Taken { granted, remaining, reset_us, retry_us, .. } = taken;
                    let answer = Answer { granted, remaining: Some(remaining), reset_us, retry_us };
                    under_way.push((now + delay, now, isolate, answer));
                }
            }
        }
        spent.sort_unstable();
        for (first, begin) in spent.iter().enumerate() {
            for (count, end) in (1_u64..).zip(&spent[first..]) {
                let us = ((end - begin).unsigned_abs() + LEASE_MS.unsigned_abs()) * 1_000;
                let most = u64::from(requests) + us / limit.rate.interval_us();
                prop_assert!(count <= most, "{count} in {} ms, {most} at most", end - begin);
            }
        }
    }

    #[test]
    fn arbitrary_keys_are_no_reason_to_panic(part in "\\PC*", address in "\\PC*|[0-9a-f:.]*") {
        if let Ok(part) = part.parse::<KeyPart>() {
            prop_assert_eq!(part.to_string().parse::<KeyPart>(), Ok(part));
        }
        Key::of(&[KeyPart::Ip], None, &Facts { ip: Some(&address), ..Facts::default() });
    }
}

/// A token at a time, as an isolate with 100 requests in a second asks for them.
#[test]
fn a_lease_saves_nine_of_ten_questions() {
    let limit = limit(60_000, "");
    let mut held = Held::default();
    let (mut asked, mut tat) = (0, 0);
    for request in 0..1_000_u32 {
        let now = 1_700_000_000_000 + i64::from(request) * 10;
        held.note(now);
        if held.standing(now) == Standing::Token {
            held.spend();
            continue;
        }
        asked += 1;
        let taken = limit.rate.take(tat, now.unsigned_abs() * 1_000, held.wanted(&limit, now));
        tat = taken.tat;
        let answer = Answer { granted: taken.granted, remaining: None, reset_us: 0, retry_us: 0 };
        held.answered(answer, now, true, now);
    }
    assert!((90..=130).contains(&asked), "{asked} questions for 1 000 requests");
}

#[test]
fn small_limits_and_exact_ones_lend_nothing() {
    assert_eq!(limit(19, "").most_lent, 1);
    assert_eq!(limit(20, "").most_lent, 1);
    assert_eq!(limit(100, "").most_lent, 5);
    assert_eq!(limit(100, r#","mode":"exact""#).most_lent, 1);
    assert_eq!(limit(100, r#","burst":19"#).most_lent, 1);
    assert_eq!(limit(100, r#","scope":"location","binding":"LIMIT_A""#).most_lent, 1);
    assert_eq!(limit(100, "").item, r#""per_user";q=100;w=60"#);
    assert_eq!(limit(100, r#","burst":20"#).item, r#""per_user";q=20;w=12"#);
}

#[test]
fn the_window_is_that_of_the_policy_where_the_interval_is_rounded() {
    assert_eq!(limit(7, "").item, r#""per_user";q=7;w=60"#);
    assert_eq!(limit(7, r#","burst":3"#).item, r#""per_user";q=3;w=26"#);
    assert_eq!(limit(7_919, r#","burst":7919"#).window_seconds, 60);
    assert_eq!(limit(1, r#","burst":525600"#).window_seconds, 31_536_000);
}

/// Browsers send preflights without the user, so all of an address would share one key.
#[test]
fn preflights_are_counted_by_limits_of_addresses_only() {
    let by_user = limit(10, "");
    assert!(by_user.counts("GET") && !by_user.counts("OPTIONS"));
    let text = r#"{"key":["ip"],"requests":10,"period_seconds":60}"#;
    let policy: LimitPolicy = serde_json::from_str(text).unwrap();
    assert!(CompiledLimit::new(&"per_address".parse().unwrap(), &policy).counts("OPTIONS"));
}

#[test]
fn tokens_that_are_not_spent_are_lost_a_second_after_the_question() {
    let mut held = Held::default();
    let answer = Answer { granted: 3, remaining: Some(50), reset_us: 9_000_000, retry_us: 0 };
    held.answered(answer, 4_980, true, 5_000);
    assert_eq!(held.left(5_000), Some(Left { tokens: 52, ms: 9_000 }));
    held.spend();
    assert_eq!(held.standing(5_979), Standing::Token);
    assert_eq!(held.left(5_979), Some(Left { tokens: 51, ms: 8_021 }));
    assert_eq!(held.standing(5_980), Standing::Unknown);
    held.answered(Answer { granted: 1, ..answer }, 6_995, true, 7_000);
    held.put_back(7_000);
    assert_eq!(held.left(7_000), Some(Left { tokens: 51, ms: 9_000 }), "not the lost one");
    assert_eq!(held.standing(7_995), Standing::Unknown);
    // The request that asked has given up, so its token is for the others too.
    let mut late = Held::default();
    late.answered(Answer { granted: 1, remaining: Some(0), reset_us: 0, retry_us: 0 }, 5_000, false, 5_000);
    assert_eq!(late.standing(5_000), Standing::Token);
}

#[test]
fn a_later_answer_does_not_renew_what_is_kept() {
    let mut held = Held::default();
    let answer = Answer { granted: 3, remaining: Some(50), reset_us: 0, retry_us: 0 };
    held.answered(answer, 5_000, true, 5_000);
    held.answered(answer, 5_900, true, 5_900);
    held.put_back(5_900);
    assert_eq!(held.standing(5_999), Standing::Token);
    assert_eq!(held.standing(6_000), Standing::Unknown);
}

#[test]
fn a_refusal_is_remembered_until_a_token_can_be_had() {
    let mut held = Held::default();
    let answer = Answer { granted: 0, remaining: Some(0), reset_us: 0, retry_us: 1_500_001 };
    held.answered(answer, 5_000, true, 5_000);
    assert_eq!(held.standing(5_000), Standing::Refused(1_501));
    assert_eq!(held.standing(6_500), Standing::Refused(1));
    assert_eq!(held.standing(6_501), Standing::Unknown);
    // An answer with the last tokens tells it too.
    let mut last = Held::default();
    last.answered(Answer { granted: 2, ..answer }, 5_000, true, 5_000);
    assert_eq!(last.standing(5_000), Standing::Token, "a token that came admits");
    last.spend();
    assert_eq!(last.standing(5_000), Standing::Refused(1_501));
}

#[test]
fn the_own_count_of_an_isolate_has_the_whole_limit() {
    let limit = limit(3, "");
    let mut held = Held::default();
    for remaining in [2, 1, 0] {
        assert_eq!(held.take_own(&limit, 1_000).remaining, remaining);
    }
    let refused = held.own(&limit, 1_000, 1);
    assert_eq!((refused.granted, refused.retry_us), (0, 20_000_000));
    assert_eq!(held.take_own(&limit, 21_000).granted, 1);
}

#[test]
fn a_part_that_a_request_lacks_is_its_address() {
    let parts = |text: &str| -> Vec<KeyPart> { text.split(' ').map(|part| part.parse().unwrap()).collect() };
    let key = |text: &str, user: Option<&str>, ip, headers: &[(&str, &str)]| {
        let facts = Facts { ip, headers, ..Facts::default() };
        let user = user.map(|id| User { source: &Source::Jwt, id });
        Key::of(&parts(text), user, &facts).as_str().to_owned()
    };
    let v4 = Some("192.0.2.7");
    assert_eq!(key("user", Some("ann"), v4, &[]), "u:jwt:ann");
    assert_eq!(key("user", None, v4, &[]), "i:192.0.2.7");
    assert_eq!(key("user", Some(""), v4, &[]), "i:192.0.2.7");
    assert_eq!(key("header:X-Key", None, v4, &[("x-key", "k")]), "h:k");
    assert_eq!(key("header:x-key user", Some("ann"), v4, &[]), "i:192.0.2.7\u{1f}u:jwt:ann");
    assert_eq!(key("claim:org.id", None, v4, &[(":claim:org.id", "7")]), "c:7");
    // A header of the same name is not the claim, nor is a user with the address of another one.
    assert_eq!(key("claim:org.id", None, v4, &[("org.id", "7")]), "i:192.0.2.7");
    assert_eq!(key("user", Some("192.0.2.7"), v4, &[]), "u:jwt:192.0.2.7");
    let one = key("ip", None, Some("2001:db8:1:2:3:4:5:6"), &[]);
    assert_eq!(one, "i:2001:db8:1:2::");
    assert_eq!(one, key("ip", None, Some("2001:DB8:1:2::"), &[]));
    assert_ne!(one, key("ip", None, Some("2001:db8:1:3::"), &[]));
    assert_eq!(key("ip", None, Some("::ffff:192.0.2.7"), &[]), "i:192.0.2.7");
    assert_eq!(key("ip", None, None, &[]), key("ip", None, Some("unknown"), &[]));
    let header = Source::Header("x-user-id".into());
    let user = User { source: &header, id: "ann" };
    let forged = Key::of(&parts("user"), Some(user), &Facts::default());
    assert_eq!(forged.as_str(), "u:header:x-user-id:ann", "not the quota of whom a token names");
    let hash = |seed| forged.hash(seed);
    assert_ne!(hash(1), hash(2));
    for bad in ["", "users", "header:", "header:a b", "header:Cookie", "claim:", "claim:a b", "ip:1"] {
        assert!(bad.parse::<KeyPart>().is_err(), "{bad}");
    }
}
