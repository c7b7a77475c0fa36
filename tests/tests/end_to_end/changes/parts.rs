//! A file that is too large for one transaction.

use super::api::{Api, FLAG, demand};
use cutover_core::{PartsPerMillion, Revision, Snapshot, Stamp, config::Config};
use cutover_lambda::{
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
use std::sync::atomic::{AtomicU32, Ordering};

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
