//! Active runs: their largest number, and the keys of their users' hashes.

use super::api::{Api, FLAG};
use cutover_core::{FlagName, Timestamp, canary::RunIdentity};
use cutover_tests::client::{Answer, Management};
use serde_json::json;
use tokio::task::JoinSet;

/// Most active runs.
const MAX_RUNS: usize = 32;

/// Further flags, each with a canary.
const FLAGS: usize = 36;

fn name(number: usize) -> String {
    format!("flag_{number:02}")
}

/// Adds flags with canaries to the configuration.
async fn with_canaries(api: &Api) {
    let plan = json!({
        "initial_percentage": 1,
        "promotion_steps": [1, 50, 100],
        "step_duration_minutes": 60,
        "success_criteria": { "max_error_rate": 0.05, "max_response_time_p95": 500 },
        "rollback_criteria": { "max_error_rate": 0.1, "max_response_time_p95": 1000 },
    });
    let flags = (0..FLAGS).map(|number| (name(number), json!({ "enabled": true, "rollout_percentage": 0 })));
    let plans = (0..FLAGS).map(|number| (name(number), plan.clone()));
    let file = json!({
        "feature_flags": flags.collect::<serde_json::Map<_, _>>(),
        "canary_deployments": plans.collect::<serde_json::Map<_, _>>(),
    });
    api.root().apply(&file.to_string()).await.expect(200);
}

async fn steer(caller: &Management, flag: &str, verb: &str) -> Answer {
    caller.send("POST", &format!("/canary/{flag}/{verb}"), &[], None).await
}

async fn active(api: &Api) -> usize {
    let state = api.platform.store.state().await.unwrap();
    state.runs.values().filter(|run| run.state.is_active()).count()
}

/// Each run is judged in every pass: however they are started, there are 32 at most.
#[tokio::test(flavor = "multi_thread")]
async fn the_33rd_run_is_refused_also_if_it_is_started_at_the_same_time() {
    let api = Api::start(&[]).await;
    with_canaries(&api).await;
    for number in 0..MAX_RUNS - 1 {
        steer(api.root(), &name(number), "start").await.expect(201);
    }
    steer(api.root(), &name(3), "pause").await.expect(200);
    let mut starting = JoinSet::new();
    for number in MAX_RUNS - 1..FLAGS {
        let caller = api.root().clone();
        starting.spawn(async move { steer(&caller, &name(number), "start").await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = starting.join_next().await {
        answers.push(answer.unwrap());
    }
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409]);
    for refused in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!(refused.body["code"], "too_many_runs", "{:#}", refused.body);
        let hint = refused.body["hint"].as_str().unwrap();
        assert!(
            hint.contains(&format!(": {} (paused", name(3))),
            "the one that stands still comes first: {hint}"
        );
    }
    assert_eq!(active(&api).await, MAX_RUNS);
    // One that is replaced because its plan has changed takes no room, nor does one that ends.
    steer(api.root(), &name(3), "rollback").await.expect(200);
    steer(api.root(), &name(3), "retry").await.expect(201);
    steer(api.root(), FLAG, "start").await.expect(409);
    assert_eq!(active(&api).await, MAX_RUNS);
}

/// The check is made when a change is asked for, and again when it is approved.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_starts_no_33rd_run() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    with_canaries(&api).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    for number in 0..MAX_RUNS - 1 {
        steer(api.root(), &name(number), "start").await.expect(201);
    }
    let mut asked = Vec::new();
    for number in [MAX_RUNS - 1, MAX_RUNS] {
        let answer = steer(&one, &name(number), "start").await.expect(202);
        asked.push(format!("/changes/{}/approve", answer.body["change"].as_str().unwrap()));
    }
    two.send("POST", &asked[0], &[], None).await.expect(201);
    let refused = two.send("POST", &asked[1], &[], None).await.expect(409);
    assert_eq!(refused.body["code"], "too_many_runs", "{:#}", refused.body);
    steer(&one, &name(MAX_RUNS + 1), "start").await.expect(409);
    assert_eq!(active(&api).await, MAX_RUNS);
}

/// Returns the keys of the runs in the snapshot, which must be those of the runs in the table.
async fn keys(api: &Api) -> Vec<String> {
    let state = api.platform.store.state().await.unwrap();
    let in_runs: Vec<String> = state.runs.values().filter_map(|run| run.key.clone()).collect();
    let in_snapshot: Vec<String> =
        state.snapshot().canaries.values().filter_map(|label| label.key.clone()).collect();
    assert_eq!(in_runs, in_snapshot);
    in_runs
}

/// Fails if the table has a key anywhere, in whatever item.
fn assert_forgotten(api: &Api, key: &str) {
    let table = api.dynamodb.items();
    let item = table.iter().find(|item| item.to_string().contains(key));
    assert!(item.is_none(), "an item has the key of a run that is over: {item:#?}");
}

/// The key of a run tells if a user is among its hashes. It ends with the run, however that ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_run_ends_with_it() {
    let api = Api::start(&[]).await;
    steer(api.root(), FLAG, "start").await.expect(201);
    let first = keys(&api).await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].len(), 32);
    steer(api.root(), FLAG, "pause").await.expect(200);
    assert_eq!(keys(&api).await, first, "it is active");
    steer(api.root(), FLAG, "resume").await.expect(200);
    steer(api.root(), FLAG, "rollback").await.expect(200);
    assert_eq!(keys(&api).await, Vec::<String>::new(), "rolled back");
    assert_forgotten(&api, &first[0]);

    steer(api.root(), FLAG, "retry").await.expect(201);
    let second = keys(&api).await;
    assert_ne!(second, first);
    let state = api.platform.store.state().await.unwrap();
    let flag: FlagName = FLAG.parse().unwrap();
    let run = state.active_run(&flag).unwrap().clone();
    let other = RunIdentity { id: "r9".parse().unwrap(), key: Some("other".to_owned()) };
    let replaced = run.under(&run.plan, other, Timestamp::from_millis(0)).unwrap();
    assert_eq!(replaced.key.as_deref(), Some("other"), "a run that replaces another has a key of its own");
    // To the end: the steps, and the watch behind them.
    for _ in 0..run.step_count() {
        steer(api.root(), FLAG, "promote").await.expect(200);
    }
    assert_eq!(keys(&api).await, second, "the last step is being watched");
    steer(api.root(), FLAG, "promote").await.expect(200);
    let state = api.platform.store.state().await.unwrap();
    assert_eq!(state.runs[&flag].state.as_str(), "completed");
    assert_eq!(keys(&api).await, Vec::<String>::new(), "complete");
    assert_forgotten(&api, &second[0]);
}
