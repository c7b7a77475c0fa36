//! Evaluation over a log of many shards, which split, end, are left out of listings and expire, while folds die and run beside
//! each other.

mod expired;
mod listings;
mod unreadable;

use cutover_core::{Arm, canary::RunState, measurement::batch::Batch, statistics::split_mix::SplitMix64};
use cutover_lambda::{
    clock,
    measurement::evaluate::{Tick, invocation},
    platform::Platform,
    store::{BatchStatus, Cursor, Ledger},
};
use cutover_tests::{
    batches::{begin_runs, cell, counts, name, store_batch},
    dynamodb::DynamoDb,
    functions::{evaluate_process, platform},
    invocations::{Invocation, advance},
    is_deep,
};
use std::{
    collections::BTreeMap,
    pin::pin,
    time::{Duration, Instant},
};

const FLAGS: [&str; 2] = ["one", "two"];

const ISOLATES: u64 = 16;

/// Evaluation over a log that begins with some shards.
struct Sharded {
    dynamodb: DynamoDb,
    platform: Platform,
    /// Number of the newest batch of every isolate.
    sequence: u64,
    /// Requests in the batches that were stored, of each flag.
    sent: u64,
    dice: SplitMix64,
}

impl Sharded {
    async fn start(shards: usize) -> Self {
        let dynamodb = DynamoDb::sharded(shards).await;
        let platform = platform(&dynamodb, &[]).await;
        Self { dynamodb, platform, sequence: 0, sent: 0, dice: SplitMix64::new(11) }
    }

    /// Stores a batch of both flags of some isolates. The numbers of requests are drawn, so that no loss makes up for what
    /// is counted twice.
    async fn send(&mut self, isolates: u64) {
        self.sequence += 1;
        for isolate in 0..isolates {
            let requests = self.dice.draw() % 1_000_000 + 1;
            let cells = FLAGS.map(|flag| cell(flag, None, Arm::New, counts(requests, 0))).into();
            let batch = Batch { cells, ..Batch::empty(format!("{isolate:032x}"), self.sequence) };
            assert_eq!(store_batch(&self.platform.store, &batch).await, BatchStatus::New);
            self.sent += requests;
        }
    }

    /// Runs an invocation, which may fail. Its lease lapses then.
    async fn evaluate_somehow(&self) -> bool {
        let is_over = invocation(&self.platform).await.is_ok();
        self.dynamodb.lapse_lease();
        is_over
    }

    async fn evaluate(&self) -> Tick {
        let tick = invocation(&self.platform).await.unwrap();
        assert!(tick.worked, "somebody holds the lease");
        tick
    }

    /// Evaluates until nothing is left, on a platform that is kind again.
    async fn settle(&self) {
        let stream = &self.dynamodb.stream;
        stream.list_all();
        stream.empty_pages(None);
        stream.throttle(0);
        self.dynamodb.lapse_lease();
        while self.evaluate().await.batches > 0 {}
    }

    async fn cursor(&self) -> Cursor {
        self.platform.store.cursor().await.unwrap()
    }

    async fn ledger(&self, flag: &str) -> Ledger {
        self.platform.store.ledger(Some(&name(flag))).await.unwrap()
    }

    /// Returns the ledgers of both flags.
    async fn ledgers(&self) -> [Ledger; 2] {
        let [one, two] = FLAGS;
        [self.ledger(one).await, self.ledger(two).await]
    }

    async fn requests(&self, flag: &str) -> u64 {
        let ledger = self.ledger(flag).await;
        ledger.series.iter().map(|series| series.counts.requests).sum()
    }

    /// Settles, and asserts that every batch is counted once in each ledger.
    async fn counts_are_exact(&self, batches: u64) {
        self.settle().await;
        for flag in FLAGS {
            assert_eq!(self.requests(flag).await, self.sent, "{flag}");
        }
        let cursor = self.cursor().await;
        assert_eq!((cursor.totals.batches, cursor.parked), (batches, BTreeMap::new()));
    }

