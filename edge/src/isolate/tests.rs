use super::*;
use cutover_core::{
    Flag, Origin, PartsPerMillion, Route,
    condition::{Condition, Operator},
    decide::Arm,
    identity::default_sources,
    route::Matcher,
};

fn snapshot(revision: u64, percent: f64, headers: usize) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(revision), ..Snapshot::default() };
    for name in ["legacy", "new"] {
        let origin = Origin { url: format!("http://{name}.internal/"), timeout_ms: 1_000 };
        snapshot.origins.insert(name.parse().unwrap(), origin);
    }
    let conditions = (0..headers)
        .map(|at| Condition::Attribute {
            name: format!("header:x-{at}").parse().unwrap(),
            op: Operator::Equals,
            values: vec!["1".to_owned()],
        })
        .collect();
    let rollout_percentage = PartsPerMillion::from_percent(percent).unwrap();
    let flag = Flag { enabled: true, rollout_percentage, conditions, ..Flag::default() };
    snapshot.flags.insert("flag".parse().unwrap(), flag);
    snapshot.routes.push(Route {
        id: "route".parse().unwrap(),
        matcher: Matcher { methods: vec!["GET".to_owned()], path: "/api/{*rest}".to_owned() },
        flag: "flag".parse().unwrap(),
        legacy: "legacy".parse().unwrap(),
        new: "new".parse().unwrap(),
        identity: default_sources(),
    });
    snapshot
}

fn document(revision: u64, percent: f64) -> Result<Option<String>, String> {
    Ok(Some(snapshot(revision, percent, 0).encode().unwrap()))
}

fn holding(revision: u64, percent: f64) -> Isolate {
    let mut isolate = Isolate::default();
    assert!(isolate.begin_read(0));
    isolate.finish_read(0, document(revision, percent)).unwrap();
    isolate
}

fn answer(isolate: &Isolate, lines: &str, now: i64) -> Answer {
    isolate.decide(&Packed::new(lines), now, isolate.generation(), || None).0
}

fn reason(answer: Answer) -> Reason {
    Reason::ALL[(answer.0 >> 12 & 15) as usize]
}

const REQUEST: &str = "GET\nhttps://api.example.com/api/x\n\0\nu1";

#[test]
fn without_a_snapshot_legacy_answers_and_the_isolate_asks_for_one() {
    let isolate = Isolate::default();
    let answer = answer(&isolate, REQUEST, 0);
    assert_eq!(answer.0 & Answer::NO_ORIGIN, Answer::NO_ORIGIN);
    assert_eq!((reason(answer), answer.arm()), (Reason::NoSnapshot, Arm::Legacy));
    assert_ne!(answer.0 & Answer::BOOT, 0);
}

#[test]
fn a_table_of_another_generation_is_read_again() {
    let isolate = holding(1, 100.0);
    let (answer, _) = isolate.decide(&Packed::new(REQUEST), 0, isolate.generation() + 1, || None);
    assert_eq!(answer, Answer(Answer::TABLE));
}

#[test]
fn refused_documents_leave_what_is_held() {
    let mut isolate = holding(5, 100.0);
    let damaged = document(6, 0.0).unwrap().map(|text| text.replace("\"enabled\":true", "\"enabled\":null"));
    let mut foreign = snapshot(7, 0.0, 0);
    foreign.routes[0].new = "nowhere".parse().unwrap();
    let cases = [
        (document(4, 0.0), "revision 4 was refused because revision 5 is held"),
        (Ok(damaged), "the hash does not fit the body"),
        (Ok(Some("{}".to_owned())), "not a snapshot document"),
        (Ok(Some(String::new())), "not a snapshot document"),
        (Ok(None), "no snapshot has been published"),
        (Err("KV is down".to_owned()), "KV is down"),
        (Ok(Some(foreign.encode().unwrap())), "names the origin nowhere"),
        (
            document(9, 0.0).map(|text| text.map(|text| text.replacen("\"schema\":1", "\"schema\":2", 1))),
            "schema 2",
        ),
    ];
    for (read, expected) in cases {
        let refusal = isolate.finish_read(1_000, read).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
        assert_eq!(isolate.last_refusal(), Some(refusal.as_str()));
        assert_eq!(isolate.rules().unwrap().revision(), Revision(5));
        assert_eq!(answer(&isolate, REQUEST, 1_000).arm(), Arm::New);
    }
    isolate.finish_read(1_000, document(6, 0.0)).unwrap();
    assert_eq!(isolate.last_refusal(), None);
    assert_eq!(answer(&isolate, REQUEST, 1_000).arm(), Arm::Legacy);
}

#[test]
fn one_read_at_a_time_and_none_before_the_soft_ttl() {
    let mut isolate = holding(1, 100.0);
    let due = |isolate: &Isolate, now| answer(isolate, REQUEST, now).0 & Answer::REFRESH != 0;
    assert!(!due(&isolate, 4_999) && !isolate.begin_read(4_999));
    assert!(due(&isolate, 5_000) && isolate.begin_read(5_000));
    assert!(!due(&isolate, 5_001) && !isolate.begin_read(5_001), "a read is on its way");
    assert!(isolate.begin_read(5_000 + READ_PATIENCE_MS), "a lost read does not block the next one for ever");
    // A failing store is not asked more often than a healthy one.
    isolate.finish_read(20_000, Err("down".to_owned())).unwrap_err();
    assert!(!due(&isolate, 24_999) && due(&isolate, 25_000));
    assert_eq!(isolate.reads, 3);
}

