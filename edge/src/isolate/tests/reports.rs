//! The outcomes of an isolate in its batches, and the users whose requests are evidence.

use super::{answer, hear, holding, reporting, snapshot, with_canary, word};
use crate::{
    counting::MAX_CELLS,
    isolate::{ArmCounts, Isolate},
    test_support,
    wire::{PackedDecision, PackedOutcome},
};
use cutover_core::{
    Arm, Reason,
    caching::CacheRules,
    measurement::{
        answer::Answer,
        batch::{Batch, StepLoss},
        user_hash::UserKey,
    },
    vocabulary::revision::Revision,
};

/// Packs outcomes as JavaScript does: arm, status and milliseconds of requests of the only route,
/// without evidence.
fn outcomes(isolate: &Isolate, ended: &[(Arm, u32, u32)]) -> Vec<u32> {
    let kind = |arm: Arm| {
        let arm = if arm == Arm::New { PackedDecision::NEW } else { 0 };
        (Reason::Rollout as u32) << PackedDecision::REASON_SHIFT | arm | isolate.generation() << 21
    };
    ended.iter().flat_map(|(arm, status, ms)| [kind(*arm), status << 20 | ms, 0, 0, 0, 0, 0]).collect()
}

fn sent(isolate: &mut Isolate, at_rest: bool) -> Option<Batch> {
    isolate.next_batch(at_rest, 0, 0).map(|body| serde_json::from_str(&body).unwrap())
}

fn store(isolate: &mut Isolate, answer: &Answer, now: i64) -> bool {
    finish(isolate, isolate.reporting.sequence(), 200, &serde_json::to_string(answer).unwrap(), now)
}

/// Applies the response to a batch, for an isolate that finds no other name.
fn finish(isolate: &mut Isolate, sequence: u64, status: u16, body: &str, now: i64) -> bool {
    isolate.finish_batch(sequence, status, body, now, || None)
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
    assert_eq!(isolate.counts.legacy, ArmCounts { requests: 1, duration_ms: 5, ..ArmCounts::default() });
    assert_eq!(
        isolate.counts.new,
        ArmCounts { requests: 5, errors: 3, duration_ms: 1_403, ..ArmCounts::default() }
    );
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
fn outcomes_of_a_broken_isolate_are_lost_to_the_one_in_its_place() {
    let broken = reporting(0);
    let mut isolate = Isolate::default();
    isolate.begin_generations(broken.generation() + 1);
    isolate.configure(broken.settings().clone(), 0);
    isolate.finish_read(0, Ok(Some(with_canary(1, 0).encode().unwrap()))).unwrap();
    isolate.record(&outcomes(&broken, &[(Arm::New, 200, 5)]));
    assert_eq!((isolate.counting.len(), isolate.counting.lost_in_all), (0, 1));
    isolate.record(&outcomes(&isolate, &[(Arm::New, 200, 5)]));
    assert_eq!((isolate.counting.len(), isolate.counting.lost_in_all), (1, 1));
}

/// It reported 0, as one that holds the newest snapshot does.
#[test]
fn an_isolate_without_a_snapshot_reports_the_time_since_it_began() {
    let mut isolate = Isolate::default();
    isolate.configure(reporting(0).settings().clone(), 1_000);
    isolate.reporting.name("ab".repeat(16));
    let age_ms = |isolate: &mut Isolate, now: i64| {
        isolate.counting.lose(1);
        let batch: Batch = serde_json::from_str(&isolate.next_batch(false, 0, now).unwrap()).unwrap();
        store(isolate, &word(0), now);
        batch.age_ms
    };
    assert_eq!(age_ms(&mut isolate, 61_000), 60_000);
    // Other settings are no new beginning.
    isolate.configure(reporting(0).settings().clone(), 70_000);
    assert_eq!(age_ms(&mut isolate, 81_000), 80_000);
    isolate.finish_read(90_000, Ok(Some(with_canary(1, 0).encode().unwrap()))).unwrap();
    assert_eq!(age_ms(&mut isolate, 91_000), 1_000);
}

#[test]
fn responses_that_were_not_inspected_are_counted_by_their_status_and_reported() {
    let mut isolate = reporting(0);
    let mut packed = outcomes(&isolate, &[(Arm::New, 200, 5), (Arm::New, 200, 5), (Arm::Legacy, 200, 5)]);
    packed[5] = PackedOutcome::UNINSPECTED;
    isolate.record(&packed);
    assert_eq!((isolate.counts.new.uninspected, isolate.counts.legacy.uninspected), (1, 0));
    assert_eq!((isolate.counts.new.requests, isolate.counts.new.errors), (2, 0));
    let batch = sent(&mut isolate, false).unwrap();
    assert_eq!(batch.uninspected, 1);
    // A batch that is refused for good does not take it along.
    finish(&mut isolate, batch.sequence, 422, "", 0);
    assert_eq!(sent(&mut isolate, false).unwrap().uninspected, 1);
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
        assert!(!finish(&mut isolate, 1, status, "not an answer", 1), "{status}");
        assert_eq!(isolate.next_batch(false, 0, 0).as_ref(), Some(&first), "{status}");
    }
    assert!(store(&mut isolate, &word(1), 2));
    let second = sent(&mut isolate, false).unwrap();
    assert_eq!((second.sequence, second.cells[0].counts.requests), (2, 1));
    // A batch that can never be stored is reported as lost.
    assert!(!finish(&mut isolate, 2, 413, "", 3));
    let third = sent(&mut isolate, false).unwrap();
    assert_eq!((third.sequence, third.lost), (3, 1));
    assert!(store(&mut isolate, &word(1), 4));
    // A second response to a batch that has long been stored does not settle the next one.
    isolate.record(&one);
    let fourth = isolate.next_batch(false, 0, 0);
    assert!(finish(&mut isolate, 3, 200, &serde_json::to_string(&word(1)).unwrap(), 4));
    assert_eq!(isolate.next_batch(false, 0, 9_999), None, "one batch in flight");
    assert_eq!(
        isolate.next_batch(false, 0, 10_000),
        fourth,
        "the request that sent it has ended without an answer"
    );
    assert!(store(&mut isolate, &word(1), 4));
    assert_eq!(isolate.next_batch(true, 0, 20_000), None, "an isolate at rest has nothing to say");
}

