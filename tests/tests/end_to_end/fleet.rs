//! The isolates of the fleet: their number, by which evaluation sets the interval of reports, and the revisions that they hold.

use cutover_core::{
    Revision,
    measurement::{batch::Batch, pace::Pace},
};
use cutover_lambda::{measurement::evaluate::invocation, store::Cursor};
use cutover_tests::{
    batches::store_batch,
    calls::{Call, CallProxy},
    dynamodb::DynamoDb,
    functions::{ManagementServer, connected, platform},
};
use serde_json::{Value, json};

/// A fleet of which a part is known would report all at once at the interval of a small one.
#[tokio::test(flavor = "multi_thread")]
async fn a_roll_that_was_lost_shortens_no_interval_until_it_is_whole_again() {
    let dynamodb = DynamoDb::start().await;
    let platform = platform(&dynamodb, &[]).await;
    let store = &platform.store;
    let evaluate = async || assert!(invocation(&platform).await.unwrap().worked, "somebody holds the lease");
    evaluate().await;
    let long = Pace { interval_ms: 60_000, before_ms: 60_000, ..Pace::default() };
    store.write_pace(long).await.unwrap();
    // A second part was written, and is not there.
    dynamodb.set_number("ROLL#00", "PART", "parts", 2);
    for pass in 0..2 {
        evaluate().await;
        assert_eq!(store.pace().await.unwrap(), long, "pass {pass}");
    }
    // As if two minutes had passed in which every isolate has reported.
    let cursor = store.cursor().await.unwrap();
    let later = Cursor { roll_since: cursor.roll_since - 120_000, ..cursor };
    dynamodb.replace("FOLD", "CURSOR", "data", &json!(later).to_string());
    evaluate().await;
    assert_eq!(store.pace().await.unwrap().interval_ms, 5_000);
}

/// Batches are not all read by one invocation, so the roll hands the revisions over from one to the next.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_which_revisions_isolates_hold_without_another_write() {
    let dynamodb = DynamoDb::start().await;
    let platform = platform(&dynamodb, &[]).await;
    let management = ManagementServer::start(platform.clone()).await;
    let isolates = async || management.client.get("/status").await.expect(200).body["isolates"].clone();
    assert_eq!(isolates().await, Value::Null, "nobody has read a batch");
    let proxy = CallProxy::start(dynamodb.url()).await;
    let evaluating = connected(&proxy.url(), &[]);
    let report = async |isolate: char, sequence: u64, revision: u64| {
        let batch = Batch::empty(isolate.to_string().repeat(32), sequence);
        store_batch(&platform.store, &Batch { revision: Revision(revision), ..batch }).await;
        proxy.take();
        assert!(invocation(&evaluating).await.unwrap().worked, "somebody holds the lease");
        let calls = proxy.take();
        let sets = |call: &&Call, value: &str| !call.request["ExpressionAttributeValues"][value].is_null();
        let telling: Vec<&Call> = calls.iter().filter(|call| sets(call, ":fleet")).collect();
        assert!(!telling.is_empty(), "the revisions were not written");
        assert!(telling.iter().all(|call| sets(call, ":until")), "a write that does not renew the lease");
        let found = isolates().await;
        assert!(found["as_of"].is_string(), "{found:#}");
        (found["reporting"].clone(), found["revisions"].clone())
    };
    let held = |revision: u64, isolates: u64| json!({ "revision": revision, "isolates": isolates });
    assert_eq!(report('a', 1, 7).await, (json!(1), json!([held(7, 1)])));
    assert_eq!(report('b', 1, 7).await, (json!(2), json!([held(7, 2)])));
    assert_eq!(report('a', 2, 8).await, (json!(2), json!([held(8, 1), held(7, 1)])));
    assert_eq!(report('b', 2, 9).await, (json!(2), json!([held(9, 1), held(8, 1)])));
}

/// The isolates that are known would confirm a change for the others.
#[tokio::test(flavor = "multi_thread")]
async fn no_revisions_are_told_while_a_part_of_the_fleet_is_unknown() {
    let dynamodb = DynamoDb::start().await;
    let platform = platform(&dynamodb, &[]).await;
    let management = ManagementServer::start(platform.clone()).await;
    let flags = "feature_flags: { one: { enabled: true, rollout_percentage: 100 } }\n";
    management.client.apply(flags).await.expect(200);
    let report = async |sequence: u64| {
        store_batch(&platform.store, &Batch::empty("a".repeat(32), sequence)).await;
        assert!(invocation(&platform).await.unwrap().worked, "somebody holds the lease");
        management.client.get("/status").await.expect(200).body["isolates"]["reporting"].clone()
    };
    let cursor = async || platform.store.cursor().await.unwrap();
    let put = |cursor: Cursor| dynamodb.replace("FOLD", "CURSOR", "data", &json!(cursor).to_string());
    // As if a minute had passed in which every isolate has reported.
    let let_a_minute_pass = async || {
        let cursor = cursor().await;
        put(Cursor { roll_since: cursor.roll_since - 66_000, ..cursor });
    };
    assert_eq!(report(1).await, 1);
    // A second part was written, and is not there.
    dynamodb.set_number("ROLL#00", "PART", "parts", 2);
    assert_eq!(report(2).await, Value::Null);
    let_a_minute_pass().await;
    assert_eq!(report(3).await, 1);
    management.client.send("POST", "/restore", &[], None).await.expect(200);
    assert_eq!(report(4).await, Value::Null);
    let_a_minute_pass().await;
    assert_eq!(report(5).await, 1);
    // The stream of batches was replaced by a new one.
    put(Cursor { stream: "before".to_owned(), ..cursor().await });
    assert_eq!(report(6).await, Value::Null);
    let_a_minute_pass().await;
    assert_eq!(report(7).await, 1);
}
