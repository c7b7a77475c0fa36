//! Who may sign in, for how long, and what two people must agree to.

use cutover_lambda::access::digest::token_hash;
use cutover_tests::{
    client::Management,
    is_deep,
    moto::Moto,
    stack::{Options, ROOT_TOKEN, Stack},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Flag of the changes.
pub const FLAG: &str = "graphql_reviews_read";

/// Starts a stack with further variables of the functions.
pub async fn started(variables: &[(&'static str, &str)]) -> Stack {
    let function_variables: BTreeMap<_, _> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let options = Options { function_variables, management_processes: 1, ..Options::default() };
    let stack = Stack::start(options).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack
}

/// Creates a token. Returns its holder, and the response.
pub async fn token(management: &Management, body: Value) -> (Management, Value) {
    let made = management.post("/tokens", &body).await.expect(201).body;
    (management.with_token(made["token"].as_str().unwrap()), made)
}

/// Returns a time, as it is written in documents.
pub fn moment(ms_from_now: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = i64::try_from(now.as_millis()).unwrap() + ms_from_now;
    cutover_core::Timestamp::from_millis(at).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_are_rotated_and_are_shown_once() {
    let stack = started(&[]).await;
    let root = stack.management();
    // A token of which nobody said when it ends, ends after 90 days; never must be said.
    let (_, made) = token(&root, json!({ "name": "ci", "role": "operator" })).await;
    let end: cutover_core::Timestamp = made["expires_at"].as_str().unwrap().parse().unwrap();
    let days = (end.millis() - moment(0).parse::<cutover_core::Timestamp>().unwrap().millis()) / 86_400_000;
    assert!((89..=90).contains(&days), "{days}");
    let (_, made) = token(&root, json!({ "name": "for ever", "role": "viewer", "expires_at": null })).await;
    assert_eq!(made["expires_at"], Value::Null);
    for (named, wrong) in [
        ("expires_at", json!({ "name": "x", "role": "viewer", "expires_at": moment(-1_000) })),
        ("RFC 3339", json!({ "name": "x", "role": "viewer", "expires_at": "tomorrow" })),
        ("name", json!({ "name": " ", "role": "viewer" })),
        ("role", json!({ "name": "x", "role": "king" })),
        ("colour", json!({ "name": "x", "role": "viewer", "colour": "red" })),
    ] {
        let refused = root.post("/tokens", &wrong).await.expect(422).body;
        assert!(refused.to_string().contains(named), "{wrong}: {refused:#}");
    }

    let (short, _) =
        token(&root, json!({ "name": "short", "role": "viewer", "expires_at": moment(4_000) })).await;
    short.get("/flags").await.expect(200);
    tokio::time::sleep(Duration::from_millis(4_100)).await;
    assert_eq!(short.get("/flags").await.expect(401).body["code"], "token_expired");

    // Rotated: both work for a while, then the new one alone.
    let (old, made) = token(&root, json!({ "name": "on call", "role": "operator" })).await;
    let path = format!("/tokens/{}/rotate", made["id"].as_str().unwrap());
    let rotated = root.post(&path, &json!({ "grace_seconds": 5 })).await.expect(201).body;
    assert_eq!((&rotated["name"], &rotated["role"]), (&json!("on call"), &json!("operator")));
    let new = root.with_token(rotated["token"].as_str().unwrap());
    assert_eq!(old.get("/whoami").await.expect(200).body["name"], "on call");
    assert_eq!(new.get("/whoami").await.expect(200).body["name"], "on call");
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    old.get("/flags").await.expect(401);
    new.get("/flags").await.expect(200);
    root.post(&path, &json!({ "grace_seconds": -1 })).await.expect(422);
    root.post("/tokens/nobody/rotate", &json!({})).await.expect(404);

    // The list has everything but secrets, page by page.
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = root.get(&format!("/tokens?limit=2{after}")).await.expect(200).body;
        assert!(page["tokens"].as_array().unwrap().len() <= 2);
        names.extend(page["tokens"].as_array().unwrap().iter().map(|token| token["name"].to_string()));
        assert!(!page.to_string().contains("ctv_"));
        match page["next_after"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    names.sort();
    assert_eq!(names, ["\"ci\"", "\"for ever\"", "\"on call\"", "\"on call\"", "\"short\""]);
    root.get("/tokens?limit=0").await.expect(422);
    assert!(!stack.lambda.output().contains("ctv_"), "a secret is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_the_audit_log_is_that_of_one_token_for_ever() {
    let options = Options { management_processes: 4, ..Options::default() };
    let stack = Stack::start(options).await;
    let root = stack.management();
    let create = |name: &str| json!({ "name": name, "role": "viewer" });
    // Names of callers without a token, and names that look like those.
    for reserved in
        ["root", "ROOT", "promote", "Evaluate", "ingest", "ask", "management", "jwt-ann", "JWT:ann", "a:b"]
    {
        let refused = root.post("/tokens", &create(reserved)).await.expect(422).body;
        assert!(refused["detail"].as_str().unwrap().contains("is reserved"), "{reserved}: {refused:#}");
    }
    let (_, ann) = token(&root, create("ann lee")).await;
    // Eight at once, of one name: there is one token of it.
    let creating = (0..8).map(|_| {
        let (root, body) = (root.clone(), create("bob"));
        tokio::spawn(async move { root.post("/tokens", &body).await })
    });
    let mut statuses = BTreeMap::new();
    for answer in creating.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        *statuses.entry(answer.status).or_insert(0) += 1;
        assert!(answer.status == 201 || answer.body["code"] == "name_taken", "{:#}", answer.body);
    }
    assert_eq!(statuses, BTreeMap::from([(201, 1), (409, 7)]));
    let listed = root.get("/tokens").await.expect(200).body;
    let bobs = listed["tokens"].as_array().unwrap().iter().filter(|token| token["name"] == "bob");
    assert_eq!(bobs.count(), 1, "{listed:#}");
    // Not of a token that was withdrawn either, nor in another case.
    let ann = format!("/tokens/{}", ann["id"].as_str().unwrap());
    root.send("DELETE", &ann, &[], None).await.expect(200);
    for same in ["ann lee", "Ann Lee", " ann  lee "] {
        let refused = root.post("/tokens", &create(same)).await.expect(409).body;
        assert_eq!((&refused["code"], &refused["field"]), (&json!("name_taken"), &json!("name")));
        assert!(refused["hint"].as_str().unwrap().contains("rotate"), "it says what to do: {refused:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_token_that_was_replaced_opens_nothing() {
    let moto = Moto::start().await;
    let value = |number: u8| format!("root-token-number-{number}-of-a-test");
    moto.create_secret("root").await;
    for number in [1, 2] {
        moto.put_secret("root", &value(number)).await;
    }
    let function_variables = BTreeMap::from([
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto.url()),
        ("CUTOVER_ROOT_TOKEN_ARN", "root".to_owned()),
    ]);
    let stack =
        Stack::start(Options { function_variables, management_processes: 1, ..Options::default() }).await;
    let root = |number: u8| stack.management().with_token(&value(number));
    assert_eq!(root(2).get("/whoami").await.expect(200).body["name"], "root");
    assert_eq!(root(1).get("/whoami").await.expect(401).body["code"], "token_unknown");
    if is_deep() {
        // A process that knows the value before refuses it 20 s later, whoever comes first.
        moto.put_secret("root", &value(3)).await;
        tokio::time::sleep(Duration::from_secs(21)).await;
        root(2).get("/whoami").await.expect(401);
        root(3).get("/whoami").await.expect(200);
        moto.put_secret("root", &value(4)).await;
        tokio::time::sleep(Duration::from_secs(21)).await;
        root(4).get("/whoami").await.expect(200);
        root(3).get("/whoami").await.expect(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_but_a_right_one_opens_anything() {
    let stack = started(&[]).await;
    let root = stack.management();
    let (viewer, made) = token(&root, json!({ "name": "dashboard", "role": "viewer" })).await;
    viewer.get("/flags").await.expect(200);
    let secret = made["token"].as_str().unwrap();
    let reordered: String = secret.chars().rev().collect();
    let (head, tail) = secret.split_at(36);
    let with_nul = format!("{secret}%00");
    for wrong in [
        "ctv_",
        "ctv_0000000000000000000000000000000000000000000000000000000000000000",
        &secret[..secret.len() - 1],
        &secret[1..],
        &format!("{secret}0"),
        &format!("{tail}{head}"),
        &reordered,
        &secret.to_uppercase(),
        &with_nul,
        &secret[4..],
        // The stored hash is no secret that opens anything.
        &token_hash(secret),
        &ROOT_TOKEN[..ROOT_TOKEN.len() - 1],
        "a.b.c",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.",
        &"x".repeat(17_000),
    ] {
        let refused = root.with_token(wrong).get("/flags").await.expect(401);
        assert!(!refused.body.to_string().contains(wrong), "the token is repeated: {:#}", refused.body);
    }
    let nobody = root.with_token("");
    for header in [
        ("authorization", format!("Basic {secret}")),
        ("authorization", secret.to_owned()),
        ("authorization", "Bearer".to_owned()),
        ("authorization", format!("Bearer {secret} {secret}")),
        ("cookie", format!("token={secret}")),
    ] {
        nobody.send("GET", "/flags", &[(header.0, &header.1)], None).await.expect(401);
    }
    // Schemes have no case; behind a URL with AWS_IAM the token has a header of its own.
    for header in [("authorization", format!("bearer {secret}")), ("x-cutover-token", secret.to_owned())] {
        nobody.send("GET", "/flags", &[(header.0, &header.1)], None).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_over_the_limit_waits_and_others_do_not() {
    let stack = started(&[("CUTOVER_RATE_LIMIT", "5")]).await;
    let root = stack.management();
    let (busy, _) = token(&root, json!({ "name": "busy", "role": "viewer" })).await;
    let mut refused = None;
    for _ in 0..120 {
        let answer = busy.get("/whoami").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("nobody is refused after 120 requests");
    assert_eq!(refused.body["code"], "too_many_requests");
    root.get("/flags").await.expect(200);
    // Guessing is slowed down too, whatever is guessed.
    let mut codes = BTreeMap::new();
    let begun = Instant::now();
    for guess in 0..120 {
        let answer = root.with_token(&format!("ctv_{guess:064}")).get("/flags").await;
        *codes.entry(answer.status).or_insert(0_u32) += 1;
    }
    // Ten at once and five a second are answered, and one that is under way.
    let most = 11.0 + 5.0 * begun.elapsed().as_secs_f64();
    assert!(codes[&401] >= 10 && f64::from(codes[&401]) <= most, "{codes:?}, at most {most}");
    assert!(codes[&429] > 0, "{codes:?}");
    // A valid token works from an address that is refused.
    root.get("/flags").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_approve_exposure_and_one_is_enough_to_roll_back() {
    let stack = started(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let root = stack.management();
    let (one, _) = token(&root, json!({ "name": "one", "role": "admin" })).await;
    let (two, _) = token(&root, json!({ "name": "two", "role": "operator" })).await;
    let (three, _) = token(&root, json!({ "name": "three", "role": "admin" })).await;
    let (viewer, _) = token(&root, json!({ "name": "reader", "role": "viewer" })).await;
    let rollout = format!("/flags/{FLAG}/rollout");
    let share = async || {
        root.get(&format!("/flags/{FLAG}")).await.expect(200).body["rollout_percentage"].as_f64().unwrap()
    };
    let reason = [("x-cutover-reason", "the numbers are good")];
    let body = json!({ "percentage": 40 }).to_string();
    let asked = one.send("PUT", &rollout, &reason, Some(&body)).await.expect(202).body;
    assert_eq!(asked["requested_by"], "one");
    assert_eq!(share().await, 25.0, "nothing happens before somebody agrees");
    let change = format!("/changes/{}", asked["change"].as_str().unwrap());
    let approve = format!("{change}/approve");

    // The same request with the same key is the same change; the key is no other's.
    let key = [("idempotency-key", "a-key")];
    let twice = [
        one.send("PUT", &rollout, &key, Some(&body)).await,
        one.send("PUT", &rollout, &key, Some(&body)).await,
    ];
    let [first, again] = twice.map(|answer| answer.expect(202).body["change"].clone());
    assert_eq!(first, again);
    let other = json!({ "percentage": 41 }).to_string();
    one.send("PUT", &rollout, &key, Some(&other)).await.expect(422);
    one.send("DELETE", &format!("/changes/{}", first.as_str().unwrap()), &[], None).await.expect(200);

    // Not oneself, not with a second token of one's own making, not without the role.
    assert_eq!(one.send("POST", &approve, &[], None).await.expect(403).body["code"], "second_person_needed");
    let (puppet, _) = token(&one, json!({ "name": "somebody else", "role": "admin" })).await;
    let (puppets_puppet, _) = token(&puppet, json!({ "name": "another one", "role": "admin" })).await;
    for mine in [&puppet, &puppets_puppet] {
        mine.send("POST", &approve, &[], None).await.expect(403);
    }
    viewer.send("POST", &approve, &[], None).await.expect(403);
    assert_eq!(viewer.get(&change).await.expect(200).body["action"], "flag.rollout");
    assert_eq!(viewer.get("/changes").await.expect(200).body["changes"].as_array().unwrap().len(), 1);

    // Eight times at once, by a token that root made for somebody else: it is made once.
    let agreeing = (0..8).map(|_| {
        let (three, approve) = (three.clone(), approve.clone());
        tokio::spawn(async move { three.send("POST", &approve, &[], None).await.status })
    });
    let agreeing: Vec<_> = agreeing.collect();
    let mut statuses = Vec::new();
    for answer in agreeing {
        statuses.push(answer.await.unwrap());
    }
    assert!(statuses.contains(&200) && statuses.iter().all(|s| [200, 404].contains(s)), "{statuses:?}");
    assert_eq!(share().await, 40.0);
    let audit = root.get(&format!("/audit?flag={FLAG}&action=flag.rollout")).await.expect(200).body;
    assert_eq!(audit["records"].as_array().unwrap().len(), 1, "{audit:#}");
    let record = &audit["records"][0];
    assert_eq!((&record["actor"], &record["approved_by"]), (&json!("one"), &json!("three")));
    assert_eq!(record["reason"], "the numbers are good");
    one.send("POST", &approve, &[], None).await.expect(404);

    // What takes users back never waits.
    one.put(&rollout, &json!({ "percentage": 10 })).await.expect(200);
    one.send("POST", &format!("/flags/{FLAG}/disable"), &[], None).await.expect(200);
    one.post("/emergency/rollback", &json!({ "reason": "drill" })).await.expect(200);
    let clear = one.post("/emergency/clear", &json!({ "reason": "over" })).await.expect(202).body;
    two.send("POST", &format!("/changes/{}/approve", clear["change"].as_str().unwrap()), &[], None)
        .await
        .expect(403);
    let asked = two.post("/emergency/clear", &json!({ "reason": "over" })).await.expect(202).body;
    one.send("POST", &format!("/changes/{}/approve", asked["change"].as_str().unwrap()), &[], None)
        .await
        .expect(200);

    // Somebody changed the ground meanwhile: what was agreed to is not what would happen.
    let enable = two.send("POST", &format!("/flags/{FLAG}/enable"), &[], None).await.expect(202).body;
    let raise = two.put(&rollout, &json!({ "percentage": 60 })).await.expect(202).body;
    root.put(&rollout, &json!({ "percentage": 30 })).await.expect(200);
    let path = |asked: &Value| format!("/changes/{}", asked["change"].as_str().unwrap());
    let stale = one.send("POST", &format!("{}/approve", path(&raise)), &[], None).await.expect(409);
    assert_eq!(stale.body["code"], "changed_since_asked");
    two.send("DELETE", &path(&raise), &[], None).await.expect(200);
    one.send("POST", &format!("{}/approve", path(&raise)), &[], None).await.expect(404);
    let stale = one.send("POST", &format!("{}/approve", path(&enable)), &[], None).await.expect(409);
    assert_eq!(stale.body["code"], "changed_since_asked", "another share would come into force");
    two.send("DELETE", &path(&enable), &[], None).await.expect(200);
    let enable = two.send("POST", &format!("/flags/{FLAG}/enable"), &[], None).await.expect(202).body;
    one.send("POST", &format!("{}/approve", path(&enable)), &[], None).await.expect(200);

    // What is wrong is said at once, and not when somebody agrees.
    two.put(&rollout, &json!({ "percentage": 101 })).await.expect(422);
    viewer.put(&rollout, &json!({ "percentage": 50 })).await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_asked_by_actor_action_object_and_time() {
    let stack = started(&[]).await;
    let root = stack.management();
    let (one, _) = token(&root, json!({ "name": "one", "role": "operator" })).await;
    let rollout = format!("/flags/{FLAG}/rollout");
    one.put(&rollout, &json!({ "percentage": 30 })).await.expect(200);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let middle = moment(0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    root.put(&rollout, &json!({ "percentage": 31 })).await.expect(200);
    one.send("POST", &format!("/flags/{FLAG}/disable"), &[], None).await.expect(200);
    let found = async |query: &str| -> Vec<String> {
        let body = root.get(&format!("/audit?{query}")).await.expect(200).body;
        let records = body["records"].as_array().unwrap();
        records.iter().map(|r| format!("{} {}", r["actor"], r["action"]).replace('"', "")).collect()
    };
    assert_eq!(found("actor=one").await, ["one flag.disable", "one flag.rollout"]);
    assert_eq!(found("action=flag.rollout").await, ["root flag.rollout", "one flag.rollout"]);
    assert_eq!(found(&format!("actor=one&since={middle}")).await, ["one flag.disable"]);
    assert_eq!(found(&format!("actor=one&until={middle}")).await, ["one flag.rollout"]);
    assert_eq!(found(&format!("object=feature_flags/{FLAG}&actor=nobody")).await, Vec::<String>::new());
    // A filter does not end the pages early.
    let first = root.get("/audit?actor=one&limit=1").await.expect(200).body;
    let next = first["next_before"].as_str().unwrap().to_owned();
    assert_eq!(found(&format!("actor=one&limit=1&before={next}")).await, ["one flag.rollout"]);
    root.get("/audit?until=yesterday").await.expect(422);
}
