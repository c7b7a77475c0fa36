//! Reads on condition: a caller who has an object is answered 304, and never while the object looks different.

use super::api::{Api, FLAG, OTHER};
use cutover_tests::client::Answer;
use serde_json::json;

async fn read(api: &Api, path: &str, known: &str) -> Answer {
    api.root().send("GET", path, &[("if-none-match", known)], None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_the_caller_has_is_not_sent_again() {
    let api = Api::start(&[]).await;
    for path in [format!("/flags/{FLAG}"), "/routes/reviews.write".to_owned(), "/config".to_owned()] {
        let first = api.root().get(&path).await.expect(200);
        let tag = first.etag.as_deref().unwrap();
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"0\", {tag}"), "*".to_owned()] {
            let unchanged = read(&api, &path, &known).await.expect(304);
            assert_eq!(unchanged.etag.as_deref(), Some(tag), "{path}: {known}");
            assert!(unchanged.content_type.is_empty() && unchanged.body.is_null(), "{path}: {unchanged:?}");
        }
        assert_eq!(read(&api, &path, "\"0\"").await.expect(200).body, first.body, "{path}");
    }
    read(&api, "/flags/nope", "*").await.expect(404);
    // Evidence grows without a new version.
    let canary = format!("/canary/{FLAG}");
    api.root().send("POST", &format!("{canary}/start"), &[], None).await.expect(201);
    let tag = api.root().get(&canary).await.expect(200).etag.unwrap();
    read(&api, &canary, &tag).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_object_and_no_other_is_sent() {
    let api = Api::start(&[]).await;
    let (flag, config) = (format!("/flags/{FLAG}"), "/config");
    let tags = [api.root().get(&flag).await.etag.unwrap(), api.root().get(config).await.etag.unwrap()];
    let share = json!({ "percentage": 12.5 });
    api.root().put(&format!("/flags/{OTHER}/rollout"), &share).await.expect(200);
    read(&api, &flag, &tags[0]).await.expect(304);
    read(&api, config, &tags[1]).await.expect(200);
    api.root().put(&format!("{flag}/rollout"), &share).await.expect(200);
    assert_eq!(read(&api, &flag, &tags[0]).await.expect(200).body["rollout_percentage"], 12.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_an_emergency_holds_has_another_tag_at_the_same_version() {
    let api = Api::start(&[]).await;
    let path = format!("/flags/{FLAG}");
    let free = api.root().get(&path).await.expect(200);
    let tag = free.etag.as_deref().unwrap();
    let reason = json!({ "reason": "drill" });
    api.root().post("/emergency/rollback", &reason).await.expect(200);
    let held = read(&api, &path, tag).await.expect(200);
    assert_eq!(
        (&held.body["held_by_emergency"], &held.body["version"]),
        (&json!(true), &free.body["version"])
    );
    let held_tag = held.etag.as_deref().unwrap();
    assert_eq!(held_tag, format!("\"{}.held\"", free.body["version"]));
    read(&api, &path, held_tag).await.expect(304);
    api.root().post("/emergency/clear", &reason).await.expect(200);
    let cleared = read(&api, &path, held_tag).await.expect(200);
    assert_eq!((&cleared.body, cleared.etag.as_deref()), (&free.body, Some(tag)));
    // Either tag says the version that a change expects.
    let disable = format!("{path}/disable");
    api.root().send("POST", &disable, &[("if-match", held_tag)], None).await.expect(200);
    for stale in [held_tag, tag] {
        let refused = api.root().send("POST", &disable, &[("if-match", stale)], None).await.expect(412).body;
        assert_eq!(refused["code"], "changed_meanwhile", "{stale}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_an_experiment_owns_is_always_sent_with_the_share_of_both() {
    let api = Api::start(&[]).await;
    let path = format!("/flags/{FLAG}");
    api.root().send("POST", &format!("{path}/enable"), &[], None).await.expect(200);
    api.root().put(&format!("{path}/rollout"), &json!({ "percentage": 20 })).await.expect(200);
    let free = api.root().get(&path).await.expect(200);
    assert_eq!(free.body["share_on_new"], 20.0);
    let variant =
        |key: &str, arm: &str| json!({ "key": key, "name": key, "traffic_percentage": 50, "arm": arm });
    let experiment = json!({
        "name": "Checkout",
        "flag": FLAG,
        "traffic_percentage": 50,
        "variants": [variant("control", "legacy"), variant("treatment", "new")],
    });
    api.root().put("/experiments/e", &experiment).await.expect(201);
    api.root().send("POST", "/experiments/e/start", &[], None).await.expect(200);
    let owned = read(&api, &path, free.etag.as_deref().unwrap()).await.expect(200);
    // Half of the users are dealt evenly, and the others by the flag.
    assert_eq!(
        (&owned.body["share_on_new"], &owned.body["percentage_in_force"]),
        (&json!(35.0), &json!(20.0))
    );
    let tag = owned.etag.as_deref().unwrap();
    assert_eq!(tag, format!("\"{}.owned\"", owned.body["version"]));
    read(&api, &path, tag).await.expect(200);
    // What was read may be written back, on condition of its tag.
    let headers = [("if-match", tag), ("content-type", "application/json")];
    api.root().send("PUT", &path, &headers, Some(&owned.body.to_string())).await.expect(200);
}
