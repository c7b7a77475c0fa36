//! A file that is too large for one transaction.

use super::api::{Api, FLAG, demand};
use cutover_core::{
    FlagName, PartsPerMillion, Revision, Snapshot, Stamp, Timestamp,
    canary::{Run, RunIdentity},
    config::Config,
};
use cutover_lambda::{
    canary::run::run_write,
    change::{
        commit::{change, change_on},
        demand::Precondition,
        operation::Operation,
        proposal::Proposal,
    },
    store::EmergencyChange,
};
use cutover_tests::{functions::platform, kv_server::KvServer};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

/// The path for a file that removes everything else, also flags that have users on the new arm.
const PRUNE: &str = "/config?prune=true&allow_moving_users=true";

/// A file with this many flags, of which no transaction takes more than 97.
fn file(flags: usize) -> Value {
    let flags = (0..flags).map(|at| (format!("flag_{at:03}"), json!({ "enabled": true })));
    json!({ "feature_flags": flags.collect::<serde_json::Map<_, _>>() })
}

fn proposal(config: Config) -> Proposal {
    Proposal {
        config,
        emergency: EmergencyChange::Keep,
        others: Vec::new(),
        answer: Box::new(|outcome| (axum::http::StatusCode::OK, json!({ "changes": outcome.changes }))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_has_one_precondition() {
    let api = Api::start(&[]).await;
    let tag = api.root().get("/config").await.expect(200).etag.unwrap();
    let put = async |tag: &str, flags: usize| {
        let headers = [("if-match", tag), ("content-type", "application/json")];
        api.root().send("PUT", "/config", &headers, Some(&file(flags).to_string())).await
    };
    let applied = put(&tag, 200).await.expect(200).body;
    assert_eq!(applied["changes"].as_array().unwrap().len(), 200);
    assert_eq!(applied["revision"], 4, "three parts after revision 1");
    assert_eq!(put(&tag, 300).await.expect(412).body["code"], "changed_meanwhile");
    assert_eq!(api.revision().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_that_is_overtaken_stops_says_how_far_it_came_and_is_published() {
    let kv = KvServer::start().await;
    let api = Api::start(&[("CUTOVER_KV_API", &format!("http://127.0.0.1:{}", kv.port()))]).await;
    // Nothing listens at its KV, so that only the file's own publication counts.
    let other = platform(&api.dynamodb, &[]).await;
    let wanted = Config::from_json(&file(200)).unwrap();
    let proposed = AtomicU32::new(0);
    let demand_of_file = demand(Precondition::Version(Stamp { revision: Revision(1), ..Stamp::default() }));
    let overtake = async || {
        let demand = demand(Precondition::None);
        let changed = change(&other, &demand, Operation::FlagRollout, |state| {
            let mut config = state.config.clone();
            config.feature_flags.get_mut(FLAG).unwrap().rollout_percentage = PartsPerMillion::of_percent(1);
            Ok(proposal(config))
        });
        changed.await.unwrap();
    };
    let precondition = |state: &cutover_lambda::store::State| {
        demand_of_file.precondition.check("the configuration", Some(state.head.stamp()))
    };
    let changed = change_on(&api.platform, &demand_of_file, Operation::ConfigApply, precondition, |state| {
        if proposed.fetch_add(1, Ordering::Relaxed) == 1 {
            // Between the first part and the second.
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(overtake()));
        }
        Ok(proposal(state.config.merged(&wanted, false)))
    });
    let problem = changed.await.unwrap_err();
    assert_eq!((problem.status.as_u16(), problem.code), (412, "changed_meanwhile"), "{problem}");
    assert!(problem.detail.contains("97 of 200 changes are in force, as revision 2"), "{}", problem.detail);
    assert!(problem.hint.contains("apply the same file again"), "{}", problem.hint);
    let published = Snapshot::decode(&kv.get("snapshot").unwrap()).unwrap();
    assert_eq!(published.revision, Revision(3), "what is in force is published");

    let rest = api.root().put("/config", &file(200)).await.expect(200).body;
    assert_eq!(rest["changes"].as_array().unwrap().len(), 103, "what is in force already is left as it is");
}

/// A file that has none of the flags of the others.
fn another_file() -> Value {
    json!({ "feature_flags": { "another": { "enabled": true } } })
}

/// Gives each flag of [`file`] a run that was rolled back.
async fn roll_all_back(api: &Api, flags: usize) {
    let plans = api.platform.store.state().await.unwrap().config.canary_deployments;
    let runs = (0..flags).map(|number| {
        let flag: FlagName = format!("flag_{number:03}").parse().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        let plan = plans.values().next().unwrap().clone();
        Run::start(identity, flag, plan, Timestamp::from_millis(0), "root").rolled_back(None, "for this test")
    });
    let runs: Vec<Run> = runs.collect();
    for some in runs.chunks(60) {
        let demand = demand(Precondition::None);
        let changed = change(&api.platform, &demand, Operation::CanaryRollback, |state| {
            let write = |run: &Run| (format!("canary_runs/{}", run.flag), run_write(state, run));
            Ok(Proposal { others: some.iter().map(write).collect(), ..proposal(state.config.clone()) })
        });
        changed.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_is_pruned_takes_its_ended_run_with_it() {
    const FLAGS: usize = 120;
    let api = Api::start(&[]).await;
    api.root().put("/config", &file(FLAGS)).await.expect(200);
    roll_all_back(&api, FLAGS).await;
    // More runs than a transaction has room for.
    api.root().put(PRUNE, &another_file()).await.expect(200);
    let state = api.platform.store.state().await.unwrap();
    assert_eq!((state.config.feature_flags.len(), state.runs.len()), (1, 0));
    let log = api.root().get("/audit?action=config.apply").await.expect(200).body;
    let mut removed = 0;
    for record in log["records"].as_array().unwrap() {
        let objects = record["objects"].as_array().unwrap().iter();
        let objects: BTreeSet<&str> = objects.map(|object| object.as_str().unwrap()).collect();
        assert!(objects.len() <= 97, "{}", objects.len());
        for flag in objects.iter().filter_map(|object| object.strip_prefix("canary_runs/")) {
            let flag = format!("feature_flags/{flag}");
            assert!(objects.contains(flag.as_str()), "{flag} and its run are in two parts");
            removed += 1;
        }
    }
    assert_eq!(removed, FLAGS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_whose_canary_runs_is_not_pruned() {
    let api = Api::start(&[]).await;
    let steer =
        async |verb: &str| api.root().send("POST", &format!("/canary/{FLAG}/{verb}"), &[], None).await.status;
    assert_eq!((steer("start").await, steer("pause").await), (201, 200));
    let revision = api.revision().await;
    for query in ["prune=true", "prune=true&dry_run=true"] {
        let path = format!("/config?{query}");
        let refused = api.root().put(&path, &another_file()).await.expect(409).body;
        assert_eq!(refused["code"], "canary_running", "{query}");
        assert!(refused["detail"].as_str().unwrap().contains(FLAG), "{refused:#}");
        assert!(refused["hint"].as_str().unwrap().contains("roll the run back"), "{refused:#}");
    }
    assert_eq!(api.revision().await, revision);
    assert_eq!(steer("rollback").await, 200);
    api.root().put(PRUNE, &another_file()).await.expect(200);
    assert!(api.platform.store.state().await.unwrap().runs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_few_large_objects_is_cut_by_bytes() {
    let api = Api::start(&[]).await;
    // 13 flags of 340 KB: more than the 4 MB of a transaction.
    let ids: Vec<String> = (0..5_000).map(|id| format!("user-{id:060}")).collect();
    let flag = json!({ "enabled": true, "user_whitelist": ids });
    let large = |count: usize| {
        let flags = (0..count).map(|number| (format!("large_{number:02}"), flag.clone()));
        json!({ "feature_flags": flags.collect::<serde_json::Map<_, _>>() })
    };
    let applied = api.root().put("/config", &large(13)).await.expect(200).body;
    assert_eq!(applied["revision"], 3, "two parts after revision 1");
    let pruned = api.root().put(PRUNE, &large(1)).await.expect(200).body;
    assert_eq!(api.platform.store.state().await.unwrap().config.feature_flags.len(), 1);
    assert_eq!(pruned["revision"], 5, "what is removed counts too");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_no_item_holds_is_refused_by_name_before_anything_is_changed() {
    let api = Api::start(&[]).await;
    let half = json!({ "name": "half", "traffic_percentage": 50 });
    let experiment = |name: usize| json!({ "name": "x".repeat(name), "variants": { "one": half.clone(), "other": half.clone() } });
    // The flags come first, in a part of their own.
    let mut wanted = file(150);
    wanted["ab_tests"] = json!({ "huge": experiment(420_000) });
    for query in ["?dry_run=true", ""] {
        let refused = api.root().put(&format!("/config{query}"), &wanted).await.expect(422).body;
        assert_eq!(refused["code"], "object_too_large", "{refused:#}");
        assert_eq!(refused["field"], "ab_tests.huge");
        assert!(refused["detail"].as_str().unwrap().contains("at most 400000"), "{refused:#}");
    }
    assert_eq!(api.revision().await, 1);
    wanted["ab_tests"] = json!({ "huge": experiment(390_000) });
    api.root().put("/config", &wanted).await.expect(200);
}