#[test]
fn an_old_snapshot_is_served_and_marked() {
    let isolate = holding(1, 100.0);
    assert_eq!(answer(&isolate, REQUEST, 300_000).0 & Answer::STALE, 0);
    let late = answer(&isolate, REQUEST, 300_001);
    assert_ne!(late.0 & Answer::STALE, 0);
    assert_eq!(late.arm(), Arm::New);
}

#[test]
fn an_anonymous_user_is_minted_once_and_then_known() {
    let isolate = holding(1, 100.0);
    let id = "0123456789abcdef0123456789abcdef";
    let stranger = Packed::new("GET\nhttps://h/api/x\n\0\n\0");
    let (answer, minted) = isolate.decide(&stranger, 0, isolate.generation(), || Some(id.to_owned()));
    assert_eq!((answer.arm(), minted.as_deref()), (Arm::New, Some(id)));
    assert_ne!(answer.0 & Answer::MINTED, 0);
    let known = format!("GET\nhttps://h/api/x\ncutover_uid={id}\n\0");
    let (answer, minted) =
        isolate.decide(&Packed::new(&known), 0, isolate.generation(), || panic!("minted again"));
    assert_eq!((answer.arm(), minted), (Arm::New, None));
    // No randomness is a reason to be careful, not to fail.
    let (answer, _) = isolate.decide(&stranger, 0, isolate.generation(), || None);
    assert_eq!((reason(answer), answer.arm()), (Reason::NoKey, Arm::Legacy));
}

#[test]
fn many_inputs_are_only_read_for_the_routes_that_need_them() {
    let mut isolate = Isolate::default();
    isolate.finish_read(0, Ok(Some(snapshot(1, 100.0, 8).encode().unwrap()))).unwrap();
    assert!(isolate.inputs_up_front().is_empty());
    assert_eq!(answer(&isolate, "GET\nhttps://h/api/x", 0), Answer(Answer::NEED_INPUTS));
    assert_eq!(reason(answer(&isolate, "GET\nhttps://h/other", 0)), Reason::NoRoute);
    let rules = isolate.rules().unwrap();
    let inputs = &rules.route("GET", "/api/x").unwrap().inputs;
    // Sorted: cookie, x-0 to x-7, x-user-id.
    let lines = format!("GET\nhttps://h/api/x\n\0{}\nu1", "\n1".repeat(8));
    let (answer, _) = isolate.decide_with(&Packed::new(&lines), inputs, 0, || None);
    assert_eq!((reason(answer), answer.arm()), (Reason::Rollout, Arm::New));
}

#[test]
fn cookies_are_only_skipped_where_nobody_looks_at_them() {
    let unless = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = snapshot(1, 100.0, 1);
        change(&mut snapshot);
        Ruleset::compile(&snapshot).unwrap().cookies_unless().map(str::to_owned)
    };
    let condition = |name: &str| Condition::Attribute {
        name: name.parse().unwrap(),
        op: Operator::Equals,
        values: vec!["1".to_owned()],
    };
    assert_eq!(unless(&|_| ()).as_deref(), Some("x-user-id"));
    assert_eq!(unless(&|s| s.routes.clear()), None);
    for sources in [["cookie:uid", "header:x-user-id"], ["anonymous", "header:x-user-id"]] {
        let identity: Vec<_> = sources.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(unless(&|s| s.routes[0].identity = identity.clone()), None, "{sources:?}");
    }
    for name in ["cookie:plan", "header:cookie"] {
        let looks = |s: &mut Snapshot| {
            for flag in s.flags.values_mut() {
                flag.conditions.push(condition(name));
            }
        };
        assert_eq!(unless(&looks), None, "{name}");
    }
    let other_header = |s: &mut Snapshot| {
        let mut route = s.routes[0].clone();
        route.id = "other".parse().unwrap();
        route.matcher.path = "/other".to_owned();
        route.identity = vec!["header:x-account".parse().unwrap()];
        s.routes.push(route);
    };
    assert_eq!(unless(&other_header), None);
}

#[test]
fn outcomes_are_counted_per_arm() {
    let mut counts = Counts::default();
    let outcome = |new: u32, status: u32, ms: u32| new << 31 | status << 20 | ms;
    counts.add(&[
        outcome(0, 200, 5),
        outcome(1, 200, 7),
        outcome(1, 503, 1),
        outcome(1, 0, 1_000),
        outcome(0, 404, 2),
    ]);
    assert_eq!(counts.legacy, ArmCounts { requests: 2, errors: 0, duration_ms: 7 });
    assert_eq!(counts.new, ArmCounts { requests: 3, errors: 2, duration_ms: 1_008 });
}

proptest::proptest! {
    #[test]
    fn whatever_is_packed_and_whatever_was_read_nothing_panics(
        lines in "(GET|POST|\\PC{0,4})\n(https?://h)?/[a-z/%?=&]{0,12}(\n(\\PC{0,8}|\0)){0,4}",
        text in "\\PC{0,60}",
        now in proptest::prelude::any::<i64>(),
        percent in 0_u32..=100,
    ) {
        let mut isolate = holding(1, f64::from(percent));
        let _ = isolate.finish_read(now / 4, Ok(Some(text)));
        let (answer, _) = isolate.decide(&Packed::new(&lines), now / 4, isolate.generation(), || None);
        let origin = answer.0 & Answer::NO_ORIGIN;
        proptest::prop_assert!(origin < 2 || origin == Answer::NO_ORIGIN);
    }
}
