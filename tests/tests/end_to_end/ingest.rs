//! Ingest in this process, over a table or a secret that does not answer in time, and batches that come late.

use axum::{Json, Router};
use cutover_core::{
    Arm, Revision,
    canary::{Run, Step},
    measurement::{
        batch::{Batch, window_of},
        question::Question,
    },
};
use cutover_lambda::{
    clock,
    measurement::{evaluate::invocation, ingest, packing},
    platform::Platform,
    store::{Arrival, BatchStatus, Store},
};
use cutover_tests::{
    batches::{begin_runs, cell, counts, post_batch, requests_in_ledger, store_batch},
    calls::{Call, CallProxy},
    dynamodb::DynamoDb,
    fault_proxy::Fault,
    functions::{connected, platform},
    question::ask_with,
    server::Server,
    stack::INGEST_SECRET,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Time within which an isolate is answered, whatever the store does: 3 s, and what a busy machine adds.
const LIMIT: Duration = Duration::from_millis(3_500);

/// Time within which a test that measures among others has its answer: longer than the limit, because such a machine is
/// busy, and shorter than the patience of an isolate, which is 4 s.
const BUSY: Duration = Duration::from_millis(3_900);

/// A response, and the time that it took.
type Timed = (u16, Value, Duration);

/// Returns a batch of some requests of the flag `one`.
fn batch(sequence: u64, run: Option<&Run>, requests: u64) -> Batch {
    let cells = vec![cell("one", run, Arm::New, counts(requests, 0))];
    Batch { cells, ..Batch::empty("0".repeat(32), sequence) }
}

/// Sends a batch as an isolate does.
async fn send(server: &Server, batch: &Batch) -> Timed {
    let began = Instant::now();
    let (status, answer) = post_batch(&reqwest::Client::new(), &server.url(), batch, INGEST_SECRET).await;
    (status, answer, began.elapsed())
}

async fn ask(server: &Server) -> Timed {
    let began = Instant::now();
    let (status, answer) =
        ask_with(&server.url(), &Question::since(Revision(0)).encode(), INGEST_SECRET).await;
    (status, answer, began.elapsed())
}

fn is_refused_in_time((status, problem, took): Timed) {
    assert_eq!((status, &problem["code"]), (503, &json!("store_slow")), "after {took:?}: {problem:#}");
    assert!(took < BUSY, "{took:?}");
}

/// Evaluates twice, and asserts that so many batches of one request each are counted once.
async fn are_counted_once(platform: &Platform, batches: u64) {
    for _ in 0..2 {
        assert!(invocation(platform).await.unwrap().worked, "somebody holds the lease");
    }
    assert_eq!(requests_in_ledger(&platform.store, "one").await, batches);
    assert_eq!(platform.store.cursor().await.unwrap().totals.batches, batches);
}

/// M16: the head is read behind the write, and had no limit but the SDK's, which is longer than an isolate waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_hangs_holds_no_batch_and_no_question_up() {
    let dynamodb = DynamoDb::start().await;
    let platform = platform(&dynamodb, &[]).await;
    let server = Server::start(ingest::router(platform.clone())).await;
    let hang = || {
        // The head, the pace and the health of origins are read side by side.
        for _ in 0..3 {
            dynamodb.proxy.on_next("x-amz-target", "GetItem", Fault::Hang);
        }
    };
    hang();
    is_refused_in_time(send(&server, &batch(1, None, 1)).await);
    dynamodb.proxy.forget_next();
    hang();
    is_refused_in_time(ask(&server).await);
    dynamodb.proxy.forget_next();
    // The batch was stored, and its isolate sends it again.
    let (status, answer, _) = send(&server, &batch(1, None, 1)).await;
    assert_eq!((status, &answer["duplicate"]), (200, &json!(true)), "{answer:#}");
    assert_eq!(dynamodb.batches().len(), 1);
    let (status, answer, _) = ask(&server).await;
    assert_eq!(status, 200, "{answer:#}");
    are_counted_once(&platform, 1).await;
}

