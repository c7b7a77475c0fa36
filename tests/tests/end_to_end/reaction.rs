//! The time from the batch that completes the evidence of a fault to the last isolate that sends nobody to the new arm any more.
//!
//! Everything has its deployed intervals, and none is scaled: passes, the lease and the age of a head are constants of the
//! functions, and the machine's own times would not be scaled with them. The stand-in's log would be readable at once; it is as
//! late as DynamoDB's, or later.

use cutover_core::{
    Arm,
    canary::{Breach, Run, fold, windows},
    measurement::batch::Batch,
    statistics::split_mix::SplitMix64,
};
use cutover_lambda::{clock, measurement::evaluate::invocation, store::Store};
use cutover_tests::{
    batches::{begin_runs, cell, counts, store_batch},
    dynamodb::DynamoDb,
    fault_proxy::Call,
    functions::{connected, platform},
    invocations::Invocation,
    is_deep,
    isolates::{Isolates, News},
};
use futures_util::{StreamExt, stream};
use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// Time that an invocation lives.
const LIFETIME: Duration = Duration::from_secs(170);

/// Ages at which batches become readable, in milliseconds.
const READABLE_MS: RangeInclusive<u64> = 200..=1_000;

/// A part of the time of one isolate, and its bound at the 99th percentile, in seconds.
struct Part {
    name: &'static str,
    p99: f64,
}

const fn part(name: &'static str, p99: f64) -> Part {
    Part { name, p99 }
}

/// The budget. The parts need not take their longest together, so the whole has less than their sum.
const BUDGET: [Part; 7] = [
    part("stream", 1.5),
    // Two seconds from pass to pass, and the renewal of the lease ahead of the reading.
    part("pass", 2.2),
    part("fold and judge", 1.0),
    part("commit", 0.5),
    // The longest interval of questions, and the greatest age of a head.
    part("question and head", 4.8 + 0.25),
    part("way", 0.4),
    part("whole", 10.0),
];

/// Multiple of its bound that a part takes at most in a few trials on a busy machine, which say nothing of the hundredth.
const FEW_TRIALS: f64 = 2.5;

/// Times of one isolate, in seconds, in the order of the budget.
type Times = [f64; BUDGET.len()];

/// Batches of one isolate with requests of both arms.
struct Traffic {
    store: Store,
    run: Run,
    /// Everything that was stored, with the times of arrival.
    stored: Vec<(i64, Batch)>,
}

impl Traffic {
    /// Stores a batch of which so many requests of the new arm failed.
    async fn send(&mut self, requests: u64, errors: u64) {
        let flag = self.run.flag.as_str();
        let cells = vec![
            cell(flag, Some(&self.run), Arm::New, counts(requests, errors)),
            cell(flag, Some(&self.run), Arm::Legacy, counts(requests, 0)),
        ];
        let sequence = self.stored.len() as u64 + 1;
        let batch = Batch { cells, ..Batch::empty("a".repeat(32), sequence) };
        store_batch(&self.store, &batch).await;
        self.stored.push((clock::now().millis(), batch));
    }

    /// Returns the breach that everything stored so far is evidence of.
    fn breach(&self) -> Option<Breach> {
        let until = clock::now().millis() + 1;
        let arrivals = self.stored.iter().map(|(at, batch)| (*at, batch));
        fold(&self.run, None, &windows(&self.run.id, &self.run.plan, arrivals, until)).breach
    }
}

/// A trial, with all its chances.
struct Trial {
    seed: u64,
    isolates: usize,
    /// Starts of the invocations and their lifetimes.
    invocations: Vec<(Duration, Duration)>,
    /// Time of the fault.
    fault: Duration,
}

impl Trial {
    fn drawn(seed: u64) -> Self {
        let mut dice = SplitMix64::new(seed);
        let mut within = |from: f64, to: f64| {
            let share = (dice.draw() >> 11) as f64 / (1_u64 << 53) as f64;
            from + (to - from) * share
        };
        if !is_deep() {
            let fault = Duration::from_secs_f64(within(0.7, 2.7));
            return Self { seed, isolates: 3, invocations: vec![(Duration::ZERO, LIFETIME)], fault };
        }
        // Each minute one starts, somewhere in it. The trial begins somewhere in a minute, a little before its fault: one of
        // those that live works, and the others stand by.
        let began = within(0.0, 60.0);
        let starts = (-3..=1).map(|minute| 60.0 * f64::from(minute) + within(0.0, 60.0) - began);
        let ends = starts.map(|start| (start, start + LIFETIME.as_secs_f64())).filter(|(_, end)| *end > 0.0);
        // The oldest has the lease, so it is first here too.
        let invocation = |(order, (start, end)): (usize, (f64, f64))| {
            let after = start.max(order as f64 / 10.0);
            (Duration::from_secs_f64(after), Duration::from_secs_f64((end - after).max(0.0)))
        };
        let invocations = ends.enumerate().map(invocation).collect();
        Self { seed, isolates: 8, invocations, fault: Duration::from_secs_f64(within(4.0, 6.0)) }
    }

