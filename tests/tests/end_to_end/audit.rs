//! The audit log: it is complete, its records are found, and a record that was altered or removed behind the functions' back
//! is named.

use cutover_tests::{
    client::Management,
    command::cutover,
    stack::{Options, ROOT_TOKEN, Stack},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const FLAG: &str = "graphql_reviews_read";
const OTHER: &str = "graphql_offers_read";

async fn started(two_person: bool) -> Stack {
    let function_variables = BTreeMap::from([("CUTOVER_TWO_PERSON", two_person.to_string())]);
    let stack = Stack::start(Options { function_variables, ..Options::default() }).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack
}

async fn records(management: &Management, query: &str) -> Vec<Value> {
    let body = management.get(&format!("/audit?{query}")).await.expect(200).body;
    body["records"].as_array().unwrap().clone()
}

async fn actions(management: &Management, query: &str) -> Vec<String> {
    let records = records(management, query).await;
    records.iter().map(|record| record["action"].as_str().unwrap().to_owned()).collect()
}

async fn operator(root: &Management, name: &str) -> Management {
    let made = root.post("/tokens", &json!({ "name": name, "role": "operator" })).await.expect(201);
    root.with_token(made.body["token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_is_found_by_its_flags_and_by_its_name() {
    let stack = started(false).await;
    let root = stack.management();
    root.post("/emergency/rollback", &json!({ "reason": "all" })).await.expect(200);
    root.post("/emergency/clear", &json!({ "reason": "over" })).await.expect(200);
    root.post("/emergency/rollback", &json!({ "reason": "one", "flags": [OTHER] })).await.expect(200);
    let all = ["emergency.clear", "emergency.rollback"];
    let with_one = ["emergency.rollback", "emergency.clear", "emergency.rollback"];
    assert_eq!(actions(&root, &format!("flag={FLAG}&limit=2")).await, all);
    assert_eq!(actions(&root, &format!("flag={OTHER}&limit=3")).await, with_one);
    assert_eq!(actions(&root, "object=emergency").await, with_one);
    let shown = cutover(&stack, ROOT_TOKEN, &["audit", "--flag", FLAG, "--limit", "2"], "").await;
    assert!(shown.out.contains("CHANGE") && shown.out.contains("emergency.rollback"), "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_request_that_waits_is_recorded() {
    let stack = started(true).await;
    let root = stack.management();
    let (one, two) = (operator(&root, "one").await, operator(&root, "two").await);
    let rollout = format!("/flags/{FLAG}/rollout");
    let revision = root.get("/status").await.expect(200).body["revision"].clone();
    let ask = async |percentage: u32| -> String {
        let asked = one.put(&rollout, &json!({ "percentage": percentage })).await.expect(202).body;
        asked["change"].as_str().unwrap().to_owned()
    };
    let withdrawn = ask(40).await;
    one.send("DELETE", &format!("/changes/{withdrawn}"), &[], None).await.expect(200);
    let lapsed = ask(41).await;
    stack.expire(&lapsed);
    stack.lambda.tick("promote").await.unwrap();
    stack.lambda.tick("promote").await.unwrap();
    let approved = ask(42).await;
    one.send("POST", &format!("/changes/{approved}/approve"), &[], None).await.expect(403);
    root.send("POST", "/publication", &[], None).await.expect(200);
    assert_eq!(
        root.get("/status").await.expect(200).body["revision"],
        revision,
        "nothing of that moved the configuration"
    );
    two.send("POST", &format!("/changes/{approved}/approve"), &[], None).await.expect(200);

    let all = actions(&root, "limit=8").await;
    let expected = [
        "flag.rollout",
        "publication.publish",
        "change.refuse",
        "change.ask",
        "change.lapse",
        "change.ask",
        "change.withdraw",
        "change.ask",
    ];
    assert_eq!(all, expected);
    let asked = records(&root, &format!("flag={FLAG}&action=change.ask&limit=1")).await;
    assert_eq!((&asked[0]["actor"], &asked[0]["revision"]), (&json!("one"), &revision));
    assert_eq!(asked[0]["changes"][0]["change"], approved);
    assert_eq!(asked[0]["changes"][1]["fields"]["rollout_percentage"][1], 42.0);
    let refused = records(&root, "action=change.refuse").await;
    assert_eq!((&refused[0]["actor"], &refused[0]["changes"][0]["status"]), (&json!("one"), &json!(403)));
    // In pages of one, also within a revision.
    let (mut ids, mut before) = (BTreeSet::new(), String::new());
    loop {
        let page = root.get(&format!("/audit?limit=1{before}")).await.expect(200).body;
        ids.extend(page["records"].as_array().unwrap().iter().map(|record| record["id"].to_string()));
        let Some(next) = page["next_before"].as_str() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(ids.len(), records(&root, "limit=1000").await.len());
    let whole = cutover(&stack, ROOT_TOKEN, &["audit", "verify"], "").await;
    assert_eq!(whole.code, 0, "{}", whole.err);
    assert!(whole.out.contains(&format!("{} records are in order", ids.len())), "{}", whole.out);
    // The one that was approved says by whom.
    let newest = records(&root, "limit=1").await[0]["revision"].to_string();
    let shown = cutover(&stack, ROOT_TOKEN, &["audit", "show", &newest], "").await.out;
    assert!(
        shown.contains("approved by two") && shown.contains("rollout_percentage: 25.0 -> 42.0"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_changes_are_kept_whole() {
    let stack = started(false).await;
    let root = stack.management();
    let ids: Vec<String> = (0..5_000).map(|id| format!("user-{id:060}")).collect();
    root.put("/flags/large", &json!({ "enabled": true, "user_whitelist": ids })).await.expect(201);
    let record = records(&root, "flag=large").await.remove(0);
    assert_eq!((&record["changes"], &record["changes_parts"]), (&Value::Null, &json!(2)));
    let revision = &record["revision"];
    let mut text = String::new();
    for part in 0..2 {
        let body = root.get(&format!("/audit/{revision}/changes?part={part}")).await.expect(200).body;
        text.push_str(body["text"].as_str().unwrap());
    }
    root.get(&format!("/audit/{revision}/changes?part=2")).await.expect(404);
    root.get("/audit/none/changes").await.expect(422);
    let changes: Value = serde_json::from_str(&text).unwrap();
    assert!(ids.iter().all(|id| text.contains(id.as_str())), "{changes:#}");
    let exported = cutover(&stack, ROOT_TOKEN, &["audit", "--all", "--flag", "large"], "").await.out;
    let exported: Value = serde_json::from_str(exported.trim()).unwrap();
    assert_eq!(exported["changes"], changes);
    assert_eq!(cutover(&stack, ROOT_TOKEN, &["audit", "verify"], "").await.code, 0);
    // Each flag fits a page by itself, all of them do not: 13 of 340 KB.
    for half in 0..2 {
        let flag = json!({ "enabled": true, "user_whitelist": ids });
        let flags: BTreeMap<String, Value> =
            (0..6).map(|number| (format!("large-{half}{number}"), flag.clone())).collect();
        root.put("/config", &json!({ "feature_flags": flags })).await.expect(200);
    }
    let (mut names, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = root.get(&format!("/flags{after}")).await.expect(200).body;
        assert!(page.to_string().len() < 5_000_000);
        names.extend(page["flags"].as_array().unwrap().iter().map(|flag| flag["name"].clone()));
        pages += 1;
        let Some(next) = page["next_after"].as_str() else { break };
        after = format!("?after={next}");
    }
    assert_eq!((names.len(), pages), (3 + 13, 2), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_altered_or_replaced_is_named() {
    let stack = started(false).await;
    let root = stack.management();
    for percentage in [30, 31, 32] {
        root.put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": percentage })).await.expect(200);
    }
    let verify = async |more: &[&str]| {
        let arguments = [&["audit", "verify"][..], more].concat();
        cutover(&stack, ROOT_TOKEN, &arguments, "").await
    };
    let whole = verify(&[]).await;
    assert_eq!(whole.code, 0, "{}", whole.err);
    let known = whole.out.trim().rsplit(' ').next().unwrap().to_owned();
    let replace =
        |attribute: &str, value: &str| stack.dynamodb.replace("AUDIT", "000000000002", attribute, value);
    for (attribute, value) in [("actor", "somebody"), ("changes", "[]"), ("at", "2020-01-01T00:00:00Z")] {
        let before = replace(attribute, value);
        let found = verify(&[]).await;
        assert_eq!(found.code, 1, "{attribute}: {}", found.out);
        assert!(found.err.contains("at record 2: the record was altered"), "{attribute}: {}", found.err);
        replace(attribute, &before);
    }
    let digest = replace("digest", &"0".repeat(64));
    assert_eq!(verify(&[]).await.code, 1);
    replace("digest", &digest);
    // The digest that somebody kept is still there, after further changes too; another one is not.
    root.put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": 33 })).await.expect(200);
    assert_eq!(verify(&["--known", &known]).await.code, 0);
    let (position, _) = known.split_once(':').unwrap();
    let other = format!("{position}:{digest}");
    let found = verify(&["--known", &other]).await;
    assert!(found.code == 1 && found.err.contains("written anew"), "{}", found.err);
}