#[test]
fn a_batch_says_when_the_next_one_is_due_while_requests_are_open() {
    let mut isolate = reporting(0);
    let one = outcomes(&isolate, &[(Arm::New, 200, 1)]);
    for (open, interval_ms, due_ms) in [(0, 5_000, 0), (3, 20_000, 36_250), (1, 60_000, 55_000)] {
        isolate.record(&one);
        let batch: Batch = serde_json::from_str(&isolate.next_batch(false, open, 0).unwrap()).unwrap();
        assert_eq!((batch.open, batch.due_ms), (open, due_ms));
        assert!(store(&mut isolate, &Answer { interval_ms, ..word(1) }, 0));
    }
}

/// Another instance of the isolate has sent a batch under this name and number.
#[test]
fn a_batch_whose_name_is_taken_is_sent_under_a_new_one() {
    let mut isolate = reporting(0);
    let one = outcomes(&isolate, &[(Arm::New, 200, 1)]);
    isolate.record(&one);
    sent(&mut isolate, false).unwrap();
    assert!(store(&mut isolate, &word(1), 0));
    isolate.record(&one);
    let second = sent(&mut isolate, false).unwrap();
    assert_eq!(second.sequence, 2);
    // A late answer about the first one renames nothing.
    isolate.finish_batch(1, 409, "", 0, || Some("cd".repeat(16)));
    assert_eq!(isolate.reporting.isolate(), Some("ab".repeat(16).as_str()));
    assert!(!finish(&mut isolate, 2, 409, "", 0), "without a new name it is tried again later");
    assert_eq!(sent(&mut isolate, false).as_ref(), Some(&second));
    assert!(isolate.finish_batch(2, 409, "", 0, || Some("cd".repeat(16))));
    let renamed = sent(&mut isolate, false).unwrap();
    assert_eq!(renamed, Batch { isolate: "cd".repeat(16), sequence: 1, ..second });
    assert!(store(&mut isolate, &word(1), 0));
    isolate.record(&one);
    let next = sent(&mut isolate, false).unwrap();
    assert_eq!((next.isolate, next.sequence, next.lost), ("cd".repeat(16), 2, 0));
}

#[test]
fn a_batch_that_could_not_be_stored_for_a_day_is_lost() {
    const DAY: i64 = 86_400_000;
    let mut isolate = reporting(3);
    isolate.record(&outcomes(&isolate, &[(Arm::New, 200, 1), (Arm::New, 503, 1)]));
    let first = isolate.next_batch(false, 0, 0);
    assert!(!finish(&mut isolate, 1, 503, "", 0));
    assert_eq!(isolate.next_batch(false, 0, DAY), first);
    assert!(!finish(&mut isolate, 1, 503, "", DAY));
    let next: Batch = serde_json::from_str(&isolate.next_batch(false, 0, DAY + 1).unwrap()).unwrap();
    assert_eq!((next.sequence, next.lost, next.losses[0].outcomes, next.cells.len()), (2, 2, 2, 0));
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
        assert!(isolate.counting.len() <= MAX_CELLS);
    }
    let (mut reported, mut lost) = (0, 0);
    while let Some(batch) = sent(&mut isolate, false) {
        reported += batch.cells.iter().map(|cell| cell.counts.requests).sum::<u64>();
        lost += batch.lost;
        store(&mut isolate, &word(1), 0);
    }
    assert_eq!((reported + lost, isolate.counting.lost_in_all), (20_000, lost));
    assert_eq!(lost, 2 * 5_000 - 1_024, "only kinds beyond the room for them are lost");
}

