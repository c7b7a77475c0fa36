//! Processes of `evaluate` beside each other, as the schedule starts them: one works, and another takes its place.

use cutover_core::{
    Arm, FlagName,
    canary::{Run, RunState},
    measurement::batch::Batch,
};
use cutover_lambda::{clock, platform::Platform};
use cutover_tests::{
    batches::{begin_runs, cell, counts, requests_in_ledger, store_batch},
    dynamodb::DynamoDb,
    fault_proxy::Fault,
    functions::{evaluate_process, platform},
    is_deep,
    lambda::Lambda,
    patience::until,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Time that an invocation lives, in milliseconds, and one that is soon over: it works for four seconds, and keeps ten for
/// its end.
const LONG: (&str, &str) = ("CUTOVER_EVALUATION_MS", "170000");
const SHORT: (&str, &str) = ("CUTOVER_EVALUATION_MS", "15000");

/// Two processes of `evaluate` over one database, and a run.
struct Overlap {
    dynamodb: DynamoDb,
    platform: Platform,
    run: Run,
}

impl Overlap {
    async fn start() -> Self {
        let dynamodb = DynamoDb::start().await;
        let platform = platform(&dynamodb, &[]).await;
        let run = begin_runs(&platform.store, &["one"]).await.remove(0);
        Self { dynamodb, platform, run }
    }

    fn flag(&self) -> &FlagName {
        &self.run.flag
    }

    /// Returns true if somebody holds the lease now. Looking takes it if nobody does, so it is given back.
    async fn is_leased(&self) -> bool {
        let (store, now) = (&self.platform.store, clock::now().millis());
        let taken = store.take_lease(now, 0).await.unwrap();
        if let Some(lease) = taken {
            store.renew_lease(lease, now, true).await.unwrap();
        }
        taken.is_none()
    }

    /// Waits until the run was looked at for the first time, and is held.
    async fn is_watched(&self) {
        self.until("watched", async || self.platform.store.waiting(self.flag()).await.unwrap().is_some())
            .await;
    }

    async fn is_rolled_back(&self) -> bool {
        self.platform.store.state().await.unwrap().runs[self.flag()].state == RunState::RolledBack
    }

    /// Stores a batch that completes the evidence against the run by itself.
    async fn new_arm_fails(&self) {
        let cells = vec![cell(self.flag().as_str(), Some(&self.run), Arm::New, counts(2_000, 1_000))];
        store_batch(&self.platform.store, &Batch { cells, ..Batch::empty("a".repeat(32), 1) }).await;
    }

    /// Waits for something, and returns the time that it took.
    async fn until(&self, expected: &str, is_so: impl AsyncFn() -> bool) -> Duration {
        until(Duration::from_secs(60), expected, is_so).await
    }
}

/// Invokes `evaluate` as the schedule does, without waiting for it.
fn invoke(process: &Arc<Lambda>) -> JoinHandle<Result<serde_json::Value, String>> {
    let process = Arc::clone(process);
    tokio::spawn(async move { process.tick("evaluate").await })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_that_ends_is_replaced_at_once() {
    let overlap = Overlap::start().await;
    let (first, second) = tokio::join!(
        evaluate_process(&overlap.dynamodb, &[SHORT]),
        evaluate_process(&overlap.dynamodb, &[LONG]),
    );
    let (first, second) = (Arc::new(first), Arc::new(second));
    let ending = invoke(&first);
    overlap.is_watched().await;
    let standing_by = invoke(&second);
    let ended = ending.await.unwrap().unwrap();
    assert_eq!(ended["worked"], true, "{ended:#}");
    let gone = Instant::now();
    overlap.new_arm_fails().await;
    overlap.until("rolled back", async || overlap.is_rolled_back().await).await;
    let took = gone.elapsed();
    println!("rolled back {:.1} s after the first invocation ended", took.as_secs_f64());
    // It looks every second, and begins with a pass. If the lease had not been given up, it would last for ten seconds.
    assert!(took < Duration::from_secs(if is_deep() { 4 } else { 8 }), "{took:?}");
    standing_by.abort();
}

/// The first process has found in memory that the run is to be rolled back, and is killed before it can write that.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_a_killed_invocation_had_found_is_made_by_the_next() {
    let overlap = Overlap::start().await;
    let (mut first, second) = tokio::join!(
        evaluate_process(&overlap.dynamodb, &[LONG]),
        evaluate_process(&overlap.dynamodb, &[LONG]),
    );
    let second = Arc::new(second);
    // What is invoked is never answered: its process is killed.
    let url = first.invocation_url("evaluate");
    let lost = tokio::spawn(async move { reqwest::Client::new().post(url).body("{}").send().await });
    overlap.is_watched().await;
    assert!(overlap.is_leased().await);
    let standing_by = invoke(&second);
    overlap.dynamodb.proxy.on_next("x-amz-target", "TransactWriteItems", Fault::Hang);
    overlap.new_arm_fails().await;
    overlap.until("found", async || overlap.dynamodb.proxy.awaited() == 0).await;
    first.kill("evaluate");
    let killed = Instant::now();
    lost.abort();
    if !is_deep() {
        // While the lease lasts nobody else works; then it is not waited for.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!overlap.is_rolled_back().await, "two work at once");
        overlap.dynamodb.lapse_lease();
    }
    overlap.until("rolled back", async || overlap.is_rolled_back().await).await;
    let took = killed.elapsed();
    println!("rolled back {:.1} s after the process was killed that had found it", took.as_secs_f64());
    // The lease lasts for ten seconds, the other looks every second, and begins with a pass.
    assert!(took < Duration::from_secs(13), "{took:?}");
    let run = overlap.platform.store.state().await.unwrap().runs[overlap.flag()].clone();
    assert!(run.breach.is_some(), "{run:#?}");
    assert_eq!(requests_in_ledger(&overlap.platform.store, overlap.flag().as_str()).await, 2_000);
    standing_by.abort();
}
