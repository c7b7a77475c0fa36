//! JSON Web Tokens: Wycheproof's vectors against both verifiers, people who sign in with them, and users whom the edge
//! knows by them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cutover_lambda::{
    access::jwt::{TokenRejection, read_keys, verify},
    settings::identity_provider::TokenRequirements,
};
use cutover_tests::{
    http,
    identity_provider::{AUDIENCE, ISSUER, IdentityProvider, Key, claims, seconds},
    kv_server::KvServer,
    paths,
    stack::{Options, Stack},
    workerd::{Worker, Workerd},
};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// A token, the key it is checked with, and whether its signature is good.
struct Vector {
    name: String,
    jws: String,
    key: Value,
    is_valid: bool,
}

/// Wycheproof's vectors for RS256 and ES256, all of them; and for EdDSA, of which it has none as JWS, its Ed25519 vectors
/// whose messages happen to have the form of a JWS, which are none, and RFC 8037's example with every kind of damage.
fn vectors() -> Vec<Vector> {
    let path = paths::root().join("tests/vectors/json_web_signature.json");
    let text = std::fs::read_to_string(path).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut vectors = Vec::new();
    for group in file["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            vectors.push(Vector {
                name: format!("{} {}", test["tcId"], test["comment"]),
                jws: test["jws"].as_str().unwrap().to_owned(),
                key: group["public"].clone(),
                is_valid: test["result"] == "valid",
            });
        }
    }
    assert_eq!(file["numberOfTests"], vectors.len());
    // RFC 8037, appendix A.
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let good = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut add = |name: &str, jws: String, is_valid| {
        vectors.push(Vector { name: format!("RFC 8037 {name}"), jws, key: key.clone(), is_valid });
    };
    add("as it stands there", good.to_owned(), true);
    add("without a signature", format!("{signed}."), false);
    add("of two parts", signed.to_owned(), false);
    add("of four parts", format!("{good}.x"), false);
    add("with another payload", good.replace("RXhh", "RXhi"), false);
    add("by another algorithm", good.replace("eyJhbGciOiJFZERTQSJ9", "eyJhbGciOiJFUzI1NiJ9"), false);
    for at in [0, 20, 42, 43, 60, signature.len() - 3] {
        let mut damaged = signature.as_bytes().to_vec();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        add(&format!("damaged at {at}"), format!("{signed}.{}", String::from_utf8(damaged).unwrap()), false);
    }
    add("shortened", good[..good.len() - 4].to_owned(), false);
    add("lengthened", format!("{good}AAAA"), false);
    vectors
}

