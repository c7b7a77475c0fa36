//! Counts of experiments are exact: however often a report comes, whatever dies, and whatever cannot be written for a while.

use super::{Functions, NAME};
use cutover_core::{measurement::batch::Batch, signature, statistics::split_mix::SplitMix64};
use cutover_lambda::{
    clock,
    measurement::{evaluate::invocation, ingest},
};
use cutover_tests::{
    batches::store_batch,
    calls::CallProxy,
    experiments::{Counted, CountedUser, ERROR, ORDER},
    fault_proxy::{Fault, FaultProxy},
    functions::evaluate_process,
    invocations::{Invocation, advance},
    is_deep,
    server::Server,
    stack::INGEST_SECRET,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, pin::pin, time::Duration};

/// Users of one batch.
const USERS: usize = 250;

/// Number of isolates that see each user.
const ISOLATES: u64 = 3;

/// Users with their variants and events, whom isolates see at the same time.
struct Crowd {
    users: Vec<CountedUser>,
}

impl Crowd {
    fn of(count: usize) -> Self {
        let mut dice = SplitMix64::new(17);
        let mut user = |_| {
            let hash = dice.draw().max(1);
            let variant = u8::from(dice.draw().is_multiple_of(2));
            let mut events = Vec::new();
            if dice.draw().is_multiple_of(50) {
                events.push(ERROR);
            }
            if dice.draw().is_multiple_of(10) {
                events.push(ORDER);
            }
            CountedUser { hash, variant, events }
        };
        Self { users: (0..count).map(&mut user).collect() }
    }

    /// Returns the batches of all isolates: each sees all users, and every event is seen once.
    fn batches(&self, counted: &Counted) -> Vec<Batch> {
        let mut batches = Vec::new();
        for isolate in 0..ISOLATES {
            for (sequence, users) in (1..).zip(self.users.chunks(USERS)) {
                let seen = |user: &CountedUser| {
                    let events =
                        if user.hash % ISOLATES == isolate { user.events.clone() } else { Vec::new() };
                    CountedUser { events, ..user.clone() }
                };
                let users: Vec<CountedUser> = users.iter().map(seen).collect();
                batches.push(counted.batch(format!("{:032x}", isolate + 1), sequence, &users));
            }
        }
        batches
    }

    /// Asserts that users and events of both variants are these.
    fn are(&self, results: &Value) {
        let count = |variant: u8, event: Option<u8>| {
            let is_it = |user: &&CountedUser| {
                user.variant == variant && event.is_none_or(|event| user.events.contains(&event))
            };
            self.users.iter().filter(is_it).count()
        };
        for (variant, key) in [(0, "control"), (1, "treatment")] {
            let shown = &results["variants"][usize::from(variant)];
            assert_eq!((&shown["variant"], &shown["users"]), (&json!(key), &json!(count(variant, None))));
            for metric in [ERROR, ORDER] {
                let of_metric = &results["metrics"][usize::from(metric)]["variants"][usize::from(variant)];
                let expected = count(variant, Some(metric));
                assert_eq!(of_metric["users_with_event"], json!(expected), "{results:#}");
                // Users count once in any case; a report that is folded twice shows in the number of events.
                assert_eq!(of_metric["events"].as_f64(), Some(expected as f64), "{results:#}");
            }
        }
        assert_eq!(results["remembered_share"], 1.0, "nobody was left out");
        for nobody in ["crossed", "before_exposure", "unknown"] {
            assert_eq!(results[nobody], 0, "{nobody}");
        }
    }
}

/// Posts a batch as an isolate does. Returns the status.
async fn post(url: &str, batch: &Batch) -> u16 {
    let (body, now) = (batch.encode(), clock::now().millis());
    let response = reqwest::Client::new()
        .post(format!("{url}/v1/batches"))
        .header(signature::TIMESTAMP, now.to_string())
        .header(signature::SIGNATURE, signature::sign(INGEST_SECRET, now, body.as_bytes()))
        .body(body);
    response.send().await.map_or(599, |response| response.status().as_u16())
}

/// Ingest fails for every second batch, or takes it and loses its answer; every second one comes twice although it was answered.
#[tokio::test(flavor = "multi_thread")]
async fn reports_that_fail_and_come_twice_count_once() {
    let functions = Functions::start(&[("CUTOVER_EXPERIMENT_USERS", "250000")]).await;
    let counted = Counted::begin(functions.root(), NAME).await;
    let crowd = Crowd::of(if is_deep() { 100_000 } else { 3_000 });
    let server = Server::start(ingest::router(functions.platform.clone())).await;
    let ingest = FaultProxy::start(server.address()).await;
    ingest.on_half_of_writes(vec![
        Fault::Answer(503, "application/json", axum::body::Bytes::from_static(b"{}")),
        Fault::Lost,
    ]);
    for (number, batch) in crowd.batches(&counted).iter().enumerate() {
        for _ in 0..=number % 2 {
            let mut tries = 0;
            while post(&ingest.url(), batch).await >= 300 {
                tries += 1;
                assert!(tries < 10, "ingest refuses a batch");
            }
        }
        if number % 16 == 0 {
            functions.evaluate().await;
        }
    }
    functions.evaluate().await;
    crowd.are(&functions.results().await);
    // What is written is what is answered, also by a process that has read nothing else.
    functions.evaluate().await;
    crowd.are(&functions.results().await);
}

