//! Flags whose ledger cannot be read or written for a while: how soon they are caught up, and how gently.

use cutover_core::{Arm, canary::RunState, measurement::batch::Batch};
use cutover_lambda::{
    clock,
    measurement::evaluate::invocation,
    platform::Platform,
    store::{BatchStatus, Cursor},
};
use cutover_tests::{
    batches::{begin_runs, cell, counts, name, requests_in_ledger, store_batch},
    calls::{Call, CallProxy},
    dynamodb::DynamoDb,
    fault_proxy::Fault,
    functions::platform,
    invocations::Invocation,
    patience::until,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Media type of DynamoDB's responses.
const KIND: &str = "application/x-amz-json-1.0";

/// The flag that is parked.
const FLAG: &str = "one";

/// A table with a log of one shard.
struct Parked {
    dynamodb: DynamoDb,
    platform: Platform,
    /// Number of the newest batch.
    sequence: u64,
}

impl Parked {
    async fn start() -> Self {
        let dynamodb = DynamoDb::start().await;
        let platform = platform(&dynamodb, &[]).await;
        Self { dynamodb, platform, sequence: 0 }
    }

    /// Stores a batch with one request of the flag.
    async fn send(&mut self) {
        self.sequence += 1;
        let cells = vec![cell(FLAG, None, Arm::New, counts(1, 0))];
        let batch = Batch { cells, ..Batch::empty("0".repeat(32), self.sequence) };
        assert_eq!(store_batch(&self.platform.store, &batch).await, BatchStatus::New);
    }

    async fn evaluate(&self) {
        assert!(invocation(&self.platform).await.unwrap().worked, "somebody holds the lease");
    }

    fn damage(&self) {
        self.dynamodb.set_schema(&format!("LEDGER#{FLAG}"), "HEAD", 99);
    }

    fn repair(&self) {
        self.dynamodb.set_schema(&format!("LEDGER#{FLAG}"), "HEAD", 1);
    }

    async fn cursor(&self) -> Cursor {
        self.platform.store.cursor().await.unwrap()
    }

    /// Asserts that the flag is not behind, and that each of its requests is counted once.
    async fn counts_are_exact(&self) {
        assert_eq!(self.cursor().await.parked, BTreeMap::new());
        assert_eq!(requests_in_ledger(&self.platform.store, FLAG).await, self.sequence);
    }
}

/// The write of the evidence fails in the pass that would roll back. The flag is caught up behind that pass, and judged in the
/// next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_once_delays_a_rollback_by_a_pass() {
    let parked = Parked::start().await;
    let store = &parked.platform.store;
    let run = begin_runs(store, &[FLAG]).await.remove(0);
    let _evaluating = Invocation::start(&parked.dynamodb.url(), Duration::from_secs(60), Duration::ZERO);
    let is_watched = async || store.waiting(&run.flag).await.unwrap().is_some();
    until(Duration::from_secs(30), "watched", is_watched).await;
    let refusal =
        json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "no" });
    let refused = Fault::Answer(400, KIND, refusal.to_string().into());
    parked.dynamodb.proxy.on_next("x-amz-target", "TransactWriteItems", refused);
    let cells = vec![cell(FLAG, Some(&run), Arm::New, counts(2_000, 1_000))];
    store_batch(store, &Batch { cells, ..Batch::empty("a".repeat(32), 1) }).await;
    let is_rolled_back = async || store.state().await.unwrap().runs[&run.flag].state == RunState::RolledBack;
    // Two passes and their writes. Flags that were parked used to be tried every ten seconds.
    let took = until(Duration::from_secs(9), "rolled back", is_rolled_back).await;
    assert_eq!(parked.dynamodb.proxy.awaited(), 0, "no write failed");
    println!("rolled back {:.1} s after the batch, although a write failed", took.as_secs_f64());
}

