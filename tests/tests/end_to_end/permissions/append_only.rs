//! The audit log is appended to. No policy demands that, because IAM sees the key of a put and not its condition: the code puts
//! each item on condition that there is none.

use cutover_core::{Epoch, Revision};
use cutover_lambda::{
    clock,
    store::{AuditRecord, Brakes, Commit, CommitError, EmergencyChange, Role, Store},
};
use cutover_tests::{dynamodb::DynamoDb, functions::platform};
use serde_json::{Value, json};

fn record(action: &str) -> AuditRecord {
    AuditRecord::new(clock::now(), "operator", Role::Operator, action, None)
}

/// Makes a change that writes nothing but its record.
async fn change(store: &Store, from: Revision, audit: AuditRecord) -> Result<Revision, CommitError> {
    let commit = Commit {
        from,
        epoch: Epoch::default(),
        writes: Vec::new(),
        emergency: EmergencyChange::Keep,
        brakes: Brakes::default(),
        audit,
        reply: None,
        lease: None,
    };
    store.commit(commit).await
}

/// Returns the items of the audit log.
fn log(dynamodb: &DynamoDb) -> Vec<Value> {
    dynamodb.items().into_iter().filter(|item| item["pk"]["S"] == "AUDIT").collect()
}

/// A head that counts wrong, as after a mistake or a partial restore, sends the next record to the place of one that exists.
#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_the_audit_log_is_never_written_over() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let head = |name: &str, number: u64| dynamodb.set_number("CONFIG", "HEAD", name, number);
    // Too large for its record: it is kept in parts.
    let large = json!(["x".repeat(500_000)]);
    let with_parts = |action: &str| record(action).with_changes(Vec::new(), large.clone());
    assert_eq!(change(&store, Revision(0), with_parts("config.put")).await.unwrap(), Revision(1));
    store.note_with(&record("publication.publish"), &[]).await.unwrap();
    for item in log(&dynamodb) {
        // Whoever puts an item again takes this out.
        let sort = item["sk"]["S"].as_str().unwrap();
        dynamodb.set("AUDIT", sort, "mark", &json!({ "S": "untouched" }));
    }
    let before = log(&dynamodb);
    let parts = before.iter().filter(|item| item["sk"]["S"].as_str().unwrap().starts_with("CHANGES#"));
    assert!(parts.count() >= 2 && before.len() >= 4, "{} items", before.len());

    head("revision", 0);
    let again = change(&store, Revision(0), with_parts("config.put")).await;
    assert!(matches!(again, Err(CommitError::Conflict)), "{again:?}");
    head("revision", 1);
    head("audit_count", 1);
    let again = store.note_with(&record("publication.publish"), &[]).await;
    assert!(matches!(again, Err(CommitError::Conflict)), "{again:?}");
    assert_eq!(log(&dynamodb), before);
}
