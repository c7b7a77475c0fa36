//! Logs that were not read for longer than they are kept, and the backlog after it.

use super::{FLAGS, ISOLATES, Sharded};
use cutover_core::{Timestamp, measurement::log::Positions};
use cutover_lambda::{
    clock,
    store::{Cursor, FlagGap, Parked},
};
use cutover_tests::{batches::begin_runs_at, functions::evaluate_process};
use serde_json::json;
use std::collections::BTreeMap;

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// Writes the cursor as a fold of another time did.
fn rewrite(sharded: &Sharded, cursor: &Cursor) {
    sharded.dynamodb.replace("FOLD", "CURSOR", "data", &json!(cursor).to_string());
}

/// All shards of that time are gone with their records, and those that are left say nothing of them.
#[tokio::test(flavor = "multi_thread")]
async fn counts_that_expired_in_shards_without_a_position_are_a_gap() {
    let sharded = Sharded::start(2).await;
    let now = clock::now().millis();
    let hours_ago = |hours: i64| Timestamp::from_millis(now - hours * HOUR_MS);
    let run = begin_runs_at(&sharded.platform.store, &FLAGS, hours_ago(40)).await.remove(0);
    let flag = run.flag.as_str();
    let gap_after = async |through: i64| -> Option<FlagGap> {
        let cursor = sharded.cursor().await;
        let (positions, gaps) = (Positions::default(), BTreeMap::new());
        rewrite(&sharded, &Cursor { through, positions, gaps, ..cursor });
        sharded.evaluate().await;
        sharded.cursor().await.gaps.get(flag).copied()
    };
    sharded.evaluate().await;
    let noted = sharded.cursor().await;
    assert_eq!(noted.gaps[flag].since, hours_ago(40), "nothing was read since the step began");
    assert_eq!(noted.through_of(&run), hours_ago(40).millis(), "its evidence has a hole");
    let gap = gap_after(hours_ago(30).millis()).await.expect("evaluation was off for 30 hours");
    assert_eq!(gap.since, hours_ago(30));
    assert!(gap.until <= hours_ago(22), "the log has what came later");
    sharded.evaluate().await;
    assert_eq!(sharded.cursor().await.gaps[flag], gap, "noted once");
    assert_eq!(gap_after(hours_ago(22).millis()).await, None, "the log has everything");
}

/// The time up to which everything was read is far back then, and a ledger that was just written is ahead of the cursor.
#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_dies_while_a_long_backlog_is_read_counts_nothing_twice() {
    let mut sharded = Sharded::start(2).await;
    sharded.evaluate().await;
    let old = Cursor { through: clock::now().millis() - 31 * HOUR_MS, ..sharded.cursor().await };
    rewrite(&sharded, &old);
    // The log is not read to its end: the shards that follow one of its shards are not listed.
    let stream = &sharded.dynamodb.stream;
    let open = stream.open_shards();
    stream.split(&open[0]);
    stream.open_shards().iter().filter(|shard| !open.contains(shard)).for_each(|shard| stream.unlist(shard));
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    let counted = sharded.requests("one").await;
    assert!(counted > 0, "the other shard was not read");
    assert_eq!(sharded.ledger("one").await.through, old.through);
    // As if it had died between the ledgers and the cursor.
    rewrite(&sharded, &old);
    sharded.evaluate().await;
    assert_eq!(sharded.requests("one").await, counted, "counted twice");
    sharded.counts_are_exact(ISOLATES).await;
}

/// The ledger stays parked for longer than the log is kept, so its gap grows from one invocation to the next.
#[tokio::test(flavor = "multi_thread")]
async fn the_gap_of_a_flag_that_stays_parked_is_logged_once() {
    let mut sharded = Sharded::start(1).await;
    sharded.send(ISOLATES).await;
    sharded.evaluate().await;
    let now = clock::now().millis();
    begin_runs_at(&sharded.platform.store, &FLAGS, Timestamp::from_millis(now - 40 * HOUR_MS)).await;
    sharded.dynamodb.set_schema("LEDGER#one", "HEAD", 99);
    let through = now - 30 * HOUR_MS - HOUR_MS / 2;
    let behind = Parked { through, ..Parked::default() };
    let parked = BTreeMap::from([("one".to_owned(), behind)]);
    rewrite(&sharded, &Cursor { parked, ..sharded.cursor().await });
    let process = evaluate_process(&sharded.dynamodb, &[]).await;
    let mut until = Vec::new();
    for _ in 0..3 {
        process.tick("evaluate").await.unwrap();
        until.push(sharded.cursor().await.gaps["one"].until);
    }
    assert!(until.is_sorted_by(|earlier, later| earlier < later), "{until:?}");
    let output = process.output();
    let logged = |event: &str| output.lines().filter(|line| line.contains(&format!("\"{event}\""))).count();
    assert_eq!((logged("flag_gap"), logged("log_gap")), (1, 1), "{output}");
}
