//! Who counts as a second person: a table of callers by the creators of their tokens, and requesters who may no longer do
//! what they requested.

use crate::identities::{FLAG, moment, started, token};
use cutover_lambda::access::digest::token_hash;
use cutover_tests::{
    client::Management,
    identity_provider::{AUDIENCE, ISSUER, IdentityProvider, Key, claims},
    stack::Stack,
};
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::collections::BTreeMap;

/// Callers of one deployment, by name, and the percentage of the last change that was requested.
struct People<'s> {
    stack: &'s Stack,
    by_name: BTreeMap<String, Management>,
    percentage: u8,
}

impl People<'_> {
    /// Creates a token in the name of a caller, with the role of an admin.
    async fn create(&mut self, maker: &str, name: &str) -> String {
        let body = json!({ "name": name, "role": "admin" });
        let (caller, made) = token(&self.by_name[maker], body).await;
        self.by_name.insert(name.to_owned(), caller);
        made["token"].as_str().unwrap().to_owned()
    }

    /// Requests a change in the name of a caller that needs a second person. Returns the path of the change.
    async fn request(&mut self, requester: &str) -> String {
        self.percentage += 1;
        let body = json!({ "percentage": self.percentage });
        let asked = self.by_name[requester].put(&format!("/flags/{FLAG}/rollout"), &body).await;
        format!("/changes/{}", asked.expect(202).body["change"].as_str().unwrap())
    }

    /// Approves a change in the name of a caller. Returns status, code and detail of the response; a change
    /// that was not approved is withdrawn.
    async fn approve(&self, approver: &str, change: &str) -> (u16, String, String) {
        let answer = self.by_name[approver].send("POST", &format!("{change}/approve"), &[], None).await;
        if answer.status != 200 {
            self.stack.management().send("DELETE", change, &[], None).await.expect(200);
        }
        let text = |field: &str| answer.body[field].as_str().unwrap_or_default().to_owned();
        (answer.status, text("code"), text("detail"))
    }
}

