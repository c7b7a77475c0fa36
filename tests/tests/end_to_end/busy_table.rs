//! Evaluation over a table that refuses its transactions for the moment, because another write is at work on one of their items
//! or because the table is too busy: nothing is lost, nothing is counted twice, and a decision is made once.

use crate::changes::api::{cancelled, refused};
use cutover_core::{
    Arm,
    canary::{Action, RunState, Step},
    measurement::batch::{Batch, Cell},
};
use cutover_lambda::{
    measurement::evaluate::invocation,
    store::{AuditQuery, StoreError},
};
use cutover_tests::{
    batches::{begin_runs, cell, counts, requests_in_ledger, store_batch},
    calls::{Call, CallProxy},
    dynamodb::DynamoDb,
    functions::{connected, platform},
    is_deep,
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

/// The flag of the run, and one without a run.
const FLAG: &str = "one";
const OTHER: &str = "two";

/// Transactions of evaluation, each with the beginning of a key that it alone writes.
const TRANSACTIONS: [(&str, &str); 5] = [
    ("the ledger of the run", "LEDGER#one/HEAD"),
    ("the other ledger", "LEDGER#two/HEAD"),
    ("the reason to hold", "WAITING/"),
    ("the decision", "AUDIT/"),
    ("the cursor", "FOLD/CURSOR"),
];

/// Cases that are lived through at the same time.
const AT_ONCE: usize = 5;

/// A kind of transaction whose first attempts are refused.
struct Case {
    name: String,
    /// Beginning of a key that is written by this kind alone.
    key: &'static str,
    refusal: Value,
    /// Number of attempts that are refused.
    times: i32,
}

/// Lives through every transaction with each of these refusals.
async fn live_through(refusals: &[(&str, Value)], times: i32) {
    let cases = refusals.iter().flat_map(|(code, refusal)| {
        TRANSACTIONS.map(|(transaction, key)| Case {
            name: format!("{code} of {transaction}"),
            key,
            refusal: refusal.clone(),
            times,
        })
    });
    let cases: Vec<Case> = cases.collect();
    stream::iter(cases.into_iter().map(live)).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Folds a batch by which a run is held, and one by which it is rolled back.
async fn live(case: Case) {
    let Case { name: case, key, refusal, times } = case;
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let run = begin_runs(&store, &[FLAG]).await.remove(0);
    let proxy = CallProxy::start(dynamodb.url()).await;
    let left = Arc::new(AtomicI32::new(times));
    let counted = Arc::clone(&left);
    proxy.refuse_with(refusal, move |call| {
        let is_of_kind = call.operation == "TransactWriteItems"
            && call.names().iter().any(|written| written.starts_with(key));
        is_of_kind && counted.fetch_sub(1, Ordering::Relaxed) > 0
    });
    let evaluating = connected(&proxy.url(), &[]);
    let evaluate = async || {
        let tick = invocation(&evaluating).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(tick.worked, "{case}: somebody holds the lease who does not work");
        assert_eq!(tick.behind, Vec::<String>::new(), "{case}");
    };
    let send = async |sequence: u64, cells: Vec<Cell>| {
        store_batch(&store, &Batch { cells, ..Batch::empty("a".repeat(32), sequence) }).await
    };
    let of_run = |requests, errors| cell(FLAG, Some(&run), Arm::New, counts(requests, errors));
    let of_other = |requests| cell(OTHER, None, Arm::New, counts(requests, 0));

    send(1, vec![of_run(20, 0), of_other(3)]).await;
    evaluate().await;
    assert!(store.waiting(&run.flag).await.unwrap().is_some(), "{case}: the run is not held");
    send(2, vec![of_run(2_000, 1_000), of_other(4)]).await;
    let is_rolled_back = async || store.state().await.unwrap().runs[&run.flag].state == RunState::RolledBack;
    for _ in 0..20 {
        evaluate().await;
        if is_rolled_back().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(is_rolled_back().await, "{case}");
    // Once more, so that what is counted or decided again would be seen.
    evaluate().await;
    assert!(left.load(Ordering::Relaxed) <= 0, "{case}: it was not refused {times} times");

    assert_eq!(
        [requests_in_ledger(&store, FLAG).await, requests_in_ledger(&store, OTHER).await],
        [2_020, 7],
        "{case}"
    );
    let cursor = store.cursor().await.unwrap();
    assert_eq!((cursor.totals.batches, cursor.parked.len(), cursor.gaps.len()), (2, 0, 0), "{case}");
    let (records, _) = store.records(&run.id, "", 500).await.unwrap();
    let is_rollback = |step: &Step| match step {
        Step::Decision { decision, .. } => decision.action == Action::RollBack,
        Step::Evaluation { .. } => false,
    };
    let decided = records.iter().filter(|record| is_rollback(&record.step)).count();
    let query = AuditQuery { action: Some("canary.rollback".to_owned()), limit: 10, ..AuditQuery::default() };
    let audited = store.audit(&query).await.unwrap().records.len();
    let events = store.event_counters().await.unwrap();
    assert_eq!((decided, audited, events[FLAG]["rollbacks"]), (1, 1, 1), "{case}");
}

/// The cursor shares its transaction with the lease, at which those that stand by look every second. A refusal used to be taken
/// for the loss of the lease: the invocation ended, and nobody worked until the lease lapsed.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_with_another_write_loses_nothing_and_a_decision_is_made_once() {
    live_through(&[("a conflict", cancelled("TransactionConflict"))], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_too_busy_loses_nothing_and_a_decision_is_made_once() {
    let refusals = [
        ("a throttled item", cancelled("ThrottlingError")),
        ("a throttled table", refused("ProvisionedThroughputExceededException")),
        ("throttling", refused("ThrottlingException")),
        ("a throttled partition", cancelled("ProvisionedThroughputExceeded")),
    ];
    let lived = if is_deep() { &refusals[..] } else { &refusals[..2] };
    live_through(lived, 3).await;
}

/// The lease is an item of every transaction of its holder, and DynamoDB refuses a single write to an item that a transaction
/// is at work on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_a_transaction_is_at_work_on_is_taken_renewed_and_given_up() {
    let dynamodb = DynamoDb::start().await;
    platform(&dynamodb, &[]).await;
    let proxy = CallProxy::start(dynamodb.url()).await;
    let store = connected(&proxy.url(), &[]).store;
    let refuse_twice = || {
        let left = AtomicI32::new(2);
        proxy.refuse_with(refused("TransactionConflictException"), move |call| {
            let is_of_lease = call.operation == "UpdateItem" && call.names() == ["FOLD/LEASE"];
            is_of_lease && left.fetch_sub(1, Ordering::Relaxed) > 0
        });
    };
    let writes = || proxy.take().iter().filter(|call| call.operation == "UpdateItem").count();
    let now = 60_000;
    refuse_twice();
    let lease = store.take_lease(now, 0).await.unwrap().expect("nobody holds it");
    assert_eq!(writes(), 3, "it is taken with the third attempt");
    refuse_twice();
    assert!(store.renew_lease(lease, now + 9_000, false).await.unwrap());
    assert_eq!(writes(), 3);
    assert_eq!(store.take_lease(now + 12_000, 0).await.unwrap(), None, "it was renewed");
    refuse_twice();
    assert!(store.renew_lease(lease, now + 12_000, true).await.unwrap());
    assert_eq!(writes(), 3);
    assert!(store.take_lease(now + 12_001, 0).await.unwrap().is_some(), "it was given up");
}

/// Whoever cannot write the cursor does not keep others from trying it.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_refused_three_times_ends_the_invocation_and_its_lease() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let proxy = CallProxy::start(dynamodb.url()).await;
    let evaluating = connected(&proxy.url(), &[]);
    let batch = Batch::empty("a".repeat(32), 1);
    store_batch(&store, &Batch { cells: vec![cell(OTHER, None, Arm::New, counts(3, 0))], ..batch }).await;
    let is_of_cursor = |call: &Call| {
        call.operation == "TransactWriteItems" && call.names().iter().any(|written| written == "FOLD/CURSOR")
    };
    proxy.refuse_with(cancelled("TransactionConflict"), is_of_cursor);
    assert_eq!(invocation(&evaluating).await.unwrap_err(), StoreError::Restless);
    assert_eq!(proxy.take().iter().filter(|call| is_of_cursor(call)).count(), 3);
    proxy.refuse_none();
    let tick = invocation(&evaluating).await.unwrap();
    assert!(tick.worked, "the lease was not given up");
    // The ledger was written before the cursor, and is not written again by whoever reads the batch once more.
    assert_eq!(requests_in_ledger(&store, OTHER).await, 3);
    assert_eq!(store.cursor().await.unwrap().totals.batches, 1);
}