/// M16: nobody waits for ever, and the batch is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_hangs_holds_no_batch_up() {
    let dynamodb = DynamoDb::start().await;
    let platform = platform(&dynamodb, &[]).await;
    let server = Server::start(ingest::router(platform.clone())).await;
    dynamodb.proxy.on_next("x-amz-target", "PutItem", Fault::Hang);
    is_refused_in_time(send(&server, &batch(1, None, 1)).await);
    let (status, answer, _) = send(&server, &batch(1, None, 1)).await;
    assert_eq!((status, &answer["duplicate"]), (200, &Value::Null), "{answer:#}");
    // The write is made, and its response is slower than the limit: the isolate sends what is stored.
    dynamodb.proxy.on_next("x-amz-target", "PutItem", Fault::Silent);
    let late = Batch { isolate: "1".repeat(32), ..batch(1, None, 1) };
    is_refused_in_time(send(&server, &late).await);
    let (status, answer, _) = send(&server, &late).await;
    assert_eq!((status, &answer["duplicate"]), (200, &json!(true)), "{answer:#}");
    are_counted_once(&platform, 2).await;
}

/// Starts Secrets Manager in this process, which answers after a time, and ingest with a secret in it.
async fn with_slow_secret(dynamodb: &DynamoDb, delay: Duration) -> (Platform, Server, Server) {
    let secrets = Router::new().fallback(move || async move {
        tokio::time::sleep(delay).await;
        Json(json!({ "ARN": "ingest", "Name": "ingest", "SecretString": INGEST_SECRET }))
    });
    let secrets = Server::start(secrets).await;
    let url = secrets.url();
    let variables =
        [("CUTOVER_INGEST_SECRET_ARN", "ingest"), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", url.as_str())];
    let platform = platform(dynamodb, &variables).await;
    let server = Server::start(ingest::router(platform.clone())).await;
    (platform, server, secrets)
}

/// M16: reading the secret took up to 6 s ahead of all that had a limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_read_holds_no_batch_and_no_question_up() {
    let dynamodb = DynamoDb::start().await;
    let (_, server, _secrets) = with_slow_secret(&dynamodb, Duration::from_secs(600)).await;
    is_refused_in_time(send(&server, &batch(1, None, 1)).await);
    is_refused_in_time(ask(&server).await);
    assert!(dynamodb.batches().is_empty());
}

/// M16: whatever time a deployment gives the function, it has answered before.
#[test]
fn a_function_answers_before_the_platform_ends_it() {
    let variables = include_str!("../../../infra/variables.tf");
    let least = variables.split("timeout >= ").nth(1).and_then(|rest| rest.split(' ').next());
    let least: u64 = least.expect("the least timeout of a function").parse().unwrap();
    assert!(LIMIT < BUSY && BUSY < Duration::from_secs(least), "{least} s");
}

/// Returns the batches of the log, of one shard.
async fn arrivals(store: &Store) -> Vec<Arrival> {
    let stream = store.stream().await.unwrap();
    let mut arrivals = Vec::new();
    for shard in store.shards(&stream).await.unwrap().into_keys() {
        let iterator = store.iterator(&stream, &shard, None).await.unwrap().unwrap();
        arrivals.extend(store.page(&iterator).await.unwrap().arrivals);
    }
    arrivals
}

/// H10: a time of arrival from before the secret was read could lie before the windows that were closed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_arrival_is_that_of_the_write() {
    let dynamodb = DynamoDb::start().await;
    let (platform, server, _secrets) = with_slow_secret(&dynamodb, Duration::from_millis(1_200)).await;
    let sent = clock::now().millis();
    let (status, answer, _) = send(&server, &batch(1, None, 1)).await;
    assert_eq!(status, 200, "{answer:#}");
    let stored: Vec<i64> = arrivals(&platform.store).await.iter().map(|arrival| arrival.at).collect();
    assert!(matches!(stored[..], [at] if at >= sent + 1_200), "{stored:?}, sent at {sent}");
}

