//! Writes that DynamoDB refuses for the moment, and writes whose response is lost.

use super::api::{Api, FLAG, KIND, beside, cancelled, demand, percentage, refused, rollout};
use axum::body::Bytes;
use cutover_core::{PartsPerMillion, Revision, Timestamp};
use cutover_lambda::{
    change::{
        commit::change,
        demand::Precondition,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    problem::Problem,
    store::{EmergencyChange, Write},
};
use cutover_tests::fault_proxy::Fault;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

impl Api {
    fn refuse_next(&self, call: &'static str, answer: &Value) {
        let fault = Fault::Answer(400, KIND, answer.to_string().into());
        self.dynamodb.proxy.on_next("x-amz-target", call, fault);
    }

    /// Sets the flag's percentage one point higher than it is. Returns how often the change was proposed.
    async fn one_point_up(&self) -> (u32, Result<ChangeResponse, Problem>) {
        let proposed = AtomicU32::new(0);
        let demand = demand(Precondition::None);
        let changed = change(&self.platform, &demand, Operation::FlagRollout, |state| {
            proposed.fetch_add(1, Ordering::Relaxed);
            let mut config = state.config.clone();
            let flag = config.feature_flags.get_mut(FLAG).unwrap();
            let percent = flag.rollout_percentage.percent() as u32 + 1;
            flag.rollout_percentage = PartsPerMillion::of_percent(percent);
            Ok(Proposal {
                config,
                emergency: EmergencyChange::Keep,
                others: Vec::new(),
                answer: Box::new(|_| (axum::http::StatusCode::OK, json!({}))),
            })
        })
        .await;
        (proposed.load(Ordering::Relaxed), changed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_table_is_too_busy_for_is_made_as_it_was_proposed() {
    let api = Api::start(&[]).await;
    for (at, code) in
        ["ThrottlingError", "ProvisionedThroughputExceeded", "ThrottlingException", "RequestLimitExceeded"]
            .into_iter()
            .enumerate()
    {
        for _ in 0..2 {
            api.refuse_next("TransactWriteItems", &cancelled(code));
        }
        let (proposed, changed) = api.one_point_up().await;
        assert_eq!(changed.unwrap().body["revision"], 2 + at as u64, "{code}");
        assert_eq!(proposed, 1, "{code}: nothing had changed meanwhile");
    }
    // Another transaction at work on an item means that something may have changed.
    api.refuse_next("TransactWriteItems", &cancelled("TransactionConflict"));
    let (proposed, changed) = api.one_point_up().await;
    assert_eq!((proposed, changed.unwrap().body["revision"].clone()), (2, json!(6)));
    assert_eq!(api.share(FLAG).await, 55.0, "five points, one for each change");
}

/// The first attempt is made, its response is lost, and DynamoDB takes it for still under way when it is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_in_progress_is_waited_for_and_made_once() {
    let api = Api::start(&[]).await;
    api.dynamodb.proxy.on_next("x-amz-target", "TransactWriteItems", Fault::Lost);
    // More often than the SDK asks by itself.
    for _ in 0..6 {
        api.refuse_next("TransactWriteItems", &refused("TransactionInProgressException"));
    }
    let (proposed, changed) = api.one_point_up().await;
    assert_eq!((proposed, changed.unwrap().body["revision"].clone()), (1, json!(2)));
    assert_eq!((api.revision().await, api.share(FLAG).await), (2, 51.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_may_have_been_made_says_so_and_its_key_tells() {
    let api = Api::start(&[]).await;
    let key = [("idempotency-key", "lost")];
    // As often as the SDK sends it.
    for _ in 0..4 {
        api.dynamodb.proxy.on_next("x-amz-target", "TransactWriteItems", Fault::Lost);
    }
    let lost = api.root().send("PUT", &rollout(FLAG), &key, Some(&percentage(60.0))).await.expect(503);
    assert_eq!(lost.body["code"], "outcome_unknown");
    let hint = lost.body["hint"].as_str().unwrap();
    assert!(hint.contains("may have been made") && !hint.contains("nothing was changed"), "{hint}");
    assert_eq!(api.revision().await, 2, "it was made");
    api.root().send("PUT", &rollout(FLAG), &[], Some(&percentage(40.0))).await.expect(200);
    let again = api.root().send("PUT", &rollout(FLAG), &key, Some(&percentage(60.0))).await.expect(200);
    assert!(again.replayed);
    assert_eq!((again.body["revision"].as_u64(), api.share(FLAG).await), (Some(2), 40.0));

    // A table that cannot be read, for the token and for the configuration, changes nothing, and the response says that.
    for _ in 0..8 {
        let fault = Fault::Answer(500, KIND, Bytes::from_static(b"{}"));
        api.dynamodb.proxy.on_next("x-amz-target", "GetItem", fault);
    }
    let unread = api.root().send("PUT", &rollout(FLAG), &[], Some(&percentage(70.0))).await.expect(503);
    assert_eq!(unread.body["code"], "store_unavailable");
    assert!(unread.body["hint"].as_str().unwrap().contains("nothing was changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_note_of_a_publication_waits_for_a_transaction_on_its_item() {
    let api = Api::start(&[]).await;
    let store = &api.platform.store;
    for _ in 0..2 {
        api.refuse_next("UpdateItem", &refused("TransactionConflictException"));
    }
    store.note_published(Revision(1)).await.unwrap();
    assert_eq!(store.published().await.unwrap(), Revision(1));
    assert_eq!(store.state().await.unwrap().published, Revision(1));
    // An older publisher that comes late changes nothing.
    store.note_published(Revision(0)).await.unwrap();
    assert_eq!(store.published().await.unwrap(), Revision(1));
}

/// Earlier versions noted the published revision in the head.
#[tokio::test(flavor = "multi_thread")]
async fn the_published_revision_is_read_where_earlier_versions_noted_it() {
    let api = Api::start(&[]).await;
    let store = &api.platform.store;
    assert_eq!(store.published().await.unwrap(), Revision(0));
    api.dynamodb.set_number("CONFIG", "HEAD", "published", 7);
    assert_eq!(store.published().await.unwrap(), Revision(7));
    assert_eq!(store.state().await.unwrap().published, Revision(7));
    store.note_published(Revision(8)).await.unwrap();
    assert_eq!(store.published().await.unwrap(), Revision(8));
    assert_eq!(store.state().await.unwrap().published, Revision(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_can_never_hold_again_is_answered_at_once() {
    let api = Api::start(&[]).await;
    let hash = "0".repeat(64);
    for write in [
        Write::DeleteToken(hash.clone()),
        Write::EndToken(hash, Timestamp::from_millis(0)),
        Write::DeletePending("gone".to_owned()),
    ] {
        let started = Instant::now();
        let demand = demand(Precondition::None);
        let changed =
            change(&api.platform, &demand, Operation::TokenRevoke, |state| Ok(beside(state, write.clone())));
        let problem = changed.await.unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.code), (404, "not_found"), "{write:?}: {problem}");
        assert!(started.elapsed() < Duration::from_secs(5), "{write:?}: {:?}", started.elapsed());
    }
    assert_eq!(api.revision().await, 1);
}
