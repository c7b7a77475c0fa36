//! `cutover login` with an identity provider: a person confirms a code on another device, and works with that token.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use cutover_tests::{
    command::{CommandOutput, cutover_with_contexts},
    identity_provider::{AUDIENCE, ISSUER, IdentityProvider, Key, claims},
    server::Server,
    stack::{Options, Stack},
};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// An identity provider for device grants (RFC 8628), which answers questions for the token one after the other.
struct DeviceProvider {
    shared: Arc<Shared>,
    server: Server,
}

#[derive(Default)]
struct Shared {
    /// Responses to the questions to come.
    answers: Mutex<VecDeque<Value>>,
    /// Forms that were received, with their times: that of the device, and those of the questions.
    forms: Mutex<Vec<(Instant, String)>>,
}

impl Shared {
    fn receive(&self, form: String) {
        self.forms.lock().expect("no handler panics").push((Instant::now(), form));
    }
}

impl DeviceProvider {
    async fn start(answers: impl IntoIterator<Item = Value>) -> Self {
        let shared = Shared { answers: Mutex::new(answers.into_iter().collect()), ..Shared::default() };
        let shared = Arc::new(shared);
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/device", post(device))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        Self { shared, server: Server::start(app).await }
    }

    fn forms(&self) -> Vec<(Instant, String)> {
        self.shared.forms.lock().expect("no handler panics").clone()
    }
}

async fn discovery(headers: HeaderMap) -> Json<Value> {
    let host = headers["host"].to_str().expect("a host");
    Json(json!({
        "issuer": ISSUER,
        "device_authorization_endpoint": format!("http://{host}/device"),
        "token_endpoint": format!("http://{host}/token"),
    }))
}

async fn device(State(shared): State<Arc<Shared>>, form: String) -> Json<Value> {
    shared.receive(form);
    Json(json!({
        "device_code": "device-1", "user_code": "WDJB-MJHT", "verification_uri": "https://id.example/device",
        "expires_in": 60, "interval": 1,
    }))
}

async fn token(State(shared): State<Arc<Shared>>, form: String) -> (StatusCode, Json<Value>) {
    shared.receive(form);
    let answer = shared.answers.lock().expect("no handler panics").pop_front();
    let answer = answer.unwrap_or_else(|| json!({ "error": "invalid_grant" }));
    let status = if answer.get("error").is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    (status, Json(answer))
}

/// A person with a context of the deployment, and without a token.
struct Person {
    folder: PathBuf,
}

impl Person {
    async fn new(stack: &Stack, name: &str) -> Self {
        let person = Self { folder: stack.state().join(name) };
        let url = stack.lambda.url("management");
        let added = person.run(&["context", "add", "staging", "--url", &url]).await;
        assert_eq!(added.code, 0, "{}", added.err);
        person
    }

    async fn run(&self, arguments: &[&str]) -> CommandOutput {
        cutover_with_contexts(&self.folder, &[], arguments, "").await
    }

    async fn sign_in(&self, provider: &DeviceProvider) -> CommandOutput {
        let url = provider.server.url();
        self.run(&["login", "--issuer", &url, "--client-id", "cutover-cli", "--audience", AUDIENCE]).await
    }
}

fn error(code: &str) -> Value {
    json!({ "error": code })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_on_another_device_and_works_with_that_token() {
    let key = Key::new("ed", Algorithm::EdDSA);
    let keys = IdentityProvider::start(&[&key]).await;
    let function_variables = BTreeMap::from([
        ("CUTOVER_JWT_JWKS_URL", keys.url()),
        ("CUTOVER_JWT_ISSUER", ISSUER.to_owned()),
        ("CUTOVER_JWT_AUDIENCE", AUDIENCE.to_owned()),
    ]);
    let stack = Stack::start(Options { function_variables, ..Options::default() }).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    let secret = key.token(&claims("ann", "operator"));
    let confirmed = json!({ "access_token": "opaque", "id_token": secret, "token_type": "Bearer" });
    let [pending, slower] = ["authorization_pending", "slow_down"].map(error);

    let provider = DeviceProvider::start([pending.clone(), slower, confirmed]).await;
    let denying = DeviceProvider::start([pending.clone(), error("access_denied")]).await;
    let expiring = DeviceProvider::start([pending, error("expired_token")]).await;
    let (ann, bob) = (Person::new(&stack, "ann").await, Person::new(&stack, "bob").await);
    let cem = Person::new(&stack, "cem").await;
    let (signed_in, denied, late) =
        tokio::join!(ann.sign_in(&provider), bob.sign_in(&denying), cem.sign_in(&expiring));

    assert_eq!(signed_in.code, 0, "{}", signed_in.err);
    assert_eq!(signed_in.err, "open https://id.example/device and confirm the code WDJB-MJHT\n");
    assert!(signed_in.out.contains("the token of jwt:ann (operator) is stored"), "{}", signed_in.out);
    let forms = provider.forms();
    let [device, questions @ ..] = &forms[..] else { panic!("nothing was asked") };
    assert_eq!(device.1, "client_id=cutover-cli&scope=openid&audience=cutover");
    assert_eq!(questions.len(), 3, "{forms:?}");
    assert!(questions.iter().all(|(_, form)| form.ends_with("&device_code=device-1")), "{forms:?}");
    // Every second as the provider wants, and five seconds more once it wants fewer questions.
    let pauses = [&questions[0..2], &questions[1..3]].map(|pair| pair[1].0 - pair[0].0);
    assert!(pauses[0] >= Duration::from_secs(1) && pauses[1] >= Duration::from_secs(6), "{pauses:?}");

    let changed = ann.run(&["rollout", "graphql_reviews_read", "30"]).await;
    assert_eq!(changed.code, 0, "{}", changed.err);
    let audited = ann.run(&["audit", "--actor", "jwt:ann"]).await;
    assert!(audited.out.contains("flag.rollout"), "{}", audited.out);
    assert!(![signed_in.out, changed.out, audited.out].concat().contains(&secret), "a token is shown");

    for (person, refused, cause) in [
        (&bob, denied, "refused: access_denied"),
        (&cem, late, "the code has expired\n  hint: run cutover login again"),
    ] {
        assert_eq!(refused.code, 1, "{}", refused.err);
        assert!(refused.err.contains(cause), "{}", refused.err);
        let listed = person.run(&["list"]).await;
        assert_eq!(listed.code, 2, "no token is stored: {}", listed.err);
        assert!(listed.err.contains("no token given"), "{}", listed.err);
    }
}