/// H10: the log is read by positions, so that a batch whose time of arrival has passed is counted like any other. Windows that
/// were closed stay as they are: it goes into the open one.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_time_has_passed_is_counted_once_in_the_open_window() {
    let dynamodb = DynamoDb::start().await;
    let platform = platform(&dynamodb, &[]).await;
    let store = &platform.store;
    let run = begin_runs(store, &["one"]).await.remove(0);
    let evaluate = async || assert!(invocation(&platform).await.unwrap().worked, "somebody holds the lease");
    assert_eq!(store_batch(store, &batch(1, Some(&run), 1)).await, BatchStatus::New);
    evaluate().await;
    let through = store.evidence(&run.flag).await.unwrap().expect("something has arrived").through;
    let through = through.expect("a window was folded");
    for (sequence, requests, ago_ms) in [(2, 2, 60_000), (3, 4, 10 * 60_000)] {
        let packed = packing::pack(batch(sequence, Some(&run), requests).encode().as_bytes());
        let at = clock::now().millis() - ago_ms;
        for expected in [BatchStatus::New, BatchStatus::Duplicate] {
            let stored = store.store_batch(&"0".repeat(32), sequence, &packed, at).await.unwrap();
            assert_eq!(stored, expected);
        }
    }
    // Twice, so that what is counted again would be seen.
    for _ in 0..2 {
        evaluate().await;
    }
    assert_eq!(requests_in_ledger(store, "one").await, 7);
    let cursor = store.cursor().await.unwrap();
    assert_eq!((cursor.totals.batches, cursor.gaps.len(), cursor.parked.len()), (3, 0, 0));
    let evidence = store.evidence(&run.flag).await.unwrap().expect("evidence");
    assert_eq!(evidence.current.counts.new.requests, 7, "{evidence:#?}");
    // The records name the windows that were folded, oldest first.
    let (records, _) = store.records(&run.id, "", 500).await.unwrap();
    let windows = records.iter().flat_map(|record| match &record.step {
        Step::Evaluation { windows, .. } => windows.as_slice(),
        Step::Decision { .. } => &[],
    });
    let starts: Vec<i64> = windows.map(|window| window.start).collect();
    assert!(starts.is_sorted(), "{starts:?}");
    assert!(
        starts.len() >= 2 && starts[1..].iter().all(|start| *start >= window_of(through)),
        "{starts:?}, {through}"
    );
}

/// C3: each batch was added to counters in one partition, which takes 1 000 write units a second. Now an invocation notes its
/// time there, and nothing else, however many batches it folds.
#[tokio::test(flavor = "multi_thread")]
async fn no_batch_writes_to_the_partition_of_the_counters() {
    const BATCHES: usize = 20;
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let run = begin_runs(&store, &["one"]).await.remove(0);
    let proxy = CallProxy::start(dynamodb.url()).await;
    let server = Server::start(ingest::router(connected(&proxy.url(), &[]))).await;
    let counters = |calls: &[Call]| -> Vec<String> {
        calls.iter().flat_map(Call::names).filter(|name| name.starts_with("METRICS/")).collect()
    };
    for sequence in 1..=BATCHES as u64 {
        let (status, answer, _) = send(&server, &batch(sequence, Some(&run), 5)).await;
        assert_eq!(status, 200, "{answer:#}");
    }
    let taken = proxy.take();
    let writes = taken.iter().filter(|call| call.operation == "PutItem").count();
    assert_eq!((writes, counters(&taken)), (BATCHES, Vec::new()));
    let folded = invocation(&connected(&proxy.url(), &[])).await.unwrap();
    assert_eq!((folded.worked, folded.batches), (true, BATCHES));
    assert_eq!(counters(&proxy.take()), ["METRICS/TICKS"]);
    assert_eq!(requests_in_ledger(&store, "one").await, 5 * BATCHES as u64);
}