/// Catching up takes longer than the lease lasts without being renewed.
#[tokio::test(flavor = "multi_thread")]
async fn catching_up_does_not_cost_the_lease() {
    let mut parked = Parked::start().await;
    parked.send().await;
    parked.evaluate().await;
    parked.damage();
    for _ in 0..16 {
        parked.send().await;
    }
    parked.evaluate().await;
    assert!(parked.cursor().await.parked.contains_key(FLAG));
    parked.repair();
    parked.dynamodb.stream.page_sizes(1, 1);
    parked.dynamodb.stream.slow_reads(Duration::from_millis(700));
    let started = clock::now().millis();
    let catching_up = Invocation::start(&parked.dynamodb.url(), Duration::ZERO, Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    let store = &parked.platform.store;
    // Taken once, it would have lapsed then.
    assert_eq!(store.take_lease(started + 11_500, 0).await.unwrap(), None, "nobody renews the lease");
    parked.dynamodb.stream.slow_reads(Duration::ZERO);
    assert!(catching_up.ended().await.unwrap().worked);
    parked.evaluate().await;
    parked.counts_are_exact().await;
}

/// A ledger at rest has the positions of its last write, in a shard that is gone and that the cursor has forgotten. While it
/// is parked it has missed no record there.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_flag_that_was_at_rest_has_no_gap() {
    let mut parked = Parked::start().await;
    parked.send().await;
    parked.evaluate().await;
    let stream = &parked.dynamodb.stream;
    stream.split_all();
    // The end of the shard is read, and nothing else.
    parked.evaluate().await;
    stream.unlist_ended();
    stream.trim();
    // Thirty hours later.
    let mut cursor = parked.cursor().await;
    cursor.positions.forget(&BTreeSet::new(), i64::MAX);
    let forgotten = serde_json::to_string(&cursor).unwrap();
    parked.dynamodb.replace("FOLD", "CURSOR", "data", &forgotten);

    parked.damage();
    parked.send().await;
    parked.evaluate().await;
    assert!(parked.cursor().await.parked.contains_key(FLAG));
    parked.repair();
    parked.evaluate().await;
    assert_eq!(parked.cursor().await.gaps, BTreeMap::new());
    parked.counts_are_exact().await;
}

/// H8: one flag whose ledger is refused each time, for whatever reason, is the trouble of that flag alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_flag_whose_ledger_is_never_written_holds_no_other_up() {
    let mut parked = Parked::start().await;
    let store = parked.platform.store.clone();
    let failing = begin_runs(&store, &[FLAG, "two"]).await.remove(1);
    let proxy = CallProxy::start(parked.dynamodb.url()).await;
    proxy.refuse(|call| is_write_of(call, FLAG));
    parked.send().await;
    let cells = vec![
        cell("two", Some(&failing), Arm::New, counts(2_000, 1_000)),
        cell("three", None, Arm::New, counts(7, 0)),
    ];
    store_batch(&store, &Batch { cells, ..Batch::empty("a".repeat(32), 1) }).await;
    // It works for five seconds, and keeps ten for its end.
    let evaluating = Invocation::start(&proxy.url(), Duration::from_secs(15), Duration::ZERO);
    let tick = evaluating.ended().await.unwrap();
    let refused = proxy.take().iter().filter(|call| is_write_of(call, FLAG)).count();
    assert!(tick.passes >= 2 && refused >= 2, "{tick:?}, {refused} writes were refused");
    assert_eq!(tick.behind, [FLAG]);
    let requests = async |flag: &str| requests_in_ledger(&store, flag).await;
    assert_eq!([requests("two").await, requests("three").await, requests(FLAG).await], [2_000, 7, 0]);
    let cursor = parked.cursor().await;
    assert_eq!(cursor.parked.keys().collect::<Vec<_>>(), [FLAG]);
    assert_eq!(cursor.totals.batches, 2, "the cursor has passed both batches");
    let runs = store.state().await.unwrap().runs;
    assert_eq!(runs[&name("two")].state, RunState::RolledBack);
    assert!(runs[&name(FLAG)].state.is_active());
    // Nothing is lost.
    parked.evaluate().await;
    parked.counts_are_exact().await;
}

/// Returns true if a call writes the ledger of a flag.
fn is_write_of(call: &Call, flag: &str) -> bool {
    call.operation == "TransactWriteItems" && call.names().contains(&format!("LEDGER#{flag}/HEAD"))
}