    /// Lives through the trial. Returns the times of each isolate.
    async fn run(self) -> Vec<Times> {
        let dynamodb = DynamoDb::start().await;
        dynamodb.stream.late_batches(READABLE_MS);
        let store = platform(&dynamodb, &[]).await.store;
        let run = begin_runs(&store, &["one"]).await.remove(0);
        let url = dynamodb.url();
        let isolates = Isolates::start(vec![connected(&url, &[])], self.isolates, self.seed).await;
        let started = self.invocations.iter().map(|(after, life)| Invocation::start(&url, *life, *after));
        let _invocations: Vec<Invocation> = started.collect();

        let mut traffic = Traffic { store, run, stored: Vec::new() };
        let fault = Instant::now() + self.fault;
        while Instant::now() < fault {
            traffic.send(20, 0).await;
            let rest = fault.saturating_duration_since(Instant::now());
            tokio::time::sleep(rest.min(Duration::from_secs(1))).await;
        }
        assert_eq!(traffic.breach(), None, "the evidence is complete too early");
        dynamodb.proxy.record_calls();
        let (sent, sent_at) = (Instant::now(), clock::now().millis());
        traffic.send(2_000, 1_000).await;
        assert!(traffic.breach().is_some(), "the batch does not complete the evidence");

        let heard = isolates.heard(2, Duration::from_secs(40)).await;
        assert!(heard.iter().all(|news| news.is_stop), "the answer has no brake");
        let late_ms = dynamodb.stream.readable_at().saturating_sub(sent_at);
        let readable = sent + Duration::from_millis(u64::try_from(late_ms).unwrap_or_default());
        let calls = dynamodb.proxy.calls();
        let first = heard.iter().map(|news| news.answered).min().expect("isolates");
        heard.iter().map(|news| times(&calls, [sent, readable], first, news)).collect()
    }
}

/// Divides the time of an isolate by the times at which the batch was sent and became readable, and by the calls of evaluation,
/// whose decision the first isolate heard of at `first`.
fn times(calls: &[Call], [sent, readable]: [Instant; 2], first: Instant, news: &News) -> Times {
    let of =
        |action: &'static str| calls.iter().filter(move |call| call.action == action && call.began >= sent);
    // The checkpoint of the ledger, unless it was written already, and the decision.
    let written: Vec<&Call> = of("TransactWriteItems").filter(|call| call.ended <= first).collect();
    let Some(decision) = written.last() else { panic!("no decision: {calls:#?}") };
    let read_before = |call: &Call| {
        let before = of("GetRecords").map(|read| read.began).filter(|began| *began < call.began);
        before.max().unwrap_or(sent)
    };
    let read = read_before(decision);
    let checkpoint = written.iter().find(|call| call.began > read).unwrap_or(decision);
    let since = |to: Instant, from: Instant| to.saturating_duration_since(from).as_secs_f64();
    [
        since(readable, sent),
        since(read, readable),
        since(checkpoint.began, read),
        since(decision.ended, checkpoint.began),
        since(news.asked, decision.ended),
        since(news.answered, news.asked),
        since(news.answered, sent),
    ]
}

/// Returns a quantile of sorted numbers.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// The delay of the log is a part of what is measured.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_not_readable_yet_decides_nothing() {
    let dynamodb = DynamoDb::start().await;
    dynamodb.stream.late_batches(3_000..=3_000);
    let platform = platform(&dynamodb, &[]).await;
    let run = begin_runs(&platform.store, &["one"]).await.remove(0);
    let cells = vec![cell("one", Some(&run), Arm::New, counts(2_000, 1_000))];
    store_batch(&platform.store, &Batch { cells, ..Batch::empty("a".repeat(32), 1) }).await;
    assert_eq!(invocation(&platform).await.unwrap().batches, 0);
    let late_ms = dynamodb.stream.readable_at() - clock::now().millis();
    tokio::time::sleep(Duration::from_millis(u64::try_from(late_ms).unwrap_or_default() + 1)).await;
    assert_eq!(invocation(&platform).await.unwrap().batches, 1);
}

mod alone {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn seconds_after_the_evidence_is_complete_nobody_is_sent_to_the_new_arm() {
        let (trials, at_once) = if is_deep() { (300, 8) } else { (3, 3) };
        let lived = stream::iter((1..=trials).map(|seed| Trial::drawn(seed).run()));
        let samples: Vec<Times> =
            lived.buffer_unordered(at_once).collect::<Vec<_>>().await.into_iter().flatten().collect();
        println!("{trials} trials, {} isolates; seconds      p50    p99    max  bound", samples.len());
        let mut missed = Vec::new();
        for (index, Part { name, p99: bound }) in BUDGET.iter().enumerate() {
            let mut sorted: Vec<f64> = samples.iter().map(|times| times[index]).collect();
            sorted.sort_by(f64::total_cmp);
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile(&sorted, share));
            println!("{name:>30} {p50:>12.2} {p99:>6.2} {max:>6.2} {bound:>6.2}");
            let is_met = if is_deep() { p99 <= *bound } else { max <= FEW_TRIALS * bound };
            if !is_met {
                missed.push(format!("{name}: p99 {p99:.2} s, max {max:.2} s, bound {bound:.2} s"));
            }
        }
        assert_eq!(missed, Vec::<String>::new());
        let longest = samples.iter().map(|times| times[BUDGET.len() - 1]).fold(0.0, f64::max);
        assert!(longest <= FEW_TRIALS * BUDGET[BUDGET.len() - 1].p99, "{longest:.2} s");
    }
}