    /// Makes trouble that loses nothing.
    fn trouble(&mut self) {
        let stream = &self.dynamodb.stream;
        let open = stream.open_shards();
        let chosen = self.dice.draw() % open.len() as u64;
        let shard = &open[usize::try_from(chosen).unwrap()];
        match self.dice.draw() % 8 {
            0 if open.len() < 5 => stream.split_all(),
            0 | 1 => stream.split(shard),
            2 => stream.unlist(shard),
            3 => stream.unlist_ended(),
            4 => stream.expire_iterators(),
            5 => stream.throttle(3),
            // More than the SDK tries.
            6 => stream.throttle(12),
            _ => stream.list_all(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_exact_while_shards_split_end_and_are_left_out_of_listings() {
    let rounds = if is_deep() { 150 } else { 12 };
    let mut sharded = Sharded::start(3).await;
    sharded.dynamodb.stream.page_sizes(4, 2);
    sharded.dynamodb.stream.empty_pages(Some(3));
    let mut failed = 0;
    for _ in 0..rounds {
        sharded.send(ISOLATES).await;
        sharded.trouble();
        failed += u32::from(!sharded.evaluate_somehow().await);
    }
    println!(
        "{} shards in the end, {failed} invocations failed",
        sharded.dynamodb.stream.open_shards().len()
    );
    sharded.counts_are_exact(rounds * ISOLATES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_dies_anywhere_while_shards_split_counts_nothing_twice() {
    let stride = if is_deep() { 1 } else { 9 };
    let mut sharded = Sharded::start(1).await;
    let (mut waits, mut batches) = (1, 0);
    loop {
        sharded.send(3).await;
        batches += 3;
        let open = sharded.dynamodb.stream.open_shards();
        if waits % 4 == 1 && open.len() < 5 {
            sharded.dynamodb.stream.split(&open[0]);
        }
        let mut dying = pin!(invocation(&sharded.platform));
        let is_over = advance(dying.as_mut(), waits).await.is_some_and(|ended| ended.is_ok());
        sharded.dynamodb.lapse_lease();
        if is_over {
            break;
        }
        waits += stride;
        assert!(waits < 3_000, "an invocation ends");
    }
    println!("an invocation that died at every {stride}th of {waits} waits: {batches} batches");
    sharded.counts_are_exact(batches).await;
}

/// Its lease lapses while it sleeps, and another one does its work. When it wakes up it writes nothing, and takes no flag for
/// faulty.
#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_that_wakes_up_without_its_lease_writes_nothing() {
    let mut sharded = Sharded::start(2).await;
    sharded.send(3).await;
    let mut batches = 3;
    // The number of times that an invocation waits.
    let all = {
        let mut probed = pin!(invocation(&sharded.platform));
        let mut waits = 0;
        while advance(probed.as_mut(), 1).await.is_none() {
            waits += 1;
        }
        waits
    };
    let sleeps = if is_deep() { 60 } else { 8 };
    let (mut slept, mut worked_in_vain) = (0, 0);
    for waits in (1..sleeps).map(|index| all * index / sleeps) {
        sharded.send(3).await;
        batches += 3;
        sharded.dynamodb.stream.split(&sharded.dynamodb.stream.open_shards()[0]);
        let mut zombie = pin!(invocation(&sharded.platform));
        if advance(zombie.as_mut(), waits.max(1)).await.is_some() {
            continue;
        }
        slept += 1;
        // What it has sent arrives.
        tokio::time::sleep(Duration::from_millis(200)).await;
        sharded.dynamodb.lapse_lease();
        sharded.evaluate().await;
        let store = &sharded.platform.store;
        let before = (sharded.cursor().await, sharded.ledgers().await);
        let held = store.take_lease(clock::now().millis(), 0).await.unwrap().expect("it was given up");
        let woken = zombie.await;
        assert!(
            store.renew_lease(held, clock::now().millis(), true).await.unwrap(),
            "it took the lease back"
        );
        assert_eq!((sharded.cursor().await, sharded.ledgers().await), before);
        if let Ok(tick) = woken {
            worked_in_vain += u32::from(tick.worked && tick.passes > 0);
            assert_eq!(tick.behind, Vec::<String>::new(), "a flag is blamed for the lease");
        }
    }
    println!("{slept} slept at some of {all} waits, {worked_in_vain} worked in vain");
    assert!(worked_in_vain > 0, "none had anything to write");
    sharded.counts_are_exact(batches).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_invocations_at_once_count_everything_once() {
    let rounds = if is_deep() { 60 } else { 8 };
    let mut sharded = Sharded::start(3).await;
    for round in 0..rounds {
        sharded.send(ISOLATES).await;
        if round % 3 == 0 {
            sharded.dynamodb.stream.split(&sharded.dynamodb.stream.open_shards()[0]);
        }
        // One loses its lease to the other anywhere in its work.
        let lapse = async {
            tokio::time::sleep(Duration::from_millis(round * 17 % 150)).await;
            sharded.dynamodb.lapse_lease();
            invocation(&sharded.platform).await
        };
        let _ = tokio::join!(invocation(&sharded.platform), lapse);
        sharded.dynamodb.lapse_lease();
    }
    sharded.counts_are_exact(rounds * ISOLATES).await;
}

/// Both canaries have a hole in their evidence, and do not climb. The alarm counts the event.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_expire_unread_are_a_gap_of_every_running_canary_and_the_fold_goes_on() {
    let mut sharded = Sharded::start(2).await;
    let runs = begin_runs(&sharded.platform.store, &FLAGS).await;
    let process = evaluate_process(&sharded.dynamodb, &[]).await;
    sharded.send(ISOLATES).await;
    process.tick("evaluate").await.unwrap();
    let (before, counted) = (sharded.cursor().await, sharded.sent);
    assert_eq!(before.gaps, BTreeMap::new());
    sharded.send(ISOLATES).await;
    sharded.dynamodb.stream.trim();
    let expired = sharded.sent - counted;
    sharded.send(ISOLATES).await;
    process.tick("evaluate").await.unwrap();
    let noted = sharded.cursor().await;
    for run in &runs {
        assert_eq!(noted.gaps[run.flag.as_str()].since.millis(), before.through);
        assert_eq!(noted.through_of(run), before.through, "its evidence has a hole");
        assert_eq!(sharded.requests(run.flag.as_str()).await, sharded.sent - expired, "the fold goes on");
        let output = process.output();
        let event = |line: &str| line.contains("\"flag_gap\"") && line.contains(&format!("\"{}\"", run.flag));
        assert!(output.lines().any(event), "{output}");
    }
    sharded.send(ISOLATES).await;
    process.tick("evaluate").await.unwrap();
    assert_eq!(sharded.cursor().await.gaps, noted.gaps, "noted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_flag_is_caught_up_across_splits() {
    let mut sharded = Sharded::start(2).await;
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    sharded.dynamodb.set_schema("LEDGER#one", "HEAD", 99);
    for round in 0..3 {
        sharded.send(ISOLATES).await;
        match round {
            0 => sharded.dynamodb.stream.split_all(),
            1 => sharded.dynamodb.stream.split(&sharded.dynamodb.stream.open_shards()[0]),
            _ => sharded.dynamodb.stream.unlist_ended(),
        }
        sharded.send(ISOLATES).await;
        sharded.evaluate().await;
    }
    assert!(sharded.cursor().await.parked.contains_key("one"));
    assert_eq!(sharded.requests("two").await, sharded.sent, "the other does not wait");
    sharded.dynamodb.set_schema("LEDGER#one", "HEAD", 1);
    // Another shard appears while the flag is read apart.
    sharded.dynamodb.stream.split_all();
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    sharded.counts_are_exact(8 * ISOLATES).await;
    assert_eq!(sharded.cursor().await.gaps, BTreeMap::new());
}

/// The ledger does not know of the shards in which its records were: they began and expired while it could not be read. It
/// has a gap, and is not parked for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_flag_whose_shards_are_gone_has_a_gap_and_goes_on() {
    let mut sharded = Sharded::start(1).await;
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    let counted = sharded.sent;
    sharded.dynamodb.set_schema("LEDGER#one", "HEAD", 99);
    sharded.dynamodb.stream.split_all();
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    sharded.dynamodb.stream.split_all();
    sharded.evaluate().await;
    sharded.dynamodb.stream.unlist_ended();
    sharded.dynamodb.stream.trim();
    sharded.dynamodb.set_schema("LEDGER#one", "HEAD", 1);
    let expired = sharded.sent - counted;
    sharded.evaluate().await;
    let cursor = sharded.cursor().await;
    assert_eq!(cursor.parked, BTreeMap::new());
    assert_eq!(cursor.gaps.keys().collect::<Vec<_>>(), ["one"]);
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    assert_eq!(sharded.requests("one").await, sharded.sent - expired);
    assert_eq!(sharded.requests("two").await, sharded.sent);
}

/// Waits until the stream is read, and for the pass to end.
async fn first_pass(sharded: &Sharded) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while sharded.dynamodb.stream.reads() == 0 {
        assert!(Instant::now() < deadline, "nobody reads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
}

/// The shards are listed again every 10 s; those that follow one that has ended are read at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_split_delays_no_decision() {
    let sharded = Sharded::start(2).await;
    let store = &sharded.platform.store;
    let runs = begin_runs(store, &FLAGS).await;
    let _evaluating = Invocation::start(&sharded.dynamodb.url(), Duration::from_secs(60), Duration::ZERO);
    first_pass(&sharded).await;
    sharded.dynamodb.stream.split_all();
    let cells = vec![cell("one", Some(&runs[0]), Arm::New, counts(2_000, 1_000))];
    let stored = Instant::now();
    store_batch(store, &Batch { cells, ..Batch::empty("a".repeat(32), 1) }).await;
    loop {
        let state = store.state().await.unwrap();
        if state.runs[&name("one")].state == RunState::RolledBack {
            break;
        }
        assert!(stored.elapsed() < Duration::from_secs(8), "the new shards are not read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "rolled back {:.1} s after a batch in a shard that had just begun",
        stored.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_throttled_for_a_while_ends_no_invocation() {
    let mut sharded = Sharded::start(2).await;
    // It works for five seconds, and keeps ten for its end.
    let evaluating = Invocation::start(&sharded.dynamodb.url(), Duration::from_secs(15), Duration::ZERO);
    first_pass(&sharded).await;
    sharded.send(ISOLATES).await;
    // Every attempt of the next pass.
    sharded.dynamodb.stream.throttle(8);
    let tick = evaluating.ended().await.unwrap();
    assert!(tick.worked && tick.passes >= 2, "{tick:?}");
    sharded.counts_are_exact(ISOLATES).await;
}

/// Reading a backlog takes longer than the lease lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_does_not_cost_the_lease() {
    let mut sharded = Sharded::start(1).await;
    sharded.send(ISOLATES).await;
    sharded.dynamodb.stream.page_sizes(1, 1);
    sharded.dynamodb.stream.slow_reads(Duration::from_millis(700));
    let started = clock::now().millis();
    let reading = Invocation::start(&sharded.dynamodb.url(), Duration::ZERO, Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    let store = &sharded.platform.store;
    // Taken once, it would have lapsed then.
    assert_eq!(store.take_lease(started + 11_500, 0).await.unwrap(), None, "nobody renews the lease");
    sharded.dynamodb.stream.slow_reads(Duration::ZERO);
    assert!(reading.ended().await.unwrap().worked);
    sharded.counts_are_exact(ISOLATES).await;
}
