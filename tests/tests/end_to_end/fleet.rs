//! The size of the fleet, by which evaluation sets the interval of reports.

use cutover_core::measurement::pace::Pace;
use cutover_lambda::{measurement::evaluate::invocation, store::Cursor};
use cutover_tests::{dynamodb::DynamoDb, functions::platform};
use serde_json::json;

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
