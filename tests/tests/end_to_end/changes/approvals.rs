//! Repeated requests, and changes that wait for a second person while others go on.

use super::api::{Api, FLAG, OTHER, percentage, rollout};
use cutover_tests::client::Answer;
use serde_json::json;

fn path(asked: &Answer) -> String {
    format!("/changes/{}", asked.body["change"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_changes_nothing_is_remembered_too() {
    let api = Api::start(&[]).await;
    let key = [("idempotency-key", "nothing")];
    let held = percentage(api.share(FLAG).await);
    let first = api.root().send("PUT", &rollout(FLAG), &key, Some(&held)).await.expect(200);
    assert_eq!(first.body["revision"], 1, "it changes nothing");
    api.root().send("PUT", &rollout(FLAG), &[], Some(&percentage(40.0))).await.expect(200);
    let again = api.root().send("PUT", &rollout(FLAG), &key, Some(&held)).await.expect(200);
    assert!(again.replayed);
    assert_eq!((again.body["revision"].as_u64(), api.share(FLAG).await), (Some(1), 40.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_changes_nothing_says_so() {
    let api = Api::start(&[]).await;
    let flag = format!("/flags/{OTHER}");
    let disable = format!("{flag}/disable");
    let changed = api.root().send("POST", &disable, &[], None).await.expect(200).body;
    assert_eq!((&changed["revision"], changed.get("unchanged")), (&json!(2), None));
    let key = [("idempotency-key", "twice")];
    let twice = api.root().send("POST", &disable, &key, None).await.expect(200).body;
    let replayed = api.root().send("POST", &disable, &key, None).await.expect(200).body;
    // A response may be sent back as it is.
    let put = api.root().put(&flag, &twice).await.expect(200).body;
    let share = json!({ "percentage": twice["rollout_percentage"] });
    let rollout = api.root().put(&rollout(OTHER), &share).await.expect(200).body;
    let file = api.root().get("/config").await.expect(200).body;
    let applied = api.root().put("/config", &file).await.expect(200).body;
    for (request, body) in [
        ("disable", twice),
        ("the same key", replayed),
        ("put", put),
        ("rollout", rollout),
        ("apply", applied),
    ] {
        assert_eq!((&body["revision"], &body["unchanged"]), (&json!(2), &json!(true)), "{request}: {body:#}");
    }
    assert_eq!(api.revision().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn approving_and_withdrawing_are_remembered() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    let ask =
        async |share: f64| one.send("PUT", &rollout(FLAG), &[], Some(&percentage(share))).await.expect(202);
    let approve = format!("{}/approve", path(&ask(60.0).await));
    let key = [("idempotency-key", "approve")];
    let first = two.send("POST", &approve, &key, None).await.expect(200);
    let again = two.send("POST", &approve, &key, None).await.expect(200);
    assert!(!first.replayed && again.replayed);
    // Nothing listens at Workers KV here; why is said once.
    let mut told = first.body.clone();
    told.as_object_mut().unwrap().remove("unpublished_because");
    assert_eq!(again.body, told);
    two.send("POST", &approve, &[], None).await.expect(404);
    assert_eq!(api.share(FLAG).await, 60.0);

    let withdrawn = path(&ask(70.0).await);
    let key = [("idempotency-key", "withdraw")];
    let first = two.send("DELETE", &withdrawn, &key, None).await.expect(200);
    let again = two.send("DELETE", &withdrawn, &key, None).await.expect(200);
    assert!(!first.replayed && again.replayed);
    assert_eq!(again.body, first.body);
    two.send("DELETE", &withdrawn, &[], None).await.expect(404);
}

/// The caller who requested a change repeats the request after somebody else has approved it.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_change_is_remembered_for_its_requester_too() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    let approvals: [(&str, &[(&str, &str)]); 2] =
        [("without a key", &[]), ("with a key", &[("idempotency-key", "approve")])];
    for (name, approval) in approvals {
        let key = [("idempotency-key", name)];
        let raise = async || one.send("PUT", &rollout(FLAG), &key, Some(&percentage(60.0))).await;
        let asked = raise().await.expect(202);
        assert_eq!(raise().await.expect(202).body["change"], asked.body["change"]);
        let approve = format!("{}/approve", path(&asked));
        let made = two.send("POST", &approve, approval, None).await.expect(200);
        api.root().send("PUT", &rollout(FLAG), &[], Some(&percentage(40.0))).await.expect(200);
        let again = raise().await.expect(200);
        assert!(again.replayed, "{name}");
        assert_eq!(again.body["revision"], made.body["revision"], "{name}");
        assert_eq!(again.body["rollout_percentage"], 60.0, "{name}");
        assert_eq!(api.share(FLAG).await, 40.0, "{name}: it is not made again");
        let other = one.send("PUT", &rollout(FLAG), &key, Some(&percentage(61.0))).await.expect(422);
        assert_eq!(other.body["code"], "idempotency_key_reused", "{name}");
    }
    assert_eq!(api.root().get("/changes").await.expect(200).body["changes"], json!([]));
}

/// While a change waits, the same request may find nothing to change. Its response stays the one of its key.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_leaves_a_response_that_its_requester_has() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    let key = [("idempotency-key", "raise")];
    let raise = async || one.send("PUT", &rollout(FLAG), &key, Some(&percentage(60.0))).await;
    let set = async |share: f64| api.root().send("PUT", &rollout(FLAG), &[], Some(&percentage(share))).await;
    let asked = raise().await.expect(202);
    set(60.0).await.expect(200);
    let nothing = raise().await.expect(200);
    set(50.0).await.expect(200);
    let approve = format!("{}/approve", path(&asked));
    let made = two.send("POST", &approve, &[], None).await.expect(200);
    assert_ne!(made.body["revision"], nothing.body["revision"]);
    assert_eq!(raise().await.expect(200).body["revision"], nothing.body["revision"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_is_approved_although_other_changes_were_made_meanwhile() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    let canary = |verb: &str| format!("/canary/{FLAG}/{verb}");
    let mut share = 30.0;
    // A retry after a rollback deals users anew, by a salt that is made of the run's id.
    for verb in ["start", "retry"] {
        let asked = one.send("POST", &canary(verb), &[], None).await.expect(202);
        assert!(asked.body["changes"].to_string().contains("\"run\":\"new\""), "{:#}", asked.body);
        share += 1.0;
        api.root().send("PUT", &rollout(OTHER), &[], Some(&percentage(share))).await.expect(200);
        let started =
            two.send("POST", &format!("{}/approve", path(&asked)), &[], None).await.expect(201).body;
        assert_eq!(started["run"], format!("r{}", api.revision().await), "{started:#}");
        api.root().send("POST", &canary("rollback"), &[], None).await.expect(200);
    }
    // A change of the flag itself is another matter.
    let asked = one.send("POST", &canary("retry"), &[], None).await.expect(202);
    api.root().send("PUT", &rollout(FLAG), &[], Some(&percentage(3.0))).await.expect(200);
    let stale = two.send("POST", &format!("{}/approve", path(&asked)), &[], None).await.expect(409);
    assert_eq!(stale.body["code"], "changed_since_asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_a_withdrawn_change_is_answered_at_once() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    for _ in 0..5 {
        let body = json!({ "percentage": 60 });
        let asked = one.put(&rollout(FLAG), &body).await.expect(202);
        let (change, approve) = (path(&asked), format!("{}/approve", path(&asked)));
        let started = std::time::Instant::now();
        let (withdrawn, approved) =
            tokio::join!(one.send("DELETE", &change, &[], None), two.send("POST", &approve, &[], None));
        assert_eq!([withdrawn.status, approved.status].iter().filter(|status| **status == 200).count(), 1);
        assert!([withdrawn.status, approved.status].contains(&404), "{withdrawn:?} {approved:?}");
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
        api.root().put(&rollout(FLAG), &json!({ "percentage": 50 })).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_token_is_remembered() {
    let api = Api::start(&[]).await;
    let made = api.root().post("/tokens", &json!({ "name": "one", "role": "viewer" })).await.expect(201);
    let token = format!("/tokens/{}", made.body["id"].as_str().unwrap());
    let key = [("idempotency-key", "revoke")];
    let first = api.root().send("DELETE", &token, &key, None).await.expect(200);
    let again = api.root().send("DELETE", &token, &key, None).await.expect(200);
    assert!(!first.replayed && again.replayed);
    assert_eq!(
        (&again.body["revoked"], &again.body["revision"]),
        (&made.body["id"], &first.body["revision"])
    );
    api.root().send("DELETE", &token, &[], None).await.expect(404);
    let other = api.root().send("DELETE", "/tokens/another", &key, None).await.expect(422);
    assert_eq!(other.body["code"], "idempotency_key_reused");
}
