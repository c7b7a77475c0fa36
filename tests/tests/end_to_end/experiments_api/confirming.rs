//! Questions of the command line before an experiment moves users: scripts need `--yes` in production, and operators are asked.

use super::experiment;
use cutover_tests::{
    command::{command, cutover_with_contexts},
    stack::{Options, ROOT_TOKEN, Stack},
    terminal,
};
use serde_json::json;

/// A flag of the development configuration.
const FLAG: &str = "graphql_offers_read";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_moves_users_by_an_experiment_is_asked_first() {
    let stack = Stack::start(Options::default()).await;
    let management = stack.management();
    management.apply(&stack.dev_configuration()).await.expect(200);
    management.send("POST", &format!("/flags/{FLAG}/enable"), &[], None).await.expect(200);
    management.put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": 20 })).await.expect(200);
    management.put("/experiments/e", &experiment(FLAG)).await.expect(201);
    let folder = tempfile::tempdir().unwrap();
    let run = async |arguments: &[&str], code: i32| {
        let input = if arguments.contains(&"--token-stdin") { ROOT_TOKEN } else { "" };
        let done = cutover_with_contexts(folder.path(), &[], arguments, input).await;
        assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
        done.err
    };
    let state = async || management.get("/experiments/e").await.expect(200).body["state"].clone();
    let url = stack.lambda.url("management");
    run(&["context", "add", "live", "--url", &url, "--production", "--token-stdin"], 0).await;

    let refused = run(&["experiment", "start", "e"], 2).await;
    assert!(refused.contains("50 percent of these go to the new backend"), "{refused}");
    assert!(refused.contains("add --yes"), "{refused}");
    let mut asking = command(&["experiment", "start", "e"]);
    asking.env_remove("CUTOVER_URL").env_remove("CUTOVER_TOKEN").env("XDG_CONFIG_HOME", folder.path());
    let asked = terminal::shown(asking, Some("Go on? [y/N]")).await;
    assert!(asked.output.contains("Go on? [y/N]"), "{}", asked.output);
    assert_eq!((asked.code, state().await), (130, json!("draft")), "{}", asked.output);
    run(&["experiment", "start", "e", "--yes"], 0).await;
    assert_eq!(state().await, "running");

    for end in [&["experiment", "pause", "e"][..], &["experiment", "stop", "e", "--reason", "enough"]] {
        let refused = run(end, 2).await;
        assert!(refused.contains("sends 20 percent of them to the new backend"), "{refused}");
    }
    assert_eq!(state().await, "running");

    // The users of the experiment come back with their flag.
    run(&["disable", FLAG], 0).await;
    let refused = run(&["enable", FLAG], 2).await;
    assert!(refused.contains("the experiment e decides it again"), "{refused}");
    run(&["enable", FLAG, "--yes"], 0).await;
    run(&["experiment", "pause", "e", "--yes"], 0).await;
    assert_eq!(state().await, "paused");
}
