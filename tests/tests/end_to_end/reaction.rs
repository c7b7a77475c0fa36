//! The time from the batch that completes the evidence of a fault to the last isolate that sends nobody to the new arm any more.
//!
//! Everything has its deployed intervals, and none is scaled: passes, the lease and the age of a head are constants of the
//! functions, and the machine's own times would not be scaled with them. One part is missing: the stand-in's log is readable
//! at once, and DynamoDB's some hundred milliseconds later.

use cutover_core::{
    Arm,
    canary::{Breach, Run, fold, windows},
    measurement::batch::Batch,
    statistics::split_mix::SplitMix64,
};
use cutover_lambda::{clock, store::Store};
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
use std::time::{Duration, Instant};

/// Time that an invocation lives.
const LIFETIME: Duration = Duration::from_secs(170);

/// Parts of the time of one isolate.
const PARTS: [&str; 6] = ["pass", "fold and judge", "commit", "question and head", "way", "whole"];

/// Times of one isolate, in seconds.
type Times = [f64; PARTS.len()];

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
        let sent = Instant::now();
        traffic.send(2_000, 1_000).await;
        assert!(traffic.breach().is_some(), "the batch does not complete the evidence");

        let heard = isolates.heard(2, Duration::from_secs(40)).await;
        assert!(heard.iter().all(|news| news.is_stop), "the answer has no brake");
        let calls = dynamodb.proxy.calls();
        let first = heard.iter().map(|news| news.answered).min().expect("isolates");
        heard.iter().map(|news| times(&calls, sent, first, news)).collect()
    }
}

/// Divides the time of an isolate by the calls of evaluation, whose decision the first isolate heard of at `first`.
fn times(calls: &[Call], sent: Instant, first: Instant, news: &News) -> Times {
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
        since(read, sent),
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

mod alone {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn seconds_after_the_evidence_is_complete_nobody_is_sent_to_the_new_arm() {
        let (trials, at_once) = if is_deep() { (300, 8) } else { (3, 3) };
        let lived = stream::iter((1..=trials).map(|seed| Trial::drawn(seed).run()));
        let samples: Vec<Times> =
            lived.buffer_unordered(at_once).collect::<Vec<_>>().await.into_iter().flatten().collect();
        println!("{trials} trials, {} isolates; seconds      p50    p99    max", samples.len());
        let mut whole = Vec::new();
        for (part, name) in PARTS.iter().enumerate() {
            let mut sorted: Vec<f64> = samples.iter().map(|times| times[part]).collect();
            sorted.sort_by(f64::total_cmp);
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile(&sorted, share));
            println!("{name:>30} {p50:>12.2} {p99:>6.2} {max:>6.2}");
            whole = sorted;
        }
        assert!(quantile(&whole, 1.0) <= 25.0, "{whole:?}");
        // A few trials on a busy machine say nothing of the hundredth.
        assert!(!is_deep() || quantile(&whole, 0.99) <= 10.0, "{whole:?}");
    }
}
