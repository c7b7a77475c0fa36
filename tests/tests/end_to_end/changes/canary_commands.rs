//! `cutover canary` as scripts use it: waiting, watching through failures, and the list of runs.

use super::api::{Api, FLAG, OTHER};
use cutover_tests::{
    client::Answer,
    command::{CommandOutput, cutover_at},
    fault_proxy::{Fault, FaultProxy},
};
use serde_json::Value;
use std::time::Duration;

async fn steer(api: &Api, verb: &str) -> Answer {
    api.root().send("POST", &format!("/canary/{FLAG}/{verb}"), &[], None).await
}

async fn run(url: &str, arguments: &[&str], code: i32) -> CommandOutput {
    let done = cutover_at(url, arguments).await;
    assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_waits_for_a_run() {
    let api = Api::start(&[]).await;
    let url = format!("http://{}", api.server.address);
    let missed = run(&url, &["canary", "wait", FLAG], 10).await;
    assert!(missed.err.contains("cutover canary start graphql_offers_read"), "{}", missed.err);
    let started = run(&url, &["canary", "start", FLAG], 0).await;
    let moves = "moves from 50% down to 5%: about 45% of users go back to legacy";
    assert!(started.err.contains(moves), "{}", started.err);
    run(&url, &["canary", "wait", FLAG, "--for", "step=5"], 0).await;
    run(&url, &["canary", "wait", FLAG, "--for", "step=101"], 2).await;
    let late = run(&url, &["canary", "wait", FLAG, "--timeout", "1s"], 11).await;
    assert!(late.err.contains("is completed, for 1 s at most"), "{}", late.err);
    assert!(late.err.contains("the time is over") && late.out.is_empty(), "{}", late.err);
    let pause = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        steer(&api, "pause").await.expect(200);
    };
    let wait = ["canary", "wait", FLAG, "--for", "completed,paused", "--timeout", "30s", "--every", "1"];
    let (waited, ()) = tokio::join!(run(&url, &wait, 0), pause);
    assert!(waited.out.contains("paused"), "{}", waited.out);
    steer(&api, "rollback").await.expect(200);
    let sentence = "Rolled back from 5% by root.";
    let missed = run(&url, &["canary", "wait", FLAG], 10).await;
    assert!(missed.err.contains(sentence), "{}", missed.err);
    run(&url, &["canary", "wait", FLAG, "--for", "rolled_back"], 0).await;
    for (arguments, code) in
        [(&["canary", "watch", FLAG][..], 0), (&["canary", "watch", FLAG, "--exit-status"], 10)]
    {
        let watched = run(&url, arguments, code).await;
        assert!(watched.out.trim_end().ends_with(sentence), "{}", watched.out);
    }
    let status = run(&url, &["canary", "status", FLAG], 0).await.out;
    assert!(status.contains("(5%) > 25%") && status.contains("fell back from 5% to 0%"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_failed_reads() {
    let api = Api::start(&[]).await;
    steer(&api, "start").await.expect(201);
    let front = FaultProxy::start(api.server.address).await;
    front.on_next("authorization", "", Fault::None);
    front.on_next("authorization", "", Fault::Lost);
    let end = async {
        while front.awaited() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        steer(&api, "rollback").await.expect(200);
    };
    let url = front.url();
    let (watched, ()) = tokio::join!(run(&url, &["canary", "watch", FLAG, "--every", "1"], 0), end);
    assert_eq!(watched.err.matches("no status since").count(), 1, "{}", watched.err);
    let lines: Vec<&str> = watched.out.lines().collect();
    assert!(lines[0].contains("running") && lines[0].contains("5%"), "{lines:#?}");
    assert!(lines.last().unwrap().contains("rolled_back"), "{lines:#?}");
    // A refusal is told at once.
    run(&url, &["canary", "watch", "nope"], 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_of_a_flag_are_listed() {
    let api = Api::start(&[]).await;
    let url = format!("http://{}", api.server.address);
    let first = steer(&api, "start").await.expect(201).body["run"].as_str().unwrap().to_owned();
    steer(&api, "promote").await.expect(200);
    run(&url, &["canary", "rollback", FLAG, "--reason", "too slow"], 0).await;
    let retried = run(&url, &["canary", "retry", FLAG, "--yes"], 0).await;
    assert!(retried.err.contains("moves from 0% up to 5%"), "{}", retried.err);
    let listed = run(&url, &["canary", "runs", FLAG], 0).await.out;
    let rows: Vec<&str> = listed.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{listed}");
    assert!(rows[0].contains("running") && rows[0].contains("5%"), "{listed}");
    assert!(rows[1].starts_with(&first) && rows[1].contains("rolled_back"), "{listed}");
    assert!(rows[1].contains("25%") && rows[1].contains("root") && rows[1].contains("too slow"), "{listed}");
    let path = format!("/canary/{FLAG}/runs");
    let page = api.root().get(&format!("{path}?limit=1")).await.expect(200).body;
    let after = page["next_after"].as_str().unwrap();
    let rest = api.root().get(&format!("{path}?limit=1&after={after}")).await.expect(200).body;
    assert_eq!((&rest["runs"][0]["run"], &rest["next_after"]), (&first.as_str().into(), &Value::Null));
    assert_eq!(rest["runs"][0]["highest_step"], 1);
    assert!(rest["runs"][0]["ended_at"].is_string(), "{rest:#}");
    let none = api.root().get(&format!("/canary/{OTHER}/runs")).await.expect(200).body;
    assert_eq!(none["runs"].as_array().unwrap().len(), 0);
    for wrong in ["limit=0", "limit=501", "after=x"] {
        api.root().get(&format!("{path}?{wrong}")).await.expect(422);
    }
    let nope = run(&url, &["canary", "runs", "nope"], 5).await;
    assert!(nope.err.contains("add canary_deployments.nope"), "{}", nope.err);
}
