//! `--wait`: isolates confirm a change by their batches.

use cutover_tests::{
    canary::{FLAG, PATH},
    command::{CommandOutput, cutover},
    stack::{Options, ROOT_TOKEN, Stack},
    steady::Steady,
};
use std::{convert::Infallible, time::Duration};

/// Runs `cutover` while something else goes on.
async fn beside(stack: &Stack, arguments: &[&str], other: impl Future<Output = Infallible>) -> CommandOutput {
    tokio::select! {
        done = cutover(stack, ROOT_TOKEN, arguments, "") => done,
        never = other => match never {},
    }
}

/// The schedule, every half second.
async fn schedule(stack: &Stack) -> Infallible {
    loop {
        stack.lambda.tick("evaluate").await.expect("evaluate answers");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_confirmed_by_the_batches_of_all_isolates() {
    let worker_variables =
        [("REPORT_INTERVAL_MS", "500".to_owned()), ("SNAPSHOT_SOFT_TTL_MS", "500".to_owned())];
    let options = Options { isolates: 2, worker_variables: worker_variables.into(), ..Options::default() };
    let stack = Stack::start(options).await;
    let applied = stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;

    let nobody =
        beside(&stack, &["rollout", FLAG, "30", "--wait", "--timeout", "30s"], schedule(&stack)).await;
    assert_eq!(nobody.code, 0, "{}", nobody.err);
    assert!(nobody.out.contains("revision 2, published"), "{}", nobody.out);

    let traffic = Steady::start(&stack.edge.ports(), &[PATH], 20.0);
    // Both are known before the change, so that one alone does not confirm it.
    let reporting =
        async || stack.management().get("/status").await.expect(200).body["isolates"]["reporting"].clone();
    for _ in 0..60 {
        stack.lambda.tick("evaluate").await.expect("evaluate answers");
        if reporting().await == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(reporting().await, 2);
    let done = beside(&stack, &["rollout", FLAG, "50", "--wait", "--timeout", "60s"], schedule(&stack)).await;
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let ending = done.out.lines().last().unwrap_or_default();
    assert!(
        ending.starts_with("confirmed by the batches of 2 of 2 isolates after "),
        "{}{}",
        done.out,
        done.err
    );

    // Nobody reads the batches, once the last invocation is over: what was confirmed before says nothing about this change.
    stack.lambda.tick("evaluate").await.expect("evaluate answers");
    let late = cutover(&stack, ROOT_TOKEN, &["disable", FLAG, "--wait", "--timeout", "3s"], "").await;
    traffic.stop().await;
    assert_eq!(late.code, 11, "{}{}", late.out, late.err);
    assert!(late.out.contains("revision 4"), "the change is made: {}", late.out);
    assert!(late.err.contains("waiting for revision 4: 0 of 2 isolates"), "{}", late.err);
}