#[test]
fn management_agrees_with_every_vector() {
    let expected = TokenRequirements {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        role_claim: "role".to_owned(),
    };
    let mut counted = BTreeMap::new();
    let mut wrong = Vec::new();
    for vector in vectors() {
        let keys = read_keys(json!({ "keys": [vector.key] }).to_string().as_bytes()).unwrap();
        // What was signed is no claims for us, which is found after the signature was found to be good.
        let taken = matches!(verify(&vector.jws, &keys, &expected), Ok(_) | Err(TokenRejection::Claims(_)));
        *counted.entry(vector.is_valid).or_insert(0) += 1;
        if taken != vector.is_valid {
            wrong.push(vector.name);
        }
    }
    println!("valid and invalid: {counted:?}");
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_agrees_with_every_vector() {
    let folder = paths::root();
    let worker = Worker::javascript("verify", &folder.join("tests/vectors/verify.js"))
        .importing("jwt.js", &folder.join("edge/js/jwt.js"));
    let workerd = Workerd::start(&[worker]);
    let vectors = vectors();
    let asked: Vec<Value> =
        vectors.iter().map(|vector| json!({ "jws": vector.jws, "key": vector.key })).collect();
    let body = json!(asked).to_string();
    let answer = http::send(workerd.port("verify"), "POST", "/", &[], body.as_bytes()).await.json();
    let results = answer.as_array().unwrap();
    assert_eq!(results.len(), vectors.len());
    let wrong: Vec<_> = vectors
        .iter()
        .zip(results)
        .filter(|(vector, result)| (*result == "valid") != vector.is_valid)
        .map(|(vector, _)| vector.name.as_str())
        .collect();
    assert_eq!(wrong, Vec::<&str>::new());
}

/// Both verifiers take signatures for good by the libraries below them; this is what those make of Ed25519.
#[test]
fn ed25519_itself_agrees_with_every_vector() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        let x = URL_SAFE_NO_PAD.encode(&group.key.pk);
        let key = jsonwebtoken::DecodingKey::from_ed_components(&x).unwrap();
        for test in group.tests {
            let signature = URL_SAFE_NO_PAD.encode(&test.sig);
            let taken =
                jsonwebtoken::crypto::verify(&signature, &test.msg, &key, Algorithm::EdDSA).unwrap_or(false);
            assert_eq!(taken, test.result == wycheproof::TestResult::Valid, "{}", test.tc_id);
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

fn keys() -> [Key; 3] {
    [Key::new("rsa", Algorithm::RS256), Key::new("ec", Algorithm::ES256), Key::new("ed", Algorithm::EdDSA)]
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_with_their_provider() {
    let [rsa, ec, ed] = keys();
    let provider = IdentityProvider::start(&[&rsa, &ec, &ed]).await;
    let function_variables = BTreeMap::from([
        ("CUTOVER_JWT_JWKS_URL", provider.url()),
        ("CUTOVER_JWT_ISSUER", ISSUER.to_owned()),
        ("CUTOVER_JWT_AUDIENCE", AUDIENCE.to_owned()),
    ]);
    let stack =
        Stack::start(Options { function_variables, management_processes: 1, ..Options::default() }).await;
    let root = stack.management();
    root.apply(&stack.dev_configuration()).await.expect(200);
    let as_person = |token: &str| root.with_token(token);
    for (key, role) in [(&rsa, "viewer"), (&ec, "operator"), (&ed, "admin")] {
        let me = as_person(&key.token(&claims("ann", role))).get("/whoami").await.expect(200).body;
        assert_eq!((&me["name"], &me["role"]), (&json!("jwt:ann"), &json!(role)));
    }
    assert_eq!(provider.asked(), 1, "the keys are kept");
    let mut listed = claims("ann", "x");
    listed["role"] = json!(["employee", "operator", "viewer"]);
    listed["aud"] = json!(["others", AUDIENCE]);
    let ann = as_person(&ec.token(&listed));
    ann.put("/flags/graphql_reviews_read/rollout", &json!({ "percentage": 11 })).await.expect(200);
    ann.send("DELETE", "/flags/graphql_reviews_read", &[], None).await.expect(403);
    assert_eq!(
        root.get("/audit?actor=jwt:ann").await.expect(200).body["records"][0]["action"],
        "flag.rollout"
    );

    // Everything that can be wrong with what a token says.
    let with = |field: &str, value: Value| {
        let mut changed = claims("ann", "admin");
        changed[field] = value;
        changed
    };
    let now = seconds();
    let refused = async |token: &str, why: &str| {
        let answer = as_person(token).get("/flags").await.expect(401).body;
        assert!(answer["detail"].as_str().unwrap().contains(why), "{why}: {answer:#}");
    };
    for (field, value, why) in [
        ("iss", json!("https://other.example"), "another issuer"),
        ("aud", json!("somebody else"), "another audience"),
        ("aud", Value::Null, ""),
        ("exp", json!(now - 120), "expired"),
        ("exp", Value::Null, ""),
        ("exp", json!("tomorrow"), ""),
        ("nbf", json!(now + 120), "not valid yet"),
        ("sub", json!(""), "subject"),
        ("sub", json!("two\nlines"), "subject"),
        ("sub", json!("x".repeat(200)), "subject"),
        ("sub", json!(7), ""),
        ("role", json!("king"), "names none of the roles"),
        ("role", Value::Null, "names none of the roles"),
    ] {
        refused(&ed.token(&with(field, value)), why).await;
    }
    // Clocks may lie half a minute apart.
    as_person(&ed.token(&with("exp", json!(now - 10)))).get("/flags").await.expect(200);
    // Somebody else's key, under an id that is known; truncated; without a signature.
    let forged = Key::new("ec", Algorithm::ES256).token(&claims("ann", "admin"));
    refused(&forged, "signature").await;
    let good = ec.token(&claims("ann", "admin"));
    let (signed, _) = good.rsplit_once('.').unwrap();
    for damaged in [&good[..good.len() - 5], signed, &format!("{signed}."), &good.replacen('.', "..", 1)] {
        as_person(damaged).get("/flags").await.expect(401);
    }

    // A new key is asked for, once in a while.
    let asked = provider.asked();
    let new = Key::new("new", Algorithm::ES256);
    provider.publish(&[&new]);
    for _ in 0..5 {
        as_person(&new.token(&claims("ann", "admin"))).get("/flags").await.expect(401);
    }
    assert_eq!(provider.asked(), asked, "unknown keys do not make everybody ask");
    assert!(!stack.lambda.output().contains(&good), "a token is in the log");
}

const YAML: &str = r#"
feature_flags:
  everything: { enabled: true, rollout_percentage: 0, user_whitelist: ["ann"] }
origins:
  old: { url: "LEGACY", timeout_ms: 2000 }
  new: { url: "NEW", timeout_ms: 2000 }
routes:
  - { id: all, match: { path: "/{*rest}" }, flag: everything, legacy: old, new: new,
      identity: ["jwt", "header:x-user-id"] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_knows_users_by_their_tokens() {
    let [rsa, ec, ed] = keys();
    let provider = IdentityProvider::start(&[&rsa, &ec, &ed]).await;
    let data = std::sync::Arc::new(cutover_origins::Data::default());
    let legacy =
        cutover_origins::Origin::start(cutover_origins::Backend::Legacy, std::sync::Arc::clone(&data)).await;
    let new = cutover_origins::Origin::start(cutover_origins::Backend::New, data).await;
    let yaml = YAML.replace("LEGACY", &legacy.url()).replace("NEW", &new.url());
    let store = KvServer::configured(&yaml).await;
    let edge = |name, jwks: &str| {
        Worker::edge(name, store.port())
            .with("LEGACY_ORIGIN", legacy.url())
            .with("DECISION_HEADERS", "arm,reason")
            .with("JWT_JWKS_URL", jwks)
            .with("JWT_ISSUER", ISSUER)
            .with("JWT_AUDIENCE", AUDIENCE)
    };
    let workerd = Workerd::start(&[
        edge("edge", &provider.url()),
        edge("down", "http://127.0.0.1:9/"),
        edge("off", ""),
        edge("no issuer", &provider.url()).with("JWT_ISSUER", ""),
        edge("no audience", &provider.url()).with("JWT_AUDIENCE", ""),
    ]);
    let reason = async |worker: &str, headers: &[(&str, &str)]| {
        let answer = http::get(workerd.port(worker), "/api/v1/reviews/7", headers).await;
        assert_eq!(answer.status, 200);
        answer.header("x-cutover-reason").unwrap()
    };
    let bearer = |token: &str| format!("Bearer {token}");
    for key in [&rsa, &ec, &ed] {
        let token = bearer(&key.token(&claims("ann", "-")));
        assert_eq!(reason("edge", &[("authorization", &token)]).await, "WHITELISTED");
        // A verified token goes before what anybody can write into a header.
        assert_eq!(reason("edge", &[("authorization", &token), ("x-user-id", "bob")]).await, "WHITELISTED");
    }
    assert_eq!(provider.asked(), 1, "the keys are kept");
    // A token that names nobody leaves the word to the next source.
    let with = |field: &str, value: Value| {
        let mut changed = claims("ann", "-");
        changed[field] = value;
        changed
    };
    let now = seconds();
    let good = ec.token(&claims("ann", "-"));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut bad: Vec<String> = [
        ("iss", json!("https://other.example")),
        ("aud", json!("somebody else")),
        ("aud", Value::Null),
        ("exp", json!(now - 120)),
        ("exp", Value::Null),
        ("nbf", json!(now + 120)),
        ("sub", json!("")),
        ("sub", json!("an\nn")),
        ("sub", json!(["ann"])),
        ("sub", Value::Null),
    ]
    .into_iter()
    .map(|(field, value)| ed.token(&with(field, value)))
    .collect();
    bad.push(Key::new("ec", Algorithm::ES256).token(&claims("ann", "-")));
    bad.push(format!("{signed}.{}", &signature[..signature.len() - 4]));
    bad.push(format!("{signed}."));
    bad.push("a.b.c".to_owned());
    bad.push(good.replacen("ey", "ez", 1));
    for token in &bad {
        let token = bearer(token);
        for _ in 0..2 {
            assert_eq!(reason("edge", &[("authorization", &token)]).await, "NO_KEY", "{token}");
            let headers = [("authorization", token.as_str()), ("x-user-id", "ann")];
            assert_eq!(reason("edge", &headers).await, "WHITELISTED", "{token}");
        }
    }
    assert_eq!(reason("edge", &[("authorization", "Basic YTpi"), ("x-user-id", "bob")]).await, "ROLLOUT");
    assert_eq!(reason("edge", &[]).await, "NO_KEY");
    // A token for nobody in particular could be anybody's: issuer and audience have to be configured.
    let mut neither = claims("ann", "-");
    for claim in ["iss", "aud"] {
        neither.as_object_mut().unwrap().remove(claim);
    }
    let neither = bearer(&ec.token(&neither));
    let complete = bearer(&ec.token(&claims("ann", "-")));
    for worker in ["no issuer", "no audience"] {
        for token in [&neither, &complete] {
            assert_eq!(reason(worker, &[("authorization", token)]).await, "NO_KEY", "{worker}");
        }
    }
    // A token of more than 8 192 characters is not looked at.
    for (length, expected) in [(1_000, "WHITELISTED"), (7_000, "NO_KEY")] {
        let token = bearer(&ec.token(&with("note", json!("x".repeat(length)))));
        assert_eq!(reason("edge", &[("authorization", &token)]).await, expected, "{}", token.len());
    }

    // No provider, or none that answers: the API is served all the same, and nobody waits for long.
    let token = bearer(&good);
    for worker in ["down", "off"] {
        let headers = [("authorization", token.as_str()), ("x-user-id", "ann")];
        assert_eq!(reason(worker, &headers).await, "WHITELISTED", "{worker}");
        let begun = Instant::now();
        let mut users = BTreeSet::new();
        for user in 0..30 {
            let other = bearer(&ec.token(&claims(&format!("user-{user}"), "-")));
            users.insert(reason(worker, &[("authorization", &other)]).await);
        }
        assert_eq!(users, BTreeSet::from(["NO_KEY".to_owned()]));
        // Half a second each: whoever waits for a provider waits for a second at least.
        assert!(begun.elapsed() < Duration::from_secs(15), "{worker}: {:?}", begun.elapsed());
    }

    // Many at once, when an isolate has no keys yet.
    let fresh = Workerd::start(&[edge("edge", &provider.url())]);
    let (port, asked) = (fresh.port("edge"), provider.asked());
    let many = (0..40).map(|at| {
        let token = bearer(&rsa.token(&claims(if at % 2 == 0 { "ann" } else { "bob" }, "-")));
        tokio::spawn(async move {
            let answer = http::get(port, "/api/v1/reviews/7", &[("authorization", &token)]).await;
            (at, answer.header("x-cutover-reason").unwrap())
        })
    });
    for answer in many.collect::<Vec<_>>() {
        let (at, reason) = answer.await.unwrap();
        assert_eq!(reason, if at % 2 == 0 { "WHITELISTED" } else { "ROLLOUT" }, "{at}");
    }
    assert_eq!(provider.asked(), asked + 1);
}

/// Tokens that nobody may be known by: short ones of every length, ones whose parts are empty, broken or no JSON, and ones
/// that are signed, but not as they are.
fn forged_tokens(key: &Key) -> Vec<String> {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let mut tokens: Vec<String> = (0..=40).map(|length| "x".repeat(length)).collect();
    tokens.extend((5..=40).map(|length| format!("a.b.{}", "A".repeat(length - 4))));
    tokens.extend(
        ["..", ".", "a..", ".a.", "..a", "a.b.", "a..c", ".b.c", "...", "a.b.c.d", "a.b. c"]
            .map(str::to_owned),
    );
    let (ann, bob) = (key.token(&claims("ann", "-")), key.token(&claims("bob", "-")));
    let (signed, signature) = ann.rsplit_once('.').unwrap();
    let (head, payload) = signed.split_once('.').unwrap();
    // A signature of another token, or a part of the own one.
    tokens.push(format!("{signed}.{}", bob.rsplit_once('.').unwrap().1));
    tokens.extend((0..signature.len()).step_by(7).map(|length| format!("{signed}.{}", &signature[..length])));
    tokens.push(format!("{signed}.{signature}A"));
    // No algorithm, or one that the key is not for.
    for alg in ["none", "None", "HS256", "RS256", ""] {
        let head = part(&json!({ "alg": alg, "kid": key.id }).to_string());
        tokens.extend(["", "A", signature].map(|signature| format!("{head}.{payload}.{signature}")));
    }
    // Heads that are no objects, or not even JSON.
    for text in
        ["", "null", "1", "\"x\"", "[]", "{}", "{", "no JSON", "{\"kid\":{}}", "{\"kid\":\"\"}", "\u{feff}{}"]
    {
        tokens.push(format!("{}.{payload}.{signature}", part(text)));
        tokens.push(format!("{head}.{}.{signature}", part(text)));
    }
    // Payloads that are signed, but say nothing.
    tokens.extend(
        [json!(null), json!(1), json!("ann"), json!([]), json!({})].map(|payload| key.token(&payload)),
    );
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_of_any_form_name_nobody_and_break_nothing() {
    let key = Key::new("ec", Algorithm::ES256);
    let provider = IdentityProvider::start(&[&key]).await;
    let data = std::sync::Arc::new(cutover_origins::Data::default());
    let legacy =
        cutover_origins::Origin::start(cutover_origins::Backend::Legacy, std::sync::Arc::clone(&data)).await;
    let new = cutover_origins::Origin::start(cutover_origins::Backend::New, data).await;
    let read = |yaml: &str| yaml.replace("LEGACY", &legacy.url()).replace("NEW", &new.url());
    let stores = [KvServer::configured(&read(YAML)).await, KvServer::configured(&read(ADAPTED)).await];
    let edge = |name, store: &KvServer| {
        Worker::edge(name, store.port())
            .with("DECISION_HEADERS", "arm,reason")
            .with("JWT_JWKS_URL", provider.url())
            .with("JWT_ISSUER", ISSUER)
            .with("JWT_AUDIENCE", AUDIENCE)
    };
    let workerd = Workerd::start(&[edge("decided", &stores[0]), edge("adapted", &stores[1])]);
    let decided = async |headers: &[(&str, &str)]| {
        let answer = http::get(workerd.port("decided"), "/api/v1/reviews/7", headers).await;
        (answer.status, answer.header("x-cutover-reason").unwrap())
    };
    let is = |reason: &str| (200_u16, reason.to_owned());
    for token in forged_tokens(&key) {
        let bearer = format!("Bearer {token}");
        // The second time its result is remembered.
        for _ in 0..2 {
            assert_eq!(decided(&[("authorization", &bearer)]).await, is("NO_KEY"), "{token}");
            let headers = [("authorization", bearer.as_str()), ("x-user-id", "ann")];
            assert_eq!(decided(&headers).await, is("WHITELISTED"), "{token}: the next source is not asked");
        }
        let headers = [("authorization", bearer.as_str()), ("x-user-id", "ann")];
        let answer = http::get(workerd.port("adapted"), "/api/v1/mine", &headers).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthenticated")), "{token}");
    }
    // The real one is known all the same.
    let bearer = format!("Bearer {}", key.token(&claims("ann", "-")));
    assert_eq!(decided(&[("authorization", &bearer)]).await, is("WHITELISTED"));
    // Once, and again for keys that are not known, every five seconds at most.
    assert!(provider.asked() < 30, "the provider was asked {} times", provider.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn short_forged_tokens_do_not_fill_the_memory() {
    const TOKENS: u64 = 500_000;
    // A few thousand of them are remembered. With all of them the heap would have more than twice as much.
    const MAX_HEAP_BYTES: u64 = 24 * 1024 * 1024;
    let folder = paths::root().join("edge/js");
    let worker = Worker::javascript("identify", &paths::root().join("tests/vectors/identify.js"));
    let modules = ["identity.js", "jwt.js", "http.js", "force.js", "wire.js"];
    let worker = modules.into_iter().fold(worker, |worker, name| worker.importing(name, &folder.join(name)));
    // No keys can be read, so each of the tokens is one whose key may become known.
    let worker = worker
        .with("JWT_JWKS_URL", "http://127.0.0.1:9/")
        .with("JWT_ISSUER", ISSUER)
        .with("JWT_AUDIENCE", AUDIENCE);
    let workerd = Workerd::inspected(&[worker]);
    let port = workerd.port("identify");
    for first in (0..TOKENS).step_by(50_000) {
        let named = http::get(port, &format!("/?first={first}&count=50000"), &[]).await.json();
        assert_eq!(named, 0, "forged tokens named users");
    }
    let mut inspector = workerd.inspect("identify").await;
    inspector.collect_garbage(port, "/?first=0&count=0").await;
    let heap = inspector.heap().await;
    println!("after {TOKENS} short tokens: {heap:?}");
    assert!(heap.used < MAX_HEAP_BYTES, "{heap:?}");
}

const ADAPTED: &str = r#"
feature_flags: { everything: { enabled: true, rollout_percentage: 100 } }
origins: { old: { url: "LEGACY" }, new: { url: "NEW" } }
adapters:
  mine:
    routes:
      - match: { method: GET, path: /api/v1/mine }
        backend: { method: GET, path: "/api/v1/users/{jwt.sub}/reviews" }
        variables: { author: { from: jwt.sub, required: true } }
        root: data
        response: { each: author_id }
routes:
  - { id: all, match: { path: "/{*rest}" }, flag: everything, legacy: old, new: new, adapt: [mine] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_reads_claims_of_tokens_that_were_verified_and_of_no_others() {
    let [rsa, ec, ed] = keys();
    let provider = IdentityProvider::start(&[&rsa, &ec]).await;
    let new = cutover_origins::Origin::start(cutover_origins::Backend::New, Default::default()).await;
    let yaml = ADAPTED.replace("LEGACY", &new.url()).replace("NEW", &new.url());
    let store = KvServer::configured(&yaml).await;
    let edge = Worker::edge("edge", store.port())
        .with("LEGACY_ORIGIN", new.url())
        .with("JWT_JWKS_URL", provider.url())
        .with("JWT_ISSUER", ISSUER)
        .with("JWT_AUDIENCE", AUDIENCE);
    let workerd = Workerd::start(&[edge]);
    let mine = async |token: Option<&str>| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("x-user-id", "u1")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let answer = http::get(workerd.port("edge"), "/api/v1/mine", &headers).await;
        (answer.status, answer.json())
    };
    for key in [&rsa, &ec] {
        let (status, body) = mine(Some(&key.token(&claims("user-3", "-")))).await;
        assert_eq!((status, body), (200, json!(["user-3", "user-3", "user-3", "user-3"])));
    }
    // A key that the provider does not have, no token at all, and one that is over.
    let mut over = claims("user-3", "-");
    over["exp"] = json!(seconds() - 600);
    for token in [Some(ed.token(&claims("user-3", "-"))), None, Some(rsa.token(&over))] {
        let (status, body) = mine(token.as_deref()).await;
        assert_eq!((status, &body["code"]), (401, &json!("unauthenticated")), "{body:#}");
    }
}
