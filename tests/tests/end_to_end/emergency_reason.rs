//! The reason of an emergency, which everybody reads with the head.

use cutover_core::Revision;
use cutover_tests::{
    dynamodb::DynamoDb,
    functions::{ManagementServer, connected, platform},
};
use serde_json::json;

/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reason_is_cut_everywhere_and_drives_no_brake_out_of_the_head() {
    let dynamodb = DynamoDb::start().await;
    let server = ManagementServer::start(platform(&dynamodb, &[]).await).await;
    let flags = "feature_flags: { one: { enabled: true, rollout_percentage: 100 } }\n";
    server.client.apply(flags).await.expect(200);
    server.client.put("/flags/one/rollout", &json!({ "percentage": 5 })).await.expect(200);
    let store = connected(&dynamodb.url(), &[]).store;
    let braked = store.head().await.unwrap().brakes.since(Revision(0)).len();
    assert_eq!(braked, 1);

    // Each letter is two bytes, so that a cut by bytes would split one.
    let reason = format!("  the database is on fire: {}", "é".repeat(20_000));
    let declared = server.client.post("/emergency/rollback", &json!({ "reason": reason })).await;
    let shown = declared.expect(200).body["emergency"]["reason"].as_str().unwrap().to_owned();
    let head = store.head().await.unwrap();
    let kept = head.emergency.unwrap().reason;
    assert_eq!(shown, kept);
    assert!(kept.len() <= MAX_REASON && kept.starts_with("the database is on fire: é"), "{kept}");
    assert_eq!(head.brakes.since(Revision(0)).len(), braked, "the reason took the room of the brakes");
    let records = server.client.get("/audit?limit=1").await.expect(200).body;
    assert_eq!(records["records"][0]["reason"], kept, "{records:#}");
}
