//! Claims, verdicts and batches of comparisons, on the host.

use crate::{comparison_queue::*, test_support};
use cutover_core::{
    PartsPerMillion,
    compare::{DifferenceCount, DifferenceKind},
};

/// Milliseconds after which the claims of [`policy`] run out.
const EXPIRY_MS: i64 = 3 * 1_000 + 30_000;

fn policy(noise: u32, concurrency: u32) -> Comparison {
    Comparison {
        sample: PartsPerMillion::ALL,
        noise: PartsPerMillion::of_percent(noise),
        per_minute: 1_000_000,
        concurrency,
        timeout_ms: 1_000,
        ..Comparison::default()
    }
}

fn rules(compare: Comparison) -> Ruleset {
    let mut snapshot = test_support::snapshot(1, PartsPerMillion::ALL);
    snapshot.routes[0].compare = Some(compare);
    Ruleset::compile(&snapshot).unwrap()
}

/// A queue with the rules of one route.
struct Held {
    rules: Ruleset,
    queue: ComparisonQueue,
}

impl Held {
    fn new(noise: u32, concurrency: u32) -> Self {
        Self { rules: rules(policy(noise, concurrency)), queue: ComparisonQueue::default() }
    }

    /// Claims a comparison. The draw is the one that falls into no share below 100 %.
    fn begin(&mut self, now: i64) -> Ticket {
        self.queue.begin(&self.rules.routes()[0], true, u64::MAX, now)
    }

    fn skip(&mut self, now: i64) {
        self.queue.skip(&self.rules, &self.rules.routes()[0], SkipReason::Unreachable, now, true);
    }

    /// Ends a comparison of bodies; an empty `again` is no second response.
    fn finish(&mut self, old: &str, new: &str, again: &str, now: i64) {
        let head = "200\napplication/json";
        let again = Some((head, again.as_bytes())).filter(|(_, body)| !body.is_empty());
        let answers = ResponsePair { old: (head, old.as_bytes()), new: (head, new.as_bytes()), again };
        self.queue.finish(&self.rules, &self.rules.routes()[0], answers, now);
    }

    /// Returns all counts.
    fn told(&mut self) -> Tally {
        let mut all = Tally::default();
        while !self.queue.is_empty() {
            self.queue.take().iter().for_each(|window| all.merge(&window.tally));
        }
        all
    }
}

#[test]
fn an_abandoned_comparison_gives_its_slot_back_and_is_counted() {
    let mut held = Held::new(0, 2);
    assert_eq!((held.begin(0), held.begin(10)), (Ticket::Compare, Ticket::Compare));
    let full = Ticket::Refused(SkipReason::Concurrency);
    assert_eq!(held.begin(EXPIRY_MS - 1), full);
    assert_eq!(held.begin(EXPIRY_MS), Ticket::Compare, "the first claim ran out");
    assert_eq!(held.begin(EXPIRY_MS), full, "the second did not");
    held.skip(EXPIRY_MS);
    assert_eq!(held.told().skipped, [(SkipReason::Timeout, 1), (SkipReason::Unreachable, 1)]);
}

#[test]
fn an_abandoned_slot_is_free_in_time_however_many_comparisons_end_meanwhile() {
    let mut held = Held::new(0, 2);
    assert_eq!(held.begin(0), Ticket::Compare);
    for now in (1..EXPIRY_MS).step_by(500) {
        assert_eq!(held.begin(now), Ticket::Compare);
        assert_eq!(held.begin(now), Ticket::Refused(SkipReason::Concurrency), "{now}");
        held.finish("1", "1", "", now);
    }
    assert_eq!((held.begin(EXPIRY_MS), held.begin(EXPIRY_MS)), (Ticket::Compare, Ticket::Compare));
}

#[test]
fn a_comparison_that_ends_after_its_claim_ran_out_frees_nothing_more() {
    let mut held = Held::new(0, 1);
    assert_eq!(held.begin(0), Ticket::Compare);
    held.finish("1", "1", "", EXPIRY_MS + 1);
    assert_eq!(held.begin(EXPIRY_MS + 1), Ticket::Compare);
    assert_eq!(held.begin(EXPIRY_MS + 1), Ticket::Refused(SkipReason::Concurrency));
}

