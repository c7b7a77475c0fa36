//! Ends of experiments: what was seen before the end counts, also if its report comes after it, and is in a last record.

use super::{Functions, NAME};
use cutover_core::experiment::Record;
use cutover_tests::{
    batches::store_batch,
    calls::CallProxy,
    experiments::{Counted, CountedUser, ORDER, document},
    invocations::Invocation,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Returns users of both variants in turn, who all have an order.
fn users(from: u64, count: u64) -> Vec<CountedUser> {
    let user =
        |hash: u64| CountedUser { hash, variant: u8::from(hash.is_multiple_of(2)), events: vec![ORDER] };
    (from..from + count).map(user).collect()
}

async fn post(functions: &Functions, path: &str, body: Option<Value>) {
    let headers = [("content-type", "application/json")];
    let body = body.map(|body| body.to_string());
    let path = format!("/experiments/{NAME}/{path}");
    functions.root().send("POST", &path, &headers, body.as_deref()).await.expect(200);
}

/// Returns the sum of the users of both variants in a list of them.
fn sum(variants: &Value) -> u64 {
    variants.as_array().unwrap().iter().map(|variant| variant["users"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_before_a_stop_counts_after_it() {
    let functions = Functions::start(&[]).await;
    let counted = Counted::begin(functions.root(), NAME).await;
    let store = &functions.platform.store;
    store_batch(store, &counted.batch("a".repeat(32), 1, &users(1, 10))).await;
    functions.evaluate().await;
    // One report has arrived and is not read when the experiment stops, another one comes after it was found to be over.
    store_batch(store, &counted.batch("a".repeat(32), 2, &users(101, 20))).await;
    post(&functions, "stop", Some(json!({ "reason": "enough" }))).await;
    functions.evaluate().await;
    assert_eq!(sum(&functions.results().await["variants"]), 30);
    store_batch(store, &counted.batch("a".repeat(32), 3, &users(201, 40))).await;
    functions.evaluate().await;
    let results = functions.results().await;
    assert_eq!(sum(&results["variants"]), 70, "{results:#}");
    assert_eq!(results["metrics"][1]["variants"][0]["events"].as_f64(), Some(35.0));
    assert!(results["ended"].is_string() && results["state"] == "stopped", "{results:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_experiment_that_is_deleted_has_a_last_record() {
    let functions = Functions::start(&[]).await;
    let counted = Counted::begin(functions.root(), NAME).await;
    let store = &functions.platform.store;
    store_batch(store, &counted.batch("a".repeat(32), 1, &users(1, 10))).await;
    functions.evaluate().await;
    post(&functions, "pause", None).await;
    functions.evaluate().await;
    functions.root().send("DELETE", &format!("/experiments/{NAME}"), &[], None).await.expect(200);
    functions.evaluate().await;
    let (records, _) = store.experiment_records(&NAME.parse().unwrap(), "", 100).await.unwrap();
    let last: &Record = records.last().expect("a record");
    assert!(last.circumstances.ended.is_some(), "{last:#?}");
    assert_eq!(last.figures.running.iter().map(|sums| sums.users).sum::<u64>(), 10);
    assert!(cutover_core::experiment::replay(&records).is_empty());
    assert_eq!(ledger_items(&functions), 0, "its ledger is removed");
}

/// Returns the number of items of the experiment's ledger.
fn ledger_items(functions: &Functions) -> usize {
    let partition = format!("LEDGER#experiment/{NAME}");
    functions.dynamodb.items().iter().filter(|item| item["pk"]["S"] == partition).count()
}

/// Nothing but the ledger has what the last record is made of.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_of_a_deleted_experiment_stays_until_its_last_record_is_written() {
    let functions = Functions::start(&[]).await;
    let counted = Counted::begin(functions.root(), NAME).await;
    let store = &functions.platform.store;
    store_batch(store, &counted.batch("a".repeat(32), 1, &users(1, 10))).await;
    functions.evaluate().await;
    post(&functions, "pause", None).await;
    let (before, _) = store.experiment_records(&NAME.parse().unwrap(), "", 100).await.unwrap();
    functions.root().send("DELETE", &format!("/experiments/{NAME}"), &[], None).await.expect(200);
    let proxy = CallProxy::start(functions.dynamodb.url()).await;
    let ledger = format!("LEDGER#experiment/{NAME}/HEAD");
    proxy.refuse(move |call| {
        let puts = call.put_units();
        call.operation == "TransactWriteItems" && call.names().contains(&ledger) && !puts.is_empty()
    });
    for _ in 0..2 {
        Invocation::start(&proxy.url(), Duration::ZERO, Duration::ZERO).ended().await.unwrap();
        assert!(ledger_items(&functions) > 0, "its last record is not written");
    }
    proxy.refuse_none();
    // The first one writes the record, and removes the ledger with it or with the next one.
    functions.evaluate().await;
    functions.evaluate().await;
    let (records, _) = store.experiment_records(&NAME.parse().unwrap(), "", 100).await.unwrap();
    assert_eq!(records.len(), before.len() + 1);
    let last = records.last().unwrap();
    assert!(last.circumstances.ended.is_some(), "{last:#?}");
    assert_eq!(last.figures.running.iter().map(|sums| sums.users).sum::<u64>(), 10);
    assert_eq!(ledger_items(&functions), 0, "its ledger is removed");
}

/// Schema number that no version writes.
const DAMAGED: u64 = 0;

/// Schema number of a later version.
const LATER: u64 = 2;

/// Gives an item of the experiment's ledger another schema number, which is found when the next batch arrives.
async fn spoil(functions: &Functions, counted: &Counted, item: &str, schema: u64) {
    let store = &functions.platform.store;
    store_batch(store, &counted.batch("a".repeat(32), 1, &users(1, 10))).await;
    functions.evaluate().await;
    functions.dynamodb.set_schema(&format!("LEDGER#experiment/{NAME}"), item, schema);
    store_batch(store, &counted.batch("a".repeat(32), 2, &users(101, 20))).await;
    functions.evaluate().await;
    let parked = store.cursor().await.unwrap().parked;
    assert!(parked.contains_key(&format!("experiment/{NAME}")), "{parked:#?}");
}

/// Asserts that a guardrail of this phase stops the experiment, and that its ledger is behind no longer.
async fn assert_guarded(functions: &Functions, counted: &Counted) {
    let store = &functions.platform.store;
    store_batch(store, &counted.harmed("a".repeat(32), 3)).await;
    functions.evaluate().await;
    let stopped = functions.root().get(&format!("/experiments/{NAME}")).await.expect(200).body;
    assert_eq!(stopped["state"], "stopped", "{stopped:#}");
    functions.evaluate().await;
    assert!(store.cursor().await.unwrap().parked.is_empty());
    let results = functions.results().await;
    assert_eq!(sum(&results["variants"]), 40, "{results:#}");
    assert_eq!((&results["unknown"], &results["gap"]), (&json!(0), &Value::Null), "{results:#}");
}

/// A checkpoint may come between the deletion and the creation, or none.
#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_that_is_created_again_is_guarded_though_the_ledger_of_its_name_was_damaged() {
    for (item, is_noticed) in [("EVIDENCE#000", true), ("EVIDENCE#000", false), ("HEAD", false)] {
        let functions = Functions::start(&[]).await;
        let first = Counted::begin(functions.root(), NAME).await;
        spoil(&functions, &first, item, DAMAGED).await;
        post(&functions, "pause", None).await;
        functions.root().send("DELETE", &format!("/experiments/{NAME}"), &[], None).await.expect(200);
        if is_noticed {
            functions.evaluate().await;
            assert_eq!(ledger_items(&functions), 0, "it goes with its experiment");
        }
        let second = Counted::begin(functions.root(), NAME).await;
        assert!(second.phase > first.phase);
        assert_guarded(&functions, &second).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_phase_is_guarded_though_the_ledger_was_damaged_in_the_one_before() {
    let functions = Functions::start(&[]).await;
    let first = Counted::begin(functions.root(), NAME).await;
    spoil(&functions, &first, "EVIDENCE#000", DAMAGED).await;
    let mut other = document(None);
    for (variant, weight) in [(0, 40), (1, 60)] {
        other["variants"][variant]["traffic_percentage"] = json!(weight);
    }
    let saved = functions.root().put(&format!("/experiments/{NAME}"), &other).await.expect(200).body;
    assert_eq!(saved["phase"], json!(first.phase + 1));
    assert_guarded(&functions, &Counted { phase: first.phase + 1, ..first }).await;
}

/// The second damage is found in the middle of catching up: the counts before it are lost, and known to be.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_damaged_again_while_it_catches_up_has_a_gap() {
    let functions = Functions::start(&[]).await;
    let (store, stream) = (&functions.platform.store, &functions.dynamodb.stream);
    let first = Counted::begin(functions.root(), NAME).await;
    // As long as it is kept, batches arrive that it lacks.
    spoil(&functions, &first, "HEAD", LATER).await;
    post(&functions, "pause", None).await;
    functions.root().send("DELETE", &format!("/experiments/{NAME}"), &[], None).await.expect(200);
    let second = Counted::begin(functions.root(), NAME).await;
    for sequence in 3..19 {
        store_batch(store, &second.batch("a".repeat(32), sequence, &users(sequence * 100, 2))).await;
    }
    functions.evaluate().await;
    let partition = format!("LEDGER#experiment/{NAME}");
    functions.dynamodb.set_schema(&partition, "HEAD", DAMAGED);
    // One record at a time, so slowly that a checkpoint cannot read all of them.
    stream.page_sizes(1, 10);
    stream.slow_reads(Duration::from_secs(1));
    functions.evaluate().await;
    let parked = async || store.cursor().await.unwrap().parked;
    assert!(parked().await.contains_key(&format!("experiment/{NAME}")), "it has caught up");
    let results = functions.results().await;
    let lost = sum(&results["variants"]);
    assert!((1..32).contains(&lost) && results["gap"].is_null(), "{results:#}");
    functions.dynamodb.set_schema(&partition, "HEAD", DAMAGED);
    stream.slow_reads(Duration::ZERO);
    functions.evaluate().await;
    functions.evaluate().await;
    assert!(parked().await.is_empty());
    let results = functions.results().await;
    assert_eq!(sum(&results["variants"]), 32 - lost, "{results:#}");
    assert!(results["gap"]["since"].is_string(), "{results:#}");
}

/// The functions were rolled back: the version that wrote the ledger comes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_a_later_version_wrote_is_kept_though_its_phase_is_over() {
    let functions = Functions::start(&[]).await;
    let first = Counted::begin(functions.root(), NAME).await;
    spoil(&functions, &first, "EVIDENCE#000", LATER).await;
    post(&functions, "pause", None).await;
    functions.root().send("DELETE", &format!("/experiments/{NAME}"), &[], None).await.expect(200);
    let held = ledger_items(&functions);
    functions.evaluate().await;
    Counted::begin(functions.root(), NAME).await;
    functions.evaluate().await;
    assert!(held > 0);
    assert_eq!(ledger_items(&functions), held);
}

/// Records that were made while results were hidden are as the results were; a replay asks for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_hidden_with_the_results() {
    let functions = Functions::start(&[]).await;
    let counted = Counted::begin(functions.root(), NAME).await;
    let store = &functions.platform.store;
    let of_control: Vec<CountedUser> = users(1, 400).into_iter().filter(|user| user.variant == 0).collect();
    store_batch(store, &counted.batch("a".repeat(32), 1, &of_control)).await;
    functions.evaluate().await;
    // Later users make the split look right.
    let of_treatment: Vec<CountedUser> =
        users(1_001, 400).into_iter().filter(|user| user.variant == 1).collect();
    store_batch(store, &counted.batch("a".repeat(32), 2, &of_treatment)).await;
    functions.evaluate().await;
    let results = functions.results().await;
    assert_eq!((&results["is_hidden"], &results["metrics"]), (&json!(true), &json!([])), "{results:#}");
    let records = async |query: &str| {
        let path = format!("/experiments/{NAME}/records{query}");
        functions.root().get(&path).await.expect(200).body["records"].as_array().unwrap().clone()
    };
    let withheld = records("").await;
    let hidden = withheld.last().unwrap();
    assert_eq!(
        (&hidden["judgement"]["conclusion"]["kind"], &hidden["is_withheld"]),
        (&json!("hidden"), &json!(true))
    );
    assert_eq!(hidden["figures"]["running"][0], json!({ "users": 200, "metrics": [] }));
    let whole: Vec<Record> = serde_json::from_value(json!(records("?hidden=include").await)).unwrap();
    assert!(
        whole.last().unwrap().judgement.is_hidden() && cutover_core::experiment::replay(&whole).is_empty()
    );
    functions.root().get(&format!("/experiments/{NAME}/records?hidden=yes")).await.expect(422);
}
