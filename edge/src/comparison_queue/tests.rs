//! Claims, verdicts and batches of comparisons, on the host.

use crate::{comparison_queue::*, test_support, wire::read_unfit};
use cutover_core::{
    PartsPerMillion,
    compare::{DifferenceCount, DifferenceKind, Rule, RuleCount},
};

/// Milliseconds after which the claims of [`policy`] run out.
const EXPIRY_MS: i64 = 3 * 1_000 + 30_000;

/// The response to a request beyond the limit of comparisons under way.
const FULL: Ticket = Ticket::Refused(SkipReason::Concurrency);

/// Equal bodies, without a second response of legacy.
const EQUAL: [&str; 3] = ["1", "1", ""];

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

impl ComparisonQueue {
    /// Adds an entry that waits to be sent.
    pub(crate) fn add_waiting(&mut self, entry: ComparisonWindow) {
        self.waiting.push(entry);
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

    /// Requests a comparison. The draw is the one that falls into no share below 100 %.
    fn begin(&mut self, now: i64) -> Ticket {
        self.queue.begin(&self.rules.routes()[0], true, u64::MAX, now)
    }

    /// Claims a comparison and returns the number of the claim.
    fn claim(&mut self, now: i64) -> u32 {
        match self.begin(now) {
            Ticket::Compare(claim) | Ticket::WithNoise(claim) => claim,
            Ticket::Refused(reason) => panic!("{reason:?} at {now}"),
        }
    }

    fn skip(&mut self, claim: u32, now: i64) {
        self.queue.skip(&self.rules, &self.rules.routes()[0], claim, SkipReason::Unreachable, now);
    }

    /// Ends a comparison of the old body, the new one, and legacy's second one; an empty one is no second response.
    fn finish(&mut self, claim: u32, [old, new, again]: [&str; 3], now: i64) {
        let head = "200\napplication/json";
        let again = Some((head, again.as_bytes())).filter(|(_, body)| !body.is_empty());
        let answers =
            ResponsePair { old: (head, old.as_bytes()), new: (head, new.as_bytes()), misfit: None, again };
        self.queue.finish(&self.rules, &self.rules.routes()[0], claim, answers, now);
    }

    /// Claims a comparison and ends it at once.
    fn compare(&mut self, bodies: [&str; 3]) {
        let claim = self.claim(0);
        self.finish(claim, bodies, 0);
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
    held.claim(0);
    held.claim(10);
    assert_eq!(held.begin(EXPIRY_MS - 1), FULL);
    let third = held.claim(EXPIRY_MS);
    assert_eq!(held.begin(EXPIRY_MS), FULL, "the first claim ran out, the second did not");
    held.skip(third, EXPIRY_MS);
    assert_eq!(held.told().skipped, [(SkipReason::Timeout, 1), (SkipReason::Unreachable, 1)]);
}

#[test]
fn an_abandoned_slot_is_free_in_time_however_many_comparisons_end_meanwhile() {
    let mut held = Held::new(0, 2);
    held.claim(0);
    for now in (1..EXPIRY_MS).step_by(500) {
        let claim = held.claim(now);
        assert_eq!(held.begin(now), FULL, "{now}");
        held.finish(claim, EQUAL, now);
    }
    held.claim(EXPIRY_MS);
    held.claim(EXPIRY_MS);
}

#[test]
fn a_comparison_that_ends_after_its_claim_ran_out_frees_nothing_more() {
    let mut held = Held::new(0, 1);
    let claim = held.claim(0);
    held.finish(claim, EQUAL, EXPIRY_MS + 1);
    held.claim(EXPIRY_MS + 1);
    assert_eq!(held.begin(EXPIRY_MS + 1), FULL);
}

/// The slot of an abandoned comparison is that of a newer one when the old one ends after all.
#[test]
fn a_late_end_leaves_the_slot_of_a_newer_comparison_alone() {
    let mut held = Held::new(0, 1);
    let late = held.claim(0);
    let newer = held.claim(EXPIRY_MS);
    held.finish(late, ["1", "2", ""], EXPIRY_MS);
    assert_eq!(held.begin(EXPIRY_MS), FULL, "after a late result");
    held.skip(late, EXPIRY_MS);
    assert_eq!(held.begin(EXPIRY_MS), FULL, "after a late failure");
    held.finish(newer, EQUAL, EXPIRY_MS);
    let told = held.told();
    assert_eq!((told.compared, told.mismatched), (1, 0));
    assert_eq!(told.skipped, [(SkipReason::Timeout, 1)], "the late one counts as abandoned, once");
    held.claim(EXPIRY_MS);
}

#[test]
fn an_unfit_response_is_reported_by_its_place_and_not_by_the_error_that_says_so() {
    let mut held = Held::new(0, 1);
    let claim = held.claim(0);
    let unfit = read_unfit("sentence\nGET /r\nresults[].id\na list\ntrue").unwrap();
    let answers = ResponsePair {
        old: ("200\napplication/json", b"{\"results\":[]}"),
        new: ("502\ntext/plain", b"{\"code\":\"bad_answer\"}"),
        misfit: Some(unfit.difference()),
        again: None,
    };
    let is_mismatch = held.queue.finish(&held.rules, &held.rules.routes()[0], claim, answers, 0);
    assert_eq!(is_mismatch, Some(true));
    let told = held.told();
    let found: Vec<_> = told.differences.iter().map(|found| (found.kind, found.path.as_str())).collect();
    assert_eq!((found.len(), found[0].0), (2, DifferenceKind::Number), "the status: {found:?}");
    assert_eq!(found[1], (DifferenceKind::Type, "(adapter) results[].id"));
    assert_eq!(told.differences[1].example, ("a list".to_owned(), "true".to_owned()));
}

#[test]
fn no_verdict_is_given_before_noise_is_known() {
    let mut held = Held::new(10, 100);
    // All of these are claimed before the first one ends.
    let begun: Vec<Ticket> = (0..20).map(|_| held.begin(0)).collect();
    assert!(begun.iter().all(|ticket| matches!(ticket, Ticket::WithNoise(_))), "{begun:?}");
    for (request, ticket) in begun.iter().take(8).enumerate() {
        let Ticket::WithNoise(claim) = ticket else { panic!("{ticket:?}") };
        held.finish(*claim, ["{\"id\":1}", "{\"id\":2}", &format!("{{\"id\":{}}}", request + 3)], 0);
    }
    let Ticket::Compare(claim) = held.begin(0) else { panic!("noise was measured eight times") };
    held.finish(claim, ["{\"id\":1}", "{\"id\":2}", ""], 0);
    let told = held.told();
    assert_eq!((told.compared, told.mismatched, told.noise_compared), (9, 0, 8), "{told:#?}");
}

#[test]
fn a_real_difference_is_one_from_the_first_comparison_on() {
    let mut held = Held::new(10, 100);
    for _ in 0..8 {
        held.compare(["{\"id\":1}", "{\"id\":2}", "{\"id\":1}"]);
    }
    held.compare(["{\"id\":1}", "{\"id\":2}", ""]);
    let told = held.told();
    assert_eq!((told.compared, told.mismatched), (9, 9));
}

#[test]
fn without_the_second_response_that_would_tell_nothing_is_counted() {
    let mut held = Held::new(10, 100);
    // Deeper than the policy permits.
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    held.compare(["1", "2", &deep]);
    let told = held.told();
    assert_eq!((told.compared, told.skipped), (0, vec![(SkipReason::Depth, 1)]));
    // Legacy has no JSON: its own two responses have nothing to compare, the backends have.
    held.compare(["<p>", "{}", "<p>"]);
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
        held.compare([&value(request, 0), &value(request, 1), &value(request, 3)]);
    }
    let told = held.told();
    let found = told.differences.iter().map(|counted| counted.count).sum::<u64>();
    assert_eq!((told.compared, found, told.mismatched), (500, 200, 1));
}

#[test]
fn rules_are_counted_by_the_comparisons_in_which_they_match() {
    let rule = |path: &str| Rule { path: path.to_owned(), unordered: true, ..Rule::default() };
    let compare = Comparison { rules: vec![rule("a"), rule("b")], ..policy(100, 100) };
    let mut held = Held { rules: rules(compare), queue: ComparisonQueue::default() };
    held.compare(["{\"a\":1}", "{\"a\":2}", "{\"b\":1}"]);
    held.compare(["{}", "{}", "{}"]);
    // Without bodies that are JSON, nothing is known.
    held.compare(["<p>", "<p>", "<p>"]);
    let count = |path: &str, matched: u64| RuleCount { path: path.to_owned(), compared: 2, matched };
    // Only the backends are compared by their rules, not legacy with itself.
    assert_eq!(held.told().rules, [count("a", 1), count("b", 0)]);
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
    // Rules take as much room as differences.
    let rule = |index: usize| RuleCount { path: format!("field{index}"), compared: 1, matched: 0 };
    let with_rules = |window: i64| {
        let entry = entry(window, 60);
        let tally = Tally { rules: (0..60).map(rule).collect(), ..entry.tally };
        ComparisonWindow { tally, ..entry }
    };
    let waiting = (0..4).map(with_rules).collect();
    let mut comparing = ComparisonQueue { waiting, ..ComparisonQueue::default() };
    assert_eq!(comparing.take().len(), 2);
    let mut one = ComparisonQueue { waiting: vec![entry(0, 1_000)], ..ComparisonQueue::default() };
    assert_eq!(one.take().len(), 1, "an entry larger than a batch is sent alone");
}