/// Decides a request of a user, after the control plane was heard from.
fn decided(isolate: &Isolate, user: &str) -> PackedDecision {
    answer(isolate, &format!("GET\nhttps://h/api/x\n\0\n{user}"), 10)
}

#[test]
fn the_hash_of_the_user_is_given_along_while_a_canary_runs() {
    let mut isolate = reporting(0);
    hear(&mut isolate);
    let key = UserKey::parse(test_support::KEY).unwrap();
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
        store(isolate, &word(1), now);
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

/// The control plane must know that its evidence has a gap, and in which step.
#[test]
fn the_evidence_of_a_refused_batch_is_reported_as_lost_with_its_step() {
    let mut isolate = reporting(3);
    let mut ended = outcomes(&isolate, &[(Arm::New, 503, 5), (Arm::Legacy, 200, 5)]);
    ended[2..5].copy_from_slice(&[7, 1, 103]);
    ended[PackedOutcome::LENGTH + 2..PackedOutcome::LENGTH + 5].copy_from_slice(&[8, 1, 103]);
    isolate.record(&ended);
    let sent = |isolate: &mut Isolate| -> Batch {
        serde_json::from_str(&isolate.next_batch(false, 0, 111_000).unwrap()).unwrap()
    };
    let first = sent(&mut isolate);
    assert_eq!((first.users[0].seen.len(), first.users[0].events.len(), first.losses.len()), (2, 1, 0));
    let loss =
        StepLoss { flag: "flag".parse().unwrap(), canary: ("r1".parse().unwrap(), 3), outcomes: 2, users: 2 };
    // A batch that reports the loss may be refused too.
    for (sequence, status) in [(1, 413), (2, 400), (3, 422)] {
        assert!(!finish(&mut isolate, sequence, status, "", 111_000));
        let next = sent(&mut isolate);
        assert_eq!((next.sequence, next.lost, &next.losses), (sequence + 1, 2, &vec![loss.clone()]));
        assert_eq!((isolate.counting.lost_in_all, isolate.counting.users_lost_in_all), (2, 2));
    }
    assert!(store(&mut isolate, &word(1), 111_000));
    assert_eq!(isolate.next_batch(false, 0, 111_000), None, "reported once");
}

/// Its users are reported when their window is ripe, so a batch of counts alone may be refused.
#[test]
fn a_refused_batch_of_counts_alone_is_a_loss_of_their_step() {
    let mut isolate = reporting(3);
    let packed = outcomes(&isolate, &[(Arm::New, 503, 5), (Arm::Legacy, 200, 5), (Arm::Legacy, 200, 5)]);
    isolate.record(&packed);
    let first = sent(&mut isolate, false).unwrap();
    assert_eq!((first.cells.len(), first.users.len()), (2, 0));
    assert!(!finish(&mut isolate, first.sequence, 413, "", 0));
    let next = sent(&mut isolate, false).unwrap();
    let canary = ("r1".parse().unwrap(), 3);
    assert_eq!(next.losses, [StepLoss { flag: "flag".parse().unwrap(), canary, outcomes: 3, users: 0 }]);
    assert_eq!((next.lost, isolate.counting.users_lost_in_all), (3, 0));
}

/// The contents of a cache depend on the share of its arm, so a fixed share of the users of both arms goes past it.
#[test]
fn the_same_share_of_both_arms_goes_past_the_cache_while_a_canary_runs() {
    let mut counted = with_canary(2, 0);
    counted.routes[0].cache = Some(CacheRules { bypass_percent: 20, ..CacheRules::default() });
    let mut isolate = reporting(0);
    isolate.finish_read(1, Ok(Some(counted.encode().unwrap()))).unwrap();
    hear(&mut isolate);
    let mut seen = [[0_u32; 2]; 2];
    for user in 0..4_000 {
        let request = format!("GET\nhttps://api.example.com/api/x\n\0\nuser-{user}");
        let decided = answer(&isolate, &request, 2);
        assert_ne!(decided.0 & PackedDecision::EVIDENCE, 0);
        let is_past = decided.0 & PackedDecision::UNCACHED != 0;
        seen[usize::from(decided.arm() == Arm::New)][usize::from(is_past)] += 1;
    }
    for [through, past] in seen {
        let share = f64::from(past) / f64::from(past + through);
        assert!((0.17..0.23).contains(&share), "{seen:?}");
    }
    // Nobody is evidence without a canary, so nobody goes past the cache.
    let mut quiet = holding(1, 50.0);
    let mut uncounted = snapshot(2, 50.0, 0);
    uncounted.routes[0].cache = Some(CacheRules::default());
    quiet.finish_read(1, Ok(Some(uncounted.encode().unwrap()))).unwrap();
    for user in 0..200 {
        let request = format!("GET\nhttps://api.example.com/api/x\n\0\nuser-{user}");
        assert_eq!(answer(&quiet, &request, 2).0 & PackedDecision::UNCACHED, 0);
    }
}
