//! Transitions of an isolate's state, on the host.

use crate::isolate::*;
use cutover_core::{
    Emergency, Flag, Origin, PartsPerMillion, Route,
    measurement::{
        batch::{Batch, Receipt},
        label::CanaryLabel,
        user_hash::UserKey,
    },
    request::identity::default_sources,
    routing::matcher::Matcher,
    rules::{
        condition::document::{Condition, Operator},
        flag::OnControlLoss,
        route::Fallback,
    },
    vocabulary::arm::Arm,
};

fn snapshot(revision: u64, percent: f64, headers: usize) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(revision), ..Snapshot::default() };
    for name in ["legacy", "new"] {
        let origin = Origin {
            url: format!("http://{name}.internal/"),
            timeout_ms: 1_000,
            options: Default::default(),
        };
        snapshot.origins.insert(name.parse().unwrap(), origin);
    }
    let conditions = (0..headers)
        .map(|index| Condition::Attribute {
            name: format!("header:x-{index}").parse().unwrap(),
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
        adapt: Vec::new(),
        compare: None,
        error_when: None,
        error_statuses: Vec::new(),
        fallback: Fallback::default(),
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

fn answer(isolate: &Isolate, lines: &str, now: i64) -> PackedDecision {
    isolate.decide(&Packed::new(lines), now, isolate.generation(), || None).0
}

fn reason(answer: PackedDecision) -> Reason {
    answer.reason()
}

const REQUEST: &str = "GET\nhttps://api.example.com/api/x\n\0\nu1";

#[test]
fn without_a_snapshot_legacy_answers_and_the_isolate_asks_for_one() {
    let isolate = Isolate::default();
    let answer = answer(&isolate, REQUEST, 0);
    assert_eq!(answer.route(), None);
    assert_eq!((reason(answer), answer.arm()), (Reason::NoSnapshot, Arm::Legacy));
    assert_ne!(answer.0 & PackedDecision::BOOT, 0);
}

#[test]
fn a_table_of_another_generation_is_read_again() {
    let isolate = holding(1, 100.0);
    let (answer, _) = isolate.decide(&Packed::new(REQUEST), 0, isolate.generation() + 1, || None);
    assert_eq!(answer, PackedDecision(PackedDecision::TABLE));
}

#[test]
fn refused_documents_leave_what_is_held() {
    let mut isolate = holding(5, 100.0);
    let damaged = document(6, 0.0).unwrap().map(|text| text.replace("\"enabled\":true", "\"enabled\":null"));
    let mut foreign = snapshot(7, 0.0, 0);
    foreign.routes[0].new = "nowhere".parse().unwrap();
    let cases = [
        (document(4, 0.0), "revision 4 was refused because revision 5 is held"),
        (Ok(damaged), "the hash does not match the body"),
        (Ok(Some("{}".to_owned())), "not a snapshot document"),
        (Ok(Some(String::new())), "not a snapshot document"),
        (Ok(None), "no snapshot has been published"),
        (Err("KV is down".to_owned()), "KV is down"),
        (Ok(Some(foreign.encode().unwrap())), "names the origin nowhere"),
        (
            document(9, 0.0).map(|text| text.map(|text| text.replacen("\"schema\":1", "\"schema\":3", 1))),
            "schema 3",
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
    let due = |isolate: &Isolate, now| answer(isolate, REQUEST, now).0 & PackedDecision::REFRESH != 0;
    assert!(!due(&isolate, 4_999) && !isolate.begin_read(4_999));
    assert!(due(&isolate, 5_000) && isolate.begin_read(5_000));
    assert!(!due(&isolate, 5_001) && !isolate.begin_read(5_001), "a read is under way");
    assert!(isolate.begin_read(5_000 + READ_PATIENCE_MS), "a lost read does not block the next one forever");
    // A failing store is not read more often than a healthy one.
    isolate.finish_read(20_000, Err("down".to_owned())).unwrap_err();
    assert!(!due(&isolate, 24_999) && due(&isolate, 25_000));
    assert_eq!(isolate.reads, 3);
}

#[test]
fn an_old_snapshot_is_served_and_marked() {
    let isolate = holding(1, 100.0);
    assert_eq!(answer(&isolate, REQUEST, 300_000).0 & PackedDecision::STALE, 0);
    let late = answer(&isolate, REQUEST, 300_001);
    assert_ne!(late.0 & PackedDecision::STALE, 0);
    assert_eq!(late.arm(), Arm::New);
}

#[test]
fn an_anonymous_user_is_minted_once_and_then_known() {
    let isolate = holding(1, 99.9999);
    let id = "0123456789abcdef0123456789abcdef";
    let stranger = Packed::new("GET\nhttps://h/api/x\n\0\n\0");
    let (answer, minted) = isolate.decide(&stranger, 0, isolate.generation(), || Some(id.to_owned()));
    assert_eq!((answer.arm(), minted.as_deref()), (Arm::New, Some(id)));
    assert_ne!(answer.0 & PackedDecision::MINTED, 0);
    let known = format!("GET\nhttps://h/api/x\ncutover_uid={id}\n\0");
    let (answer, minted) =
        isolate.decide(&Packed::new(&known), 0, isolate.generation(), || panic!("minted again"));
    assert_eq!((answer.arm(), minted), (Arm::New, None));
    // At a share of 100 % no id is needed; without randomness the request goes to legacy instead of failing.
    let (everybody, minted) = {
        let isolate = holding(1, 100.0);
        isolate.decide(&stranger, 0, isolate.generation(), || panic!("minted for nothing"))
    };
    assert_eq!((everybody.arm(), minted), (Arm::New, None));
    let (answer, _) = isolate.decide(&stranger, 0, isolate.generation(), || None);
    assert_eq!((reason(answer), answer.arm()), (Reason::NoKey, Arm::Legacy));
}

#[test]
fn a_request_packed_for_another_generation_is_never_decided() {
    let mut isolate = Isolate::default();
    isolate.finish_read(0, Ok(Some(snapshot(1, 100.0, 3).encode().unwrap()))).unwrap();
    let packed_for = isolate.generation();
    let lines = format!("GET\nhttps://h/api/x{}\nu1", "\n1".repeat(4));
    let decided = isolate.decide(&Packed::new(&lines), 0, packed_for, || None).0;
    assert_eq!((decided.arm(), decided.reason()), (Arm::New, Reason::Rollout));
    isolate.finish_read(10, Ok(Some(snapshot(2, 100.0, 2).encode().unwrap()))).unwrap();
    let (answer, minted) = isolate.decide(&Packed::new(&lines), 10, packed_for, || Some("id".to_owned()));
    assert_eq!((answer, minted), (PackedDecision(PackedDecision::TABLE), None));
}

#[test]
fn an_origin_that_keeps_failing_gets_nobody_for_some_seconds() {
    let mut isolate = holding(1, 100.0);
    let generation = isolate.generation();
    let new = isolate.rules().unwrap().routes()[0].new;
    for _ in 0..5 {
        assert_eq!(answer(&isolate, REQUEST, 1_000).arm(), Arm::New);
        isolate.note_result(new, generation, true, 1_000);
    }
    let diverted = answer(&isolate, REQUEST, 1_001);
    assert_eq!(
        (diverted.arm(), diverted.reason(), diverted.route()),
        (Arm::Legacy, Reason::Diverted, Some(0))
    );
    // A newer snapshot does not make the origin well.
    isolate.finish_read(2_000, document(2, 100.0)).unwrap();
    assert_eq!(answer(&isolate, REQUEST, 2_000).reason(), Reason::Diverted);
    assert_eq!(answer(&isolate, REQUEST, 6_001).arm(), Arm::New);
    isolate.note_result(new, isolate.generation(), false, 6_001);
    isolate.note_result(new, isolate.generation(), true, 6_002);
    assert_eq!(answer(&isolate, REQUEST, 6_003).arm(), Arm::New, "a success ends the row");
}

#[test]
fn everybody_goes_to_legacy_if_the_worker_is_told_so() {
    let mut isolate = holding(1, 100.0);
    isolate.configure(Settings { force_legacy: true, ..Settings::default() }, 0);
    let forced = answer(&isolate, REQUEST, 0);
    assert_eq!((forced.arm(), forced.reason()), (Arm::Legacy, Reason::Emergency));
}

#[test]
fn a_request_is_decided_by_all_its_inputs_however_many() {
    let mut isolate = Isolate::default();
    isolate.finish_read(0, Ok(Some(snapshot(1, 100.0, 8).encode().unwrap()))).unwrap();
    // Sorted: cookie, x-0 to x-7, x-user-id.
    assert_eq!(isolate.inputs().len(), 10);
    let lines = |last: &str| format!("GET\nhttps://h/api/x\n\0{}\n{last}\nu1", "\n1".repeat(7));
    assert_eq!(reason(answer(&isolate, &lines("1"), 0)), Reason::Rollout);
    assert_eq!(reason(answer(&isolate, &lines("0"), 0)), Reason::Condition);
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

/// Packs outcomes as JavaScript does: arm, status and milliseconds of requests of the only route,
/// without evidence.
fn outcomes(isolate: &Isolate, ended: &[(Arm, u32, u32)]) -> Vec<u32> {
    let kind = |arm: Arm| {
        let arm = if arm == Arm::New { PackedDecision::NEW } else { 0 };
        (Reason::Rollout as u32) << PackedDecision::REASON_SHIFT | arm | isolate.generation() << 21
    };
    ended.iter().flat_map(|(arm, status, ms)| [kind(*arm), status << 20 | ms, 0, 0, 0, 0]).collect()
}

/// An isolate that reports and whose canary is at the given step.
fn reporting(step: u32) -> Isolate {
    let mut isolate = Isolate::default();
    let settings = Settings::read(|name| (name == "INGEST_URL").then(|| "https://ingest.example".to_owned()));
    isolate.configure(settings, 0);
    isolate.reporting.name("ab".repeat(16));
    isolate.finish_read(0, Ok(Some(with_canary(1, step).encode().unwrap()))).unwrap();
    isolate
}

/// Key of the run's user hashes.
const KEY: &str = "000102030405060708090a0b0c0d0e0f";

fn with_canary(revision: u64, step: u32) -> Snapshot {
    let mut snapshot = snapshot(revision, 50.0, 0);
    let label = CanaryLabel {
        run: "r1".parse().unwrap(),
        step,
        share: PartsPerMillion::of_percent(50),
        key: Some(KEY.to_owned()),
        slow_success_ms: 100,
        slow_rollback_ms: 200,
        routes: Default::default(),
    };
    snapshot.canaries.insert("flag".parse().unwrap(), label);
    snapshot
}

fn sent(isolate: &mut Isolate, at_rest: bool) -> Option<Batch> {
    isolate.next_batch(at_rest, 0, 0).map(|body| serde_json::from_str(&body).unwrap())
}

fn receipt(revision: u64) -> Receipt {
    Receipt { revision: Revision(revision), emergency: None, snapshot: None, duplicate: false }
}

fn store(isolate: &mut Isolate, receipt: &Receipt, now: i64) -> bool {
    isolate.finish_batch(isolate.reporting.sequence(), 200, &serde_json::to_string(receipt).unwrap(), now)
}

#[test]
fn outcomes_are_counted_exactly_and_labelled() {
    let mut isolate = reporting(2);
    let ended = [
        (Arm::Legacy, 200, 5),
        (Arm::New, 200, 100),
        (Arm::New, 404, 101),
        (Arm::New, 503, 201),
        (Arm::New, 0, 1),
        (Arm::New, 1, 1_000),
    ];
    let packed = outcomes(&isolate, &ended);
    isolate.record(&packed);
    assert_eq!(isolate.counts.legacy, ArmCounts { requests: 1, errors: 0, duration_ms: 5 });
    assert_eq!(isolate.counts.new, ArmCounts { requests: 5, errors: 3, duration_ms: 1_403 });
    let batch = sent(&mut isolate, false).unwrap();
    assert_eq!((batch.sequence, batch.cells.len(), batch.idle), (1, 2, false));
    let new = batch.cells.iter().find(|cell| cell.arm == Arm::New).unwrap();
    assert_eq!(new.canary, Some(("r1".parse().unwrap(), 2)));
    assert_eq!((new.revision, new.reason), (Revision(1), Reason::Rollout));
    assert_eq!(
        (new.flag.as_ref().unwrap().as_str(), new.route.as_ref().unwrap().as_str()),
        ("flag", "route")
    );
    let counts = &new.counts;
    assert_eq!((counts.requests, counts.server_errors, counts.timeouts, counts.unreachable), (5, 1, 1, 1));
    assert_eq!((counts.not_found, counts.unauthorized, counts.client_errors), (1, 0, 0));
    // Slower than the limit, or without any response.
    assert_eq!((counts.slow_success, counts.slow_rollback), (4, 3));
    assert_eq!(counts.histogram.count(), 5);
}

#[test]
fn counting_allocates_for_a_kind_and_not_for_a_request() {
    let mut isolate = reporting(0);
    let ended: Vec<(Arm, u32, u32)> =
        (0..256).flat_map(|ms| [(Arm::New, 200, ms), (Arm::Legacy, 503, ms)]).collect();
    let packed = outcomes(&isolate, &ended);
    isolate.record(&packed);
    let info = allocation_counter::measure(|| isolate.record(&packed));
    assert_eq!(info.count_total, 0, "{info:?}");
    assert_eq!(isolate.counting.len(), 2);
}

#[test]
fn what_was_decided_before_a_change_is_counted_with_its_own_revision_and_step() {
    let mut isolate = reporting(0);
    let before = outcomes(&isolate, &[(Arm::New, 200, 1)]);
    isolate.finish_read(1, Ok(Some(with_canary(2, 1).encode().unwrap()))).unwrap();
    let after = outcomes(&isolate, &[(Arm::New, 200, 1)]);
    isolate.record(&[before, after].concat());
    let steps: Vec<_> = sent(&mut isolate, false)
        .unwrap()
        .cells
        .into_iter()
        .map(|c| (c.revision.0, c.canary.unwrap().1))
        .collect();
    assert_eq!(steps, [(1, 0), (2, 1)]);
}

#[test]
fn a_batch_is_sent_again_until_it_is_known_to_be_stored() {
    let mut isolate = reporting(0);
    let one = outcomes(&isolate, &[(Arm::New, 200, 1)]);
    isolate.record(&one);
    let first = isolate.next_batch(false, 0, 0).unwrap();
    isolate.record(&one);
    for status in [0, 401, 429, 500, 200] {
        assert!(!isolate.finish_batch(1, status, "not a receipt", 1), "{status}");
        assert_eq!(isolate.next_batch(false, 0, 0).as_ref(), Some(&first), "{status}");
    }
    assert!(store(&mut isolate, &receipt(1), 2));
    let second = sent(&mut isolate, false).unwrap();
    assert_eq!((second.sequence, second.cells[0].counts.requests), (2, 1));
    // A batch that can never be stored is reported as lost.
    assert!(!isolate.finish_batch(2, 413, "", 3));
    let third = sent(&mut isolate, false).unwrap();
    assert_eq!((third.sequence, third.lost, third.idle), (3, 1, false));
    assert!(store(&mut isolate, &receipt(1), 4));
    // A second response to a batch that has long been stored does not settle the next one.
    isolate.record(&one);
    let fourth = isolate.next_batch(false, 0, 0);
    assert!(isolate.finish_batch(3, 200, &serde_json::to_string(&receipt(1)).unwrap(), 4));
    assert_eq!(isolate.next_batch(false, 0, 0), fourth);
    assert!(store(&mut isolate, &receipt(1), 4));
    // An isolate at rest announces it, once.
    let last = sent(&mut isolate, true).unwrap();
    assert_eq!((last.sequence, last.idle, last.cells.len()), (5, true, 0));
    assert!(store(&mut isolate, &receipt(1), 5));
    assert_eq!(isolate.next_batch(true, 0, 0), None);
}

#[test]
fn memory_is_bounded_while_nobody_takes_the_batches() {
    let mut isolate = reporting(0);
    let one = outcomes(&isolate, &[(Arm::New, 200, 1), (Arm::Legacy, 200, 1)]);
    for route in 0..5_000 {
        let mut other = one.clone();
        other[0] |= route;
        other[PackedOutcome::LENGTH] |= route;
        isolate.record(&other);
        isolate.record(&one);
        assert!(isolate.counting.len() <= crate::counting::MAX_CELLS);
    }
    let (mut reported, mut lost) = (0, 0);
    while let Some(batch) = sent(&mut isolate, false) {
        reported += batch.cells.iter().map(|cell| cell.counts.requests).sum::<u64>();
        lost += batch.lost;
        store(&mut isolate, &receipt(1), 0);
    }
    assert_eq!((reported + lost, isolate.counting.lost_in_all), (20_000, lost));
    assert_eq!(lost, 2 * 5_000 - 1_024, "only kinds beyond the room for them are lost");
}

/// Decides a request of a user, after the control plane was heard from.
fn decided(isolate: &Isolate, user: &str) -> PackedDecision {
    answer(isolate, &format!("GET\nhttps://h/api/x\n\0\n{user}"), 10)
}

fn hear(isolate: &mut Isolate) {
    isolate.question(1).unwrap();
    isolate.answered(200, &serde_json::to_string(&receipt(1)).unwrap(), 1);
}

#[test]
fn the_hash_of_the_user_is_given_along_while_a_canary_runs() {
    let mut isolate = reporting(0);
    hear(&mut isolate);
    let key = UserKey::parse(KEY).unwrap();
    for user in (0..20).map(|user| format!("u{user}")) {
        let answer = decided(&isolate, &user);
        assert_ne!(answer.0 & PackedDecision::EVIDENCE, 0, "{user}, on either arm");
        assert_eq!(isolate.evidence.get(), key.hash(&user));
    }
    // No canary, and nobody to report to.
    isolate.finish_read(2, Ok(Some(snapshot(2, 50.0, 0).encode().unwrap()))).unwrap();
    assert_eq!(decided(&isolate, "u1").0 & PackedDecision::EVIDENCE, 0);
    let mut silent = Isolate::default();
    silent.finish_read(0, Ok(Some(with_canary(1, 0).encode().unwrap()))).unwrap();
    assert_eq!(decided(&silent, "u1").0 & PackedDecision::EVIDENCE, 0);
}

#[test]
fn a_report_has_the_users_of_its_ripe_windows_and_the_open_requests() {
    let mut isolate = reporting(3);
    let mut ended = outcomes(&isolate, &[(Arm::New, 503, 5)]);
    ended[2..5].copy_from_slice(&[7, 1, 103]);
    isolate.record(&ended);
    let sent = |isolate: &mut Isolate, now| -> Batch {
        let batch = serde_json::from_str(&isolate.next_batch(false, 4, now).unwrap()).unwrap();
        store(isolate, &receipt(1), now);
        batch
    };
    let first = sent(&mut isolate, 105_000);
    assert_eq!((first.open, first.users.len()), (4, 0));
    // The window of ten seconds, and the time limit of a second.
    assert_eq!(isolate.next_batch(false, 4, 110_999), None, "users that are not ripe make no report");
    let second = sent(&mut isolate, 111_000);
    let users = &second.users[0];
    assert_eq!((users.canary.1, users.window, users.events[0].user), (3, 100_000, 1 << 32 | 7));
}

#[test]
fn an_emergency_that_a_receipt_tells_holds_at_once() {
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
    };
    let declared = Receipt { emergency: Some(emergency), ..receipt(3) };
    isolate.question(2).unwrap();
    isolate.answered(200, &serde_json::to_string(&declared).unwrap(), 2);
    assert_eq!(reason(ask(&isolate, &lines)), Reason::Emergency);
    // A snapshot from before the emergency does not end it; one from after it does.
    isolate.finish_read(3, Ok(Some(with_canary(2, 0).encode().unwrap()))).unwrap();
    assert_eq!(reason(ask(&isolate, &lines)), Reason::Emergency);
    isolate.finish_read(4, Ok(Some(with_canary(4, 0).encode().unwrap()))).unwrap();
    assert_eq!(reason(ask(&isolate, &lines)), Reason::Rollout);
    // A receipt can carry the snapshot.
    let off = Receipt { snapshot: Some(snapshot(5, 0.0, 0).encode().unwrap()), ..receipt(5) };
    isolate.question(5).unwrap();
    isolate.answered(200, &serde_json::to_string(&off).unwrap(), 5);
    assert_eq!(
        (ask(&isolate, &lines).arm(), isolate.rules().unwrap().revision()),
        (Arm::Legacy, Revision(5))
    );
}

#[test]
fn nobody_goes_to_the_new_arm_on_an_old_word() {
    let mut isolate = Isolate::default();
    let settings = Settings::read(|name| (name == "INGEST_URL").then(|| "http://i".to_owned()));
    isolate.configure(settings, 0);
    isolate.reporting.name("ab".repeat(16));
    isolate.finish_read(0, document(1, 100.0)).unwrap();
    assert_eq!(answer(&isolate, REQUEST, 0), PackedDecision(PackedDecision::ASK));
    isolate.question(0).unwrap();
    assert_eq!(isolate.question(1), None, "one question at a time");
    assert_eq!(
        answer(&isolate, REQUEST, 10),
        PackedDecision(PackedDecision::ASK),
        "the response is waited for"
    );
    isolate.answered(200, &serde_json::to_string(&receipt(1)).unwrap(), 20);
    assert_eq!(answer(&isolate, REQUEST, 5_520).arm(), Arm::New);
    assert_eq!(answer(&isolate, REQUEST, 5_521), PackedDecision(PackedDecision::ASK));
    // A control plane that does not respond moves no user back, and is not waited for again at
    // once.
    isolate.question(5_521).unwrap();
    isolate.answered(0, "", 6_521);
    assert_eq!(answer(&isolate, REQUEST, 6_522).arm(), Arm::New);
    assert_eq!(answer(&isolate, REQUEST, 11_022), PackedDecision(PackedDecision::ASK));
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
        proptest::prop_assert!(matches!(answer.route(), None | Some(0)));
    }
}

#[test]
fn a_flag_leaves_the_new_arm_when_the_control_plane_is_lost_if_it_says_so_or_a_canary_runs() {
    let label = CanaryLabel {
        run: "r1".parse().unwrap(),
        step: 0,
        slow_success_ms: 100,
        slow_rollback_ms: 200,
        routes: Default::default(),
        key: None,
        share: PartsPerMillion::ALL,
    };
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
            assert_ne!(answer(isolate, REQUEST, now).0 & PackedDecision::ASK, 0, "{now}");
            isolate.question(now).unwrap();
            let receipt =
                Receipt { revision: Revision(1), emergency: None, snapshot: None, duplicate: false };
            let (status, body) =
                if heard { (200, serde_json::to_string(&receipt).unwrap()) } else { (0, String::new()) };
            isolate.answered(status, &body, now);
        };
        ask(&mut isolate, 0, true);
        ask(&mut isolate, 50_000, false);
        assert_eq!(answer(&isolate, REQUEST, 50_001).arm(), Arm::New, "{choice:?} {canary}");
        ask(&mut isolate, 110_001, false);
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

#[test]
fn nobody_waits_for_a_control_plane_that_did_not_answer_before() {
    let mut isolate = holding(1, 100.0);
    isolate.configure(Settings { reports: true, ..Settings::default() }, 0);
    isolate.reporting.name("i".to_owned());
    let must_wait = |isolate: &Isolate, now| answer(isolate, REQUEST, now).0 & PackedDecision::ASK != 0;
    isolate.question(0).unwrap();
    assert!(must_wait(&isolate, 1), "the first question is waited for");
    isolate.answered(0, "", 1_000);
    assert!(!must_wait(&isolate, 1_001));
    assert!(must_wait(&isolate, 5_600), "one request asks again");
    isolate.question(5_600).unwrap();
    assert!(!must_wait(&isolate, 5_601), "and the others do not wait for it");
}