#[test]
fn no_verdict_is_given_before_noise_is_known() {
    let mut held = Held::new(10, 100);
    // All of these are claimed before the first one ends.
    for _ in 0..20 {
        assert_eq!(held.begin(0), Ticket::WithNoise);
    }
    for request in 0..8 {
        held.finish("{\"id\":1}", "{\"id\":2}", &format!("{{\"id\":{}}}", request + 3), 0);
    }
    assert_eq!(held.begin(0), Ticket::Compare, "noise was measured eight times");
    held.finish("{\"id\":1}", "{\"id\":2}", "", 0);
    let told = held.told();
    assert_eq!((told.compared, told.mismatched, told.noise_compared), (9, 0, 8), "{told:#?}");
}

#[test]
fn a_real_difference_is_one_from_the_first_comparison_on() {
    let mut held = Held::new(10, 100);
    for _ in 0..8 {
        held.begin(0);
        held.finish("{\"id\":1}", "{\"id\":2}", "{\"id\":1}", 0);
    }
    held.begin(0);
    held.finish("{\"id\":1}", "{\"id\":2}", "", 0);
    let told = held.told();
    assert_eq!((told.compared, told.mismatched), (9, 9));
}

#[test]
fn without_the_second_response_that_would_tell_nothing_is_counted() {
    let mut held = Held::new(10, 100);
    held.begin(0);
    // Deeper than the policy permits.
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    held.finish("1", "2", &deep, 0);
    let told = held.told();
    assert_eq!((told.compared, told.skipped), (0, vec![(SkipReason::Depth, 1)]));
    // Legacy has no JSON: its own two responses have nothing to compare, the backends have.
    held.begin(0);
    held.finish("<p>", "{}", "<p>", 0);
    let told = held.told();
    assert_eq!((told.compared, told.mismatched, told.noise_compared), (1, 1, 1));
}

/// A field that differs in a fifth of legacy's own responses, compared with a backend like legacy.
/// Until a second response has shown it, it is counted: that errs towards holding a canary, and the
/// other way round a rare real difference would promote one.
#[test]
fn noise_that_was_shown_once_is_no_difference_any_more() {
    let mut held = Held::new(100, 100);
    let value = |request: usize, offset: usize| format!("{{\"a\":{}}}", (request + offset) % 5 / 4);
    // At first the new backend has it, and legacy's second response does not.
    for request in 3..503 {
        held.begin(0);
        held.finish(&value(request, 0), &value(request, 1), &value(request, 3), 0);
    }
    let told = held.told();
    let found = told.differences.iter().map(|counted| counted.count).sum::<u64>();
    assert_eq!((told.compared, found, told.mismatched), (500, 200, 1));
}

#[test]
fn a_batch_takes_what_it_has_room_for_and_leaves_the_rest() {
    let entry = |window: i64, kinds: usize| {
        let counted = |index: usize| DifferenceCount {
            path: format!("field{index}"),
            kind: DifferenceKind::Value,
            count: 1,
            noise: 0,
            example: Default::default(),
        };
        let tally = Tally { compared: 1, differences: (0..kinds).map(counted).collect(), ..Tally::default() };
        let (flag, route) = ("f".parse().unwrap(), "r".parse().unwrap());
        ComparisonWindow { flag, route, canary: None, window, tally }
    };
    let waiting = (0..10).map(|window| entry(window, 60)).collect();
    let mut comparing = ComparisonQueue { waiting, ..ComparisonQueue::default() };
    let mut batches = Vec::new();
    while !comparing.is_empty() {
        batches.push(comparing.take().iter().map(|held| held.window).collect::<Vec<_>>());
    }
    assert_eq!(batches, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    let mut one = ComparisonQueue { waiting: vec![entry(0, 1_000)], ..ComparisonQueue::default() };
    assert_eq!(one.take().len(), 1, "an entry larger than a batch is sent alone");
}