/// Each invocation dies somewhere between its first read and its last write.
#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_dies_anywhere_changes_no_result() {
    let functions = Functions::start(&[("CUTOVER_EXPERIMENT_USERS", "250000")]).await;
    let counted = Counted::begin(functions.root(), NAME).await;
    let crowd = Crowd::of(USERS * 8);
    for (number, batch) in crowd.batches(&counted).iter().enumerate() {
        store_batch(&functions.platform.store, batch).await;
        let mut dying = pin!(invocation(&functions.platform));
        // One after the other dies a little later.
        if advance(dying.as_mut(), 3 + 2 * number).await.is_none() {
            functions.dynamodb.lapse_lease();
        }
    }
    functions.evaluate().await;
    crowd.are(&functions.results().await);
}

/// The ledger of the experiment cannot be written for a while: it is parked, holds up nobody, and catches up.
#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_that_is_parked_catches_up() {
    let functions = Functions::start(&[("CUTOVER_EXPERIMENT_USERS", "250000")]).await;
    let counted = Counted::begin(functions.root(), NAME).await;
    let crowd = Crowd::of(USERS * 2);
    let proxy = CallProxy::start(functions.dynamodb.url()).await;
    let ledger = format!("LEDGER#experiment/{NAME}/HEAD");
    proxy.refuse(move |call| call.operation == "TransactWriteItems" && call.names().contains(&ledger));
    let batches = crowd.batches(&counted);
    let (first, rest) = batches.split_at(batches.len() / 2);
    for batch in first {
        store_batch(&functions.platform.store, batch).await;
    }
    let refused = Invocation::start(&proxy.url(), Duration::ZERO, Duration::ZERO).ended().await.unwrap();
    assert_eq!(refused.behind, [format!("experiment/{NAME}")]);
    let cursor = functions.platform.store.cursor().await.unwrap();
    assert_eq!(cursor.parked.len(), 1, "the cursor has passed its batches");
    for batch in rest {
        store_batch(&functions.platform.store, batch).await;
    }
    functions.evaluate().await;
    functions.evaluate().await;
    assert_eq!(functions.platform.store.cursor().await.unwrap().parked, BTreeMap::new());
    crowd.are(&functions.results().await);
}

/// Users of an earlier phase are in no figure of the next one, and what is of no phase is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_phase_begins_with_nobody() {
    let functions = Functions::start(&[]).await;
    let (root, store) = (functions.root(), &functions.platform.store);
    let first = Counted::begin(root, NAME).await;
    let crowd = Crowd::of(USERS);
    store_batch(store, &first.batch("a".repeat(32), 1, &crowd.users)).await;
    functions.evaluate().await;
    crowd.are(&functions.results().await);
    let mut other = cutover_tests::experiments::document(None);
    for (variant, weight) in [(0, 40), (1, 60)] {
        other["variants"][variant]["traffic_percentage"] = json!(weight);
    }
    root.put(&format!("/experiments/{NAME}"), &other).await.expect(200);
    store_batch(store, &first.batch("a".repeat(32), 2, &crowd.users[..3])).await;
    let never = Counted { phase: 9, ..first.clone() }.batch("a".repeat(32), 3, &crowd.users[..5]);
    store_batch(store, &never).await;
    functions.evaluate().await;
    let results = functions.results().await;
    assert_eq!((&results["phase"], &results["variants"][0]["users"]), (&json!(2), &json!(0)));
    assert_eq!(
        results["unknown"],
        json!(never.experiments[0].entries()),
        "the late report is of the first phase"
    );
    // The first phase has a last record, with all of its users.
    let records = root.get(&format!("/experiments/{NAME}/records")).await.expect(200).body;
    let last = records["records"].as_array().unwrap().iter().rfind(|record| record["phase"] == 1).unwrap();
    let users: u64 = last["figures"]["running"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sums| sums["users"].as_u64().unwrap())
        .sum();
    assert_eq!(users, crowd.users.len() as u64);
}

/// An earlier version took any number. The function starts, counts with the largest one, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn more_remembered_users_than_a_phase_can_hold_keep_no_function_from_starting() {
    let variables = [("CUTOVER_EXPERIMENT_USERS", "1000000")];
    let functions = Functions::start(&variables).await;
    Counted::begin(functions.root(), NAME).await;
    let process = evaluate_process(&functions.dynamodb, &variables).await;
    process.tick("evaluate").await.unwrap();
    let output = process.output();
    let is_told = |line: &str| line.contains("\"setting_lowered\"") && line.contains("250000");
    assert!(output.lines().any(is_told), "{output}");
    let results = functions.results().await;
    assert_eq!(
        (&results["capacity"], &results["next_capacity"]),
        (&json!(250_000), &json!(250_000)),
        "{results:#}"
    );
}