/// A deployment with two-person approval and an identity provider, and the callers root, `jwt:ann` and `jwt:bob`.
async fn with_two_people() -> (Stack, IdentityProvider, BTreeMap<String, Management>) {
    let key = Key::new("ec", Algorithm::ES256);
    let provider = IdentityProvider::start(&[&key]).await;
    let url = provider.url();
    let stack = started(&[
        ("CUTOVER_TWO_PERSON", "true"),
        ("CUTOVER_JWT_JWKS_URL", url.as_str()),
        ("CUTOVER_JWT_ISSUER", ISSUER),
        ("CUTOVER_JWT_AUDIENCE", AUDIENCE),
    ])
    .await;
    let mut by_name = BTreeMap::from([("root".to_owned(), stack.management())]);
    for user in ["ann", "bob"] {
        let token = key.token(&claims(user, "admin"));
        by_name.insert(format!("jwt:{user}"), stack.management().with_token(&token));
    }
    (stack, provider, by_name)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tokens_that_one_caller_made_are_not_two_people() {
    let (stack, _provider, by_name) = with_two_people().await;
    let mut people = People { stack: &stack, by_name, percentage: 25 };
    for (maker, name) in [
        ("root", "a"),
        ("root", "b"),
        ("a", "a's first"),
        ("a", "a's second"),
        ("a's first", "a's grandchild"),
        ("b", "b's"),
        ("jwt:ann", "ann's"),
    ] {
        people.create(maker, name).await;
    }
    for (requester, approver, reason) in [
        ("a", "b", None),
        ("b", "a", None),
        ("a's first", "b", None),
        ("a's first", "b's", None),
        ("a's grandchild", "b's", None),
        ("jwt:ann", "jwt:bob", None),
        ("jwt:ann", "a", None),
        ("a", "jwt:bob", None),
        ("ann's", "a's first", None),
        ("a", "a", Some("requested it")),
        ("a's first", "a's second", Some("a created or rotated both")),
        ("a's grandchild", "a's second", Some("a created or rotated both")),
        ("a's first", "a", Some("a created or rotated the token of a's first")),
        ("a", "a's grandchild", Some("a created or rotated the token of a's grandchild")),
        ("ann's", "jwt:ann", Some("jwt:ann created or rotated the token of ann's")),
        ("jwt:ann", "ann's", Some("jwt:ann created or rotated the token of ann's")),
        ("a", "root", Some("root is never a second person")),
        ("jwt:ann", "root", Some("root is never a second person")),
    ] {
        let change = people.request(requester).await;
        let (status, code, detail) = people.approve(approver, &change).await;
        let case = format!("{requester} and {approver}: {status} {code}: {detail}");
        match reason {
            None => assert_eq!(status, 200, "{case}"),
            Some(reason) => {
                assert_eq!((status, code.as_str()), (403, "second_person_needed"), "{case}");
                assert!(detail.contains(reason), "{case}");
            }
        }
    }
    // A caller who rotated a token knows its secret, and its creators still know nothing less.
    let listed = people.by_name["root"].get("/tokens").await.expect(200).body;
    let id = |name: &str| {
        let tokens = listed["tokens"].as_array().unwrap();
        tokens.iter().find(|token| token["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
    };
    for (rotator, name, makers) in [("root", "b's", json!(["b"])), ("b", "a's second", json!(["a", "b"]))] {
        let path = format!("/tokens/{}/rotate", id(name));
        let made = people.by_name[rotator].post(&path, &json!({ "grace_seconds": 0 })).await.expect(201).body;
        assert_eq!(made["made_by"], makers, "{name}");
        let caller = people.by_name[name].with_token(made["token"].as_str().unwrap());
        people.by_name.insert(name.to_owned(), caller);
    }
    for (requester, approver) in [("b's", "b"), ("a's second", "b"), ("a's second", "a")] {
        let change = people.request(requester).await;
        let (status, _, detail) = people.approve(approver, &change).await;
        assert_eq!(status, 403, "{requester} and {approver}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_approved_for_a_caller_who_may_no_longer_do_it() {
    let (stack, _provider, by_name) = with_two_people().await;
    let mut people = People { stack: &stack, by_name, percentage: 25 };
    people.create("root", "approver").await;
    // The secret of its token was replaced meanwhile: it is the same caller.
    let secret = people.create("root", "rotated").await;
    let change = people.request("rotated").await;
    let rotate = format!("/tokens/{}/rotate", &token_hash(&secret)[..12]);
    people.by_name["root"].post(&rotate, &json!({ "grace_seconds": 0 })).await.expect(201);
    assert_eq!(people.approve("approver", &change).await.0, 200);

    let secret = people.create("root", "revoked").await;
    let change = people.request("revoked").await;
    let revoke = format!("/tokens/{}", &token_hash(&secret)[..12]);
    people.by_name["root"].send("DELETE", &revoke, &[], None).await.expect(200);
    let (status, code, detail) = people.approve("approver", &change).await;
    assert_eq!((status, code.as_str()), (409, "requester_gone"), "{detail}");
    assert!(detail.contains("revoked requested this change"), "{detail}");

    let secret = people.create("root", "expired").await;
    let change = people.request("expired").await;
    stack.dynamodb.replace("TOKENS", &token_hash(&secret), "valid_until", &moment(-1_000));
    let (status, code, detail) = people.approve("approver", &change).await;
    assert_eq!((status, code.as_str()), (409, "requester_gone"), "{detail}");

    let secret = people.create("root", "demoted").await;
    let change = people.request("demoted").await;
    stack.dynamodb.replace("TOKENS", &token_hash(&secret), "role", "viewer");
    let (status, code, detail) = people.approve("approver", &change).await;
    assert_eq!((status, code.as_str()), (403, "role_too_low"), "{detail}");
    assert!(detail.contains("demoted has the role viewer"), "{detail}");
}
