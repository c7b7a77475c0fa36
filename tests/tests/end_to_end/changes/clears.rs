//! The end of an emergency: it is the one that was shown, and it is made once on whichever ways it arrives.

use super::{
    api::{Api, FLAG, OTHER, beside, demand},
    emergencies::declare,
};
use axum::http::StatusCode;
use cutover_lambda::{
    change::{
        commit::change,
        demand::{ChangeRequest, Precondition, reply_key},
        operation::Operation,
    },
    problem::Problem,
    store::Write,
};
use cutover_tests::{
    command::cutover_at,
    fault_proxy::{Fault, FaultProxy},
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::block_in_place};

/// The `If-Match` of a status that was read.
fn tag(status: &Value) -> String {
    format!("\"{}\"", status["revision"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_is_refused_if_the_emergency_changed_since_it_was_read() {
    let api = Api::start(&[]).await;
    declare(api.root(), "errors on checkout", &[FLAG]).await;
    let seen = tag(&api.status().await);
    declare(api.root(), "it is everywhere", &[]).await;
    let clear = async |tag: &str| {
        let headers = [("if-match", tag), ("content-type", "application/json")];
        api.root().send("POST", "/emergency/clear", &headers, Some(r#"{"reason":"fixed"}"#)).await
    };
    assert_eq!(clear(&seen).await.expect(412).body["code"], "changed_meanwhile");
    let now = api.status().await;
    assert_eq!(now["emergency"]["declarations"].as_array().unwrap().len(), 2, "nothing was cleared: {now:#}");
    clear(&tag(&now)).await.expect(200);
    assert_eq!(api.status().await["emergency"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_clears_the_emergency_that_it_has_shown_and_no_other() {
    let api = Api::start(&[]).await;
    declare(api.root(), "errors on checkout", &[FLAG]).await;
    let shown = api.status().await;
    // While the operator reads that, it is declared for another flag.
    declare(api.root(), "offers too", &[OTHER]).await;
    let front = FaultProxy::start(api.server.address).await;
    let show = |status: &Value| {
        front.on_next("authorization", "", Fault::Answer(200, "application/json", status.to_string().into()));
    };
    show(&shown);
    let refused = cutover_at(&front.url(), &["emergency-clear", "fixed", "--yes"]).await;
    assert_eq!(refused.code, 6, "{}{}", refused.out, refused.err);
    let added = format!("{OTHER}: 0 % -> 25 %");
    for part in [added.as_str(), "what comes back has changed", "run the command again"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    assert_eq!(api.status().await["emergency"]["flags"], json!([FLAG, OTHER]), "nothing was cleared");

    // A change of something else is not in the way.
    let shown = api.status().await;
    api.person("ann").await;
    assert_ne!(shown["revision"], api.status().await["revision"]);
    show(&shown);
    let cleared = cutover_at(&front.url(), &["emergency-clear", "fixed", "--yes"]).await;
    assert_eq!(cleared.code, 0, "{}{}", cleared.out, cleared.err);
    assert_eq!(front.awaited(), 0, "the status of the test was read");
    assert_eq!(api.status().await["emergency"], Value::Null);
}

/// Both ways have looked for an earlier response when one of them makes the change, and the other one finds nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_other_way_has_just_made_is_answered_as_made() {
    let api = Api::start(&[]).await;
    for status in [StatusCode::NOT_FOUND, StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED] {
        let request = demand(Precondition::None);
        let key = reply_key(&request.caller, status.as_str(), "POST", "/emergency/clear", b"");
        let request = ChangeRequest { idempotency: Some(key), ..request };
        let write = Write::TakeName(format!("taken with {status}"));
        let late = change(&api.platform, &request, Operation::EmergencyClear, |_| {
            let other_way = change(&api.platform, &request, Operation::EmergencyClear, |state| {
                Ok(beside(state, write.clone()))
            });
            block_in_place(|| Handle::current().block_on(other_way)).unwrap();
            Err(Problem::new(status, "no_emergency", "no emergency is in force", ""))
        });
        let answered = late.await.unwrap_or_else(|problem| panic!("{status}: {problem}"));
        assert!(answered.replayed, "{status}");
        assert_eq!(answered.body["revision"], api.revision().await, "{status}: it was made once");
    }
    // Without an answer the refusal stands.
    let request = demand(Precondition::None);
    let key = reply_key(&request.caller, "alone", "POST", "/emergency/clear", b"");
    let request = ChangeRequest { idempotency: Some(key), ..request };
    let refused = change(&api.platform, &request, Operation::EmergencyClear, |_| {
        Err(Problem::new(StatusCode::CONFLICT, "no_emergency", "no emergency is in force", ""))
    });
    assert_eq!(refused.await.unwrap_err().code, "no_emergency");
}
