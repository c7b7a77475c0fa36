//! Secrets that get their values late or are replaced, keys of an identity provider that grow old, and notifications
//! that go where they are configured to go.

use axum::{Router, body::Bytes, response::Redirect, routing::post};
use cutover_core::Timestamp;
use cutover_lambda::{
    access::provider::{KeysUnavailable, Provider, SignInError},
    canary::notify,
    clock,
    settings::{
        aws::AwsKeys,
        identity_provider::TokenRequirements,
        secret::{Secret, Versions, client},
    },
    store::Notification,
};
use cutover_tests::{
    dynamodb::DynamoDb,
    fault_proxy::Fault,
    functions::{ManagementServer, connected, platform},
    identity_provider::{AUDIENCE, ISSUER, IdentityProvider, Key, claims},
    is_deep,
    moto::Moto,
    stack::{INGEST_SECRET, Options, ROOT_TOKEN, Stack},
    webhook::{SECRET, Webhook},
};
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_get_their_values_late_are_read_without_a_restart() {
    let moto = Moto::start().await;
    let values = [("root", ROOT_TOKEN), ("kv", "the-cloudflare-token"), ("ingest", INGEST_SECRET)];
    for (name, _) in values {
        moto.create_secret(name).await;
    }
    let function_variables = BTreeMap::from([
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto.url()),
        ("CUTOVER_ROOT_TOKEN_ARN", "root".to_owned()),
        ("CUTOVER_KV_TOKEN_ARN", "kv".to_owned()),
        ("CUTOVER_INGEST_SECRET_ARN", "ingest".to_owned()),
    ]);
    let stack =
        Stack::start(Options { function_variables, management_processes: 1, ..Options::default() }).await;
    // Each function is started, and used, before its secrets have values.
    let management = stack.management();
    management.get("/flags").await.expect(401);
    let failed = stack.lambda.tick("promote").await.unwrap_err();
    assert!(failed.contains("the secret kv has no value"), "{failed}");
    assert!(failed.contains("put-secret-value --secret-id kv "), "it says what to do: {failed}");
    for (name, value) in values {
        moto.put_secret(name, value).await;
    }
    // A secret without a value is read at most once a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    // KV refuses what management publishes, so that it is promote that heals it.
    stack.edge.kv().on_writes(Some(Fault::Answer(429, "application/json", Bytes::from_static(b"{}"))));
    let applied = management.apply(&stack.dev_configuration()).await.expect(200).body;
    assert_eq!(applied["published"], false, "{applied:#}");
    stack.edge.kv().on_writes(None);
    stack.lambda.tick("promote").await.expect("promote publishes");
    let publication = management.get("/publication").await.expect(200).body;
    assert_eq!(publication["published"], true, "{publication:#}");
    stack.edge_holds(publication["revision"].as_u64().unwrap()).await;
    let output = stack.lambda.output();
    assert!(!values.iter().any(|(_, value)| output.contains(value)), "a secret is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_previous_version_is_accepted_only_where_a_sender_may_still_have_it() {
    let moto = Moto::start().await;
    moto.create_secret("rotated").await;
    let keys = AwsKeys { id: "local".to_owned(), secret: "local".to_owned(), session: None };
    let client = client("us-east-1", Some(moto.url()), Some(keys));
    let secret = |versions| Secret::stored(client.clone(), "rotated".to_owned(), versions);
    let (current, both) = (secret(Versions::Current), secret(Versions::CurrentAndPrevious));
    for secret in [&current, &both] {
        assert_eq!(secret.values().await.unwrap(), Vec::<String>::new());
        let error = secret.current().await.unwrap_err().to_string();
        assert!(error.contains("the secret rotated has no value"), "{error}");
    }
    // A value of spaces is none.
    moto.put_secret("rotated", " \n").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(current.values().await.unwrap(), Vec::<String>::new());
    for value in ["one", "two"] {
        moto.put_secret("rotated", value).await;
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(current.values().await.unwrap(), ["two"]);
    assert_eq!(both.values().await.unwrap(), ["two", "one"]);
    assert_eq!(current.current().await.unwrap(), "two");
    // A value is kept, and read again after it was refused, but not at once.
    moto.put_secret("rotated", "three").await;
    assert_eq!(current.values().await.unwrap(), ["two"]);
    assert_eq!(current.recent().await.unwrap(), ["two"]);
    assert_eq!(current.again().await.unwrap(), None);
    if is_deep() {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(current.recent().await.unwrap(), ["three"]);
        assert_eq!(both.again().await.unwrap().unwrap(), ["three", "two"]);
    }
}

/// An address at which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_that_nobody_knows_needs_the_secret_of_root() {
    let dynamodb = DynamoDb::start().await;
    let setup = ManagementServer::start(platform(&dynamodb, &[]).await).await;
    let create = async |name: &str, end: Timestamp| {
        let body = json!({ "name": name, "role": "viewer", "expires_at": end.to_string() });
        setup.client.post("/tokens", &body).await.expect(201).body["token"].as_str().unwrap().to_owned()
    };
    let after = |ms: i64| Timestamp::from_millis(clock::now().millis() + ms);
    let end = after(3_000);
    let (valid, expired) = (create("ann", after(600_000)).await, create("bob", end).await);
    let key = Key::new("ec", Algorithm::ES256);
    let provider = IdentityProvider::start(&[&key]).await;
    let jwks = provider.url();
    let variables = [
        ("CUTOVER_JWT_JWKS_URL", jwks.as_str()),
        ("CUTOVER_JWT_ISSUER", ISSUER),
        ("CUTOVER_JWT_AUDIENCE", AUDIENCE),
        ("CUTOVER_ROOT_TOKEN_ARN", "root"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", NOWHERE),
    ];
    // A new process, which has never read the secret, and cannot.
    let server = ManagementServer::start(connected(&dynamodb.url(), &variables)).await;
    let with = async |token: &str| server.client.with_token(token).get("/whoami").await;
    assert_eq!(with(&valid).await.expect(200).body["name"], "ann");
    assert_eq!(with(&key.token(&claims("carol", "viewer"))).await.expect(200).body["name"], "jwt:carol");
    for unknown in [ROOT_TOKEN, "ctv_nobody", "a.refused.token"] {
        assert_eq!(with(unknown).await.expect(503).body["code"], "secret_unavailable", "{unknown}");
    }
    while clock::now() <= end {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(with(&expired).await.expect(401).body["code"], "token_expired");

    // The other way round: root comes in while the table cannot be read, and nobody else does.
    let server = ManagementServer::start(connected(NOWHERE, &[])).await;
    assert_eq!(server.client.get("/whoami").await.expect(200).body["name"], "root");
    let refused = server.client.with_token(&valid).get("/whoami").await.expect(503).body;
    assert_eq!(refused["code"], "store_unavailable", "{refused:#}");
}

/// Guesses are counted against their address, also while the secret of root cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_guess_is_counted_while_the_secret_of_root_cannot_be_read() {
    let dynamodb = DynamoDb::start().await;
    let variables = [
        ("CUTOVER_RATE_LIMIT", "1"),
        ("CUTOVER_ROOT_TOKEN_ARN", "root"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", NOWHERE),
    ];
    let server = ManagementServer::start(platform(&dynamodb, &variables).await).await;
    let guesses = (0..30).map(|number| {
        let client = server.client.with_token(&format!("ctv_guess_{number}"));
        tokio::spawn(async move { client.get("/whoami").await })
    });
    let guesses: Vec<_> = guesses.collect();
    let mut answers = BTreeMap::new();
    for guess in guesses {
        let answer = guess.await.unwrap();
        let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
        *answers.entry((answer.status, code)).or_insert(0) += 1;
    }
    let of = |status: u16, code: &str| answers.get(&(status, code.to_owned())).copied().unwrap_or(0);
    assert!(of(503, "secret_unavailable") >= 1 && of(429, "too_many_requests") >= 1, "{answers:?}");
    assert_eq!(answers.len(), 2, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_an_identity_provider_that_is_down_are_used_for_a_day() {
    let key = Key::new("ec", Algorithm::ES256);
    let front = IdentityProvider::start(&[&key]).await;
    let expected = || TokenRequirements {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        role_claim: "role".to_owned(),
    };
    let token = key.token(&claims("ann", "operator"));
    let start = clock::now();
    let after = |seconds: i64| Timestamp::from_millis(start.millis() + seconds * 1_000);

    // Without keys it is asked once in a while, and not by each token.
    front.set_down(true);
    let provider = Provider::new(front.url(), expected());
    for second in [0, 1, 4] {
        let error = provider.person(&token, after(second)).await.unwrap_err();
        assert!(matches!(error, SignInError::NoKeys(KeysUnavailable::Unreachable(_))), "{error}");
    }
    assert_eq!(front.asked(), 1);
    front.set_down(false);
    assert_eq!(provider.person(&token, after(5)).await.unwrap().subject, "ann");
    assert_eq!(front.asked(), 2);

    // Old keys are used while it is down, until they are too old.
    front.set_down(true);
    for hours in [1, 12, 23] {
        assert_eq!(provider.person(&token, after(hours * 3_600)).await.unwrap().subject, "ann");
    }
    assert_eq!(front.asked(), 5);
    let error = provider.person(&token, after(24 * 3_600 + 5)).await.unwrap_err();
    assert!(matches!(error, SignInError::NoKeys(KeysUnavailable::TooOld(_))), "{error}");
    assert!(error.to_string().contains("more than 24 hours old"), "{error}");
    // It is back, with another key: the one that it has withdrawn opens nothing.
    front.set_down(false);
    front.publish(&[&Key::new("another", Algorithm::ES256)]);
    let error = provider.person(&token, after(25 * 3_600)).await.unwrap_err();
    assert!(matches!(error, SignInError::Refused(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_follow_no_redirect() {
    let elsewhere = Webhook::start().await;
    let target = elsewhere.url();
    let app = Router::new().route("/hook", post(move || async move { Redirect::temporary(&target) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let dynamodb = DynamoDb::start().await;
    let variables = [("CUTOVER_WEBHOOK_URL", url.as_str()), ("CUTOVER_WEBHOOK_SECRET", SECRET)];
    let platform = platform(&dynamodb, &variables).await;
    let now = clock::now();
    let notification = Notification {
        id: "one".to_owned(),
        at: now,
        body: json!({ "event": "rollback" }),
        attempts: 0,
        next_at: now,
    };
    platform.store.keep_notification(&notification).await.unwrap();
    assert_eq!(notify::deliver(&platform).await.unwrap(), 0);
    assert_eq!(elsewhere.received(), Vec::new(), "it was sent to another address");
    assert_eq!(platform.store.outbox().await.unwrap()[0].attempts, 1, "it is tried again later");
    server.abort();
}
