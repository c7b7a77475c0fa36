//! The evaluation of arrivals on DynamoDB's API, without the Worker: ledgers that cannot be read, and flags that are behind.

use cutover_core::FlagName;
use cutover_lambda::store::{Ledger, LedgerWrite, StoreError};
use cutover_tests::{dynamodb::DynamoDb, fault_proxy::Fault, functions::platform};
use serde_json::json;

fn flag(name: &str) -> FlagName {
    name.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_another_schema_hides_no_other() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    for name in ["one", "two"] {
        let flag = flag(name);
        let ledger = Ledger::default();
        let write = LedgerWrite { flag: Some(&flag), ledger, evidence: None, run: None, others: Vec::new() };
        store.write_ledger(write).await.unwrap();
    }
    dynamodb.set_schema("METRICS", "LEDGER#one", 2);
    let read: Vec<_> = store.ledgers().await.unwrap().into_iter().map(|(flag, _)| flag).collect();
    assert_eq!(read, [Some(flag("two"))]);
    assert!(matches!(store.ledger(Some(&flag("one"))).await, Err(StoreError::Item(_))));
}

/// A ledger that other ticks write while it is read is not damaged.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_lost_a_race_is_told_from_damaged_evidence() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let data = serde_json::to_string(&Ledger { evidence_version: 1, ..Ledger::default() }).unwrap();
    let ledger = |version: u64| {
        let version = version.to_string();
        json!({ "Item": { "schema": { "N": "1" }, "version": { "N": version }, "data": { "S": data } } })
    };
    let read = async |versions: [u64; 4]| {
        for version in versions {
            // The ledger, and then no evidence of its version.
            for body in [ledger(version), json!({})] {
                let answer = Fault::Answer(200, "application/x-amz-json-1.0", body.to_string().into());
                dynamodb.proxy.on_next("x-amz-target", "GetItem", answer);
            }
        }
        store.ledger_with_evidence(Some(&flag("one"))).await.unwrap_err()
    };
    assert_eq!(read([1, 2, 3, 4]).await, StoreError::Restless);
    assert!(matches!(read([4, 4, 4, 4]).await, StoreError::Item(_)));
}
