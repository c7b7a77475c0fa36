//! Listings that are late: a log is not at its end while a shard must be there that is not listed.

use super::{ISOLATES, Sharded};
use serde_json::json;
use std::time::Duration;

/// A log without an open shard is not at its end: a listing is late.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_not_called_complete_while_no_open_shard_is_known() {
    let mut sharded = Sharded::start(2).await;
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    let stream = &sharded.dynamodb.stream;
    stream.split_all();
    stream.open_shards().iter().for_each(|shard| stream.unlist(shard));
    // The ends of the two old shards are read, and nothing else.
    sharded.evaluate().await;
    let before = sharded.cursor().await.through;
    sharded.send(ISOLATES).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sharded.evaluate().await.batches, 0);
    assert_eq!(sharded.cursor().await.through, before);
    sharded.counts_are_exact(2 * ISOLATES).await;
    assert!(sharded.cursor().await.through > before);
}

/// Another shard is open, and those that follow the one that has ended are not listed yet. What arrives in them is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_not_called_complete_while_no_shard_is_listed_that_follows_one_that_has_ended() {
    let mut sharded = Sharded::start(2).await;
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    let before = sharded.cursor().await.through;
    let stream = &sharded.dynamodb.stream;
    let open = stream.open_shards();
    stream.split(&open[0]);
    stream.open_shards().iter().filter(|shard| !open.contains(shard)).for_each(|shard| stream.unlist(shard));
    // The end of the old shard is read by the first, and known to the second.
    for _ in 0..2 {
        sharded.send(ISOLATES).await;
        let batches = sharded.evaluate().await.batches;
        assert!((1..2 * ISOLATES as usize).contains(&batches), "{batches}: the other shard is read");
        assert_eq!(sharded.cursor().await.through, before);
    }
    sharded.counts_are_exact(3 * ISOLATES).await;
    assert!(sharded.cursor().await.through > before);
}

/// A stream that was switched off ends its shards, and none follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_none_follows_is_waited_for_ten_minutes() {
    let mut sharded = Sharded::start(2).await;
    sharded.send(ISOLATES).await;
    let stream = &sharded.dynamodb.stream;
    let open = stream.open_shards();
    stream.split(&open[0]);
    stream.open_shards().iter().filter(|shard| !open.contains(shard)).for_each(|shard| stream.unlist(shard));
    sharded.evaluate().await;
    let cursor = sharded.cursor().await;
    assert_eq!(cursor.through, 0);
    // Ten minutes later.
    let mut aged = json!(cursor);
    let end = &mut aged["positions"][&open[0]]["end"];
    *end = json!(end.as_i64().expect("it was read to its end") - 10 * 60_000);
    sharded.dynamodb.replace("FOLD", "CURSOR", "data", &aged.to_string());
    sharded.evaluate().await;
    assert!(sharded.cursor().await.through > 0);
}
