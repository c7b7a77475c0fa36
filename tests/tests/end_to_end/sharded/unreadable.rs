//! Shards that cannot be read for a while: no decision on the evidence of the others waits for them, and nothing is lost.

use super::{FLAGS, ISOLATES, Sharded, first_pass};
use cutover_core::{Arm, canary::RunState, measurement::batch::Batch};
use cutover_lambda::{clock, measurement::evaluate::invocation};
use cutover_tests::{
    batches::{begin_runs, cell, counts, name, store_batch},
    fault_proxy::Fault,
    invocations::Invocation,
    is_deep,
    stream_proxy::ShardTrouble,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Media type of DynamoDB's responses.
const KIND: &str = "application/x-amz-json-1.0";

/// One of two shards cannot be read from the first reading on. Asserts that a fault that the other one shows is acted on
/// within a time, and that everything is counted in the end.
async fn rolls_back_beside(trouble: ShardTrouble, limit: Duration) {
    let mut sharded = Sharded::start(2).await;
    let store = sharded.platform.store.clone();
    let run = begin_runs(&store, &FLAGS).await.remove(0);
    let broken = sharded.dynamodb.stream.open_shards().remove(0);
    sharded.dynamodb.stream.trouble(&broken, Some(trouble));
    let evaluating = Invocation::start(&sharded.dynamodb.url(), Duration::from_secs(60), Duration::ZERO);
    first_pass(&sharded).await;
    // In a deep run, longer than an invocation goes on that can read nothing at all.
    tokio::time::sleep(Duration::from_secs(if is_deep() { 13 } else { 1 })).await;
    let stored = Instant::now();
    for isolate in 0..ISOLATES {
        let cells = vec![
            cell("one", Some(&run), Arm::New, counts(2_000, 1_000)),
            cell("two", None, Arm::New, counts(2_000, 0)),
        ];
        store_batch(&store, &Batch { cells, ..Batch::empty(format!("{isolate:032x}"), 1) }).await;
        sharded.sent += 2_000;
    }
    while store.state().await.unwrap().runs[&name("one")].state != RunState::RolledBack {
        assert!(stored.elapsed() < limit, "one shard holds up the decision on the other");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("rolled back {:.1} s after the batches", stored.elapsed().as_secs_f64());
    assert_eq!(sharded.cursor().await.through, 0, "the log was not read to its end");
    drop(evaluating);
    sharded.dynamodb.stream.trouble(&broken, None);
    sharded.counts_are_exact(ISOLATES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_throttled_delays_no_rollback() {
    rolls_back_beside(ShardTrouble::Throttled, Duration::from_secs(if is_deep() { 6 } else { 10 })).await;
}

/// Each pass waits 3 s for it, and the batches arrive while one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_hangs_delays_a_rollback_by_two_passes() {
    rolls_back_beside(ShardTrouble::Hanging, Duration::from_secs(if is_deep() { 12 } else { 16 })).await;
}

/// A backlog of the others is read on in the same pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_cannot_be_read_does_not_end_the_reading_of_the_others() {
    let mut sharded = Sharded::start(2).await;
    sharded.evaluate().await;
    let before = sharded.cursor().await.through;
    let stream = &sharded.dynamodb.stream;
    let broken = stream.open_shards().remove(0);
    stream.trouble(&broken, Some(ShardTrouble::Throttled));
    stream.page_sizes(1, 2);
    sharded.send(ISOLATES).await;
    let batches = sharded.evaluate().await.batches;
    assert!((2..ISOLATES as usize).contains(&batches), "{batches}: one page of one batch was read");
    assert_eq!(sharded.evaluate().await.batches, 0, "the other shard was not read to its end");
    assert_eq!(sharded.cursor().await.through, before, "counts are called complete");
    sharded.dynamodb.stream.trouble(&broken, None);
    sharded.counts_are_exact(ISOLATES).await;
    assert!(sharded.cursor().await.through > before);
}

/// The next one works at once, and not when the lease lapses.
#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_that_fails_gives_its_lease_up() {
    let mut sharded = Sharded::start(1).await;
    sharded.send(1).await;
    let refusal =
        json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "no" });
    let refused = Fault::Answer(400, KIND, refusal.to_string().into());
    // The roll of isolates, behind the cursor.
    sharded.dynamodb.proxy.on_next("x-amz-target", "PutItem", refused);
    assert!(invocation(&sharded.platform).await.is_err());
    assert_eq!(sharded.dynamodb.proxy.awaited(), 0);
    let lease = sharded.platform.store.take_lease(clock::now().millis(), 0).await.unwrap();
    assert!(lease.is_some(), "it still holds the lease");
    sharded.counts_are_exact(1).await;
}
