//! Requests that the command line sends again, and its words about them.

use cutover_tests::{
    command::{cutover_at, cutover_with_contexts},
    dynamodb::DynamoDb,
    fault_proxy::{Fault, FaultProxy},
    functions::{ManagementServer, platform},
    stack::ROOT_TOKEN,
};
use serde_json::Value;

/// Has a proxy answer the next two requests of the command line with 503.
fn fail_twice(front: &FaultProxy) {
    for _ in 0..2 {
        front.on_next("user-agent", "cutover/", Fault::Answer(503, "application/json", "{}".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_error_is_one_json_object_after_failures_that_pass() {
    let dynamodb = DynamoDb::start().await;
    let server = ManagementServer::start(platform(&dynamodb, &[]).await).await;
    let front = FaultProxy::start(server.address).await;
    let wrong = ["list", "--token", "wrong"];

    fail_twice(&front);
    let told = cutover_at(&front.url(), &wrong).await;
    assert_eq!((told.code, front.awaited()), (4, 0), "{}", told.err);
    assert_eq!(told.err.matches("trying again").count(), 1, "{}", told.err);

    fail_twice(&front);
    let json = cutover_at(&front.url(), &[&wrong[..], &["--json"]].concat()).await;
    assert_eq!((json.code, front.awaited()), (4, 0), "{}", json.err);
    let failure: Value = serde_json::from_str(&json.err).expect("one JSON object");
    assert_eq!((&failure["code"], &failure["exit_code"]), (&"token_unknown".into(), &4.into()), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_of_the_environment_are_read_as_people_write_them() {
    let dynamodb = DynamoDb::start().await;
    let server = ManagementServer::start(platform(&dynamodb, &[]).await).await;
    server.client.apply("feature_flags: { one: { enabled: true } }\n").await.expect(200);
    let front = FaultProxy::start(server.address).await;
    let folder = tempfile::tempdir().unwrap();
    let url = front.url();
    for (value, is_on) in
        [("1", true), ("true", true), ("yes", true), ("0", false), ("false", false), ("", false)]
    {
        let variables = [
            ("CUTOVER_URL", url.as_str()),
            ("CUTOVER_TOKEN", ROOT_TOKEN),
            ("CUTOVER_NO_RETRY", value),
            // Without keys of AWS it cannot be on.
            ("CUTOVER_AWS_IAM", if is_on { "no" } else { value }),
            ("CUTOVER_INSECURE_HTTP", value),
        ];
        let run =
            async |arguments: &[&str]| cutover_with_contexts(folder.path(), &variables, arguments, "").await;
        for arguments in [&["emergency-rollback", "drill"][..], &["list"]] {
            let done = run(arguments).await;
            assert_eq!(done.code, 0, "{value:?} {arguments:?}: {}", done.err);
        }
        // The switch is not only accepted.
        fail_twice(&front);
        assert_eq!(run(&["list"]).await.code == 0, !is_on, "{value:?}");
        front.forget_next();
    }
}
