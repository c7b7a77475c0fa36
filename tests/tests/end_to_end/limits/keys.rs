//! The keys by which requests are counted.

use super::{Limited, PATIENT, assert_limited};
use cutover_tests::{
    http,
    identity_provider::{AUDIENCE, ISSUER, IdentityProvider, Key, claims},
};
use jsonwebtoken::Algorithm;
use serde_json::json;

async fn from(limited: &Limited, address: &str, headers: &[(&str, &str)]) -> u16 {
    let mut all = vec![("cf-connecting-ip", address)];
    all.extend(headers);
    http::get(limited.port(0), "/api", &all).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_the_key_out_is_counted_by_address() {
    let policy = "  per_key: { key: \"header:x-api-key\", requests: 1, period_seconds: 3600 }";
    let limited = Limited::start(policy, 1, &[PATIENT]).await;
    assert_eq!(from(&limited, "192.0.2.1", &[("x-api-key", "k1")]).await, 200);
    assert_eq!(from(&limited, "192.0.2.2", &[("x-api-key", "k1")]).await, 429);
    assert_eq!(from(&limited, "192.0.2.1", &[("x-api-key", "k2")]).await, 200);
    assert_eq!(from(&limited, "192.0.2.1", &[]).await, 200);
    assert_eq!(from(&limited, "192.0.2.1", &[]).await, 429);
    // A client has all addresses of an IPv6 network of 64 bits.
    assert_eq!(from(&limited, "2001:db8:0:1::1", &[]).await, 200);
    assert_eq!(from(&limited, "2001:db8:0:1:ffff::2", &[]).await, 429);
    assert_eq!(from(&limited, "2001:db8:0:2::1", &[]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_whose_ids_are_minted_share_their_address() {
    let limited =
        Limited::start("  per_user: { key: user, requests: 1, period_seconds: 3600 }", 1, &[PATIENT]).await;
    assert_eq!(from(&limited, "192.0.2.1", &[]).await, 200);
    assert_limited(
        &http::get(limited.port(0), "/api", &[("cf-connecting-ip", "192.0.2.1")]).await,
        "per_user",
    );
    let cookie = ("cookie", "cutover_uid=0123456789abcdef0123456789abcdef");
    assert_eq!(from(&limited, "192.0.2.1", &[cookie]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_object_has_a_key_in_its_name() {
    let policy = "  per_key: { key: \"header:x-api-key\", requests: 1, period_seconds: 3600 }";
    let mut names = Vec::new();
    for secret in ["one", "two"] {
        let limited = Limited::unkind(policy, &[PATIENT, ("CUTOVER_INGEST_SECRET", secret)]).await;
        assert_eq!(from(&limited, "192.0.2.1", &[("x-api-key", "key-of-a-person")]).await, 200);
        assert_eq!(limited.limiters("kind").await.len(), 1);
        from(&limited, "192.0.2.1", &[("x-api-key", "another-key")]).await;
        names.append(&mut limited.limiters("kind").await);
        assert!(!limited.workerd.output().contains("another-key"));
    }
    assert_eq!(names.len(), 2);
    assert_ne!(names[0], names[1], "by the secret of the deployment");
    for name in names {
        let hash = name.strip_prefix("per_key:").unwrap();
        assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_valid_tokens_count_and_those_of_others_are_absent() {
    let (known, unknown) = (Key::new("a", Algorithm::ES256), Key::new("b", Algorithm::ES256));
    let provider = IdentityProvider::start(&[&known]).await;
    let url = provider.url();
    let variables =
        [PATIENT, ("JWT_JWKS_URL", url.as_str()), ("JWT_ISSUER", ISSUER), ("JWT_AUDIENCE", AUDIENCE)];
    let policy = "  per_organisation: { key: \"claim:org.id\", requests: 1, period_seconds: 3600 }";
    let limited = Limited::start(policy, 1, &variables).await;
    let of = |key: &Key, subject: &str, organisation: u32| {
        let mut claims = claims(subject, "viewer");
        claims["org"] = json!({ "id": organisation });
        format!("Bearer {}", key.token(&claims))
    };
    let ask = async |address: &str, token: &str| from(&limited, address, &[("authorization", token)]).await;
    assert_eq!(ask("192.0.2.1", &of(&known, "ann", 7)).await, 200);
    assert_eq!(ask("192.0.2.2", &of(&known, "bob", 7)).await, 429, "the same organisation");
    assert_eq!(ask("192.0.2.2", &of(&known, "bob", 8)).await, 200);
    // A token that nobody signed has no claims, so whoever sends it is counted by address.
    assert_eq!(ask("192.0.2.3", &of(&unknown, "eve", 9)).await, 200);
    assert_eq!(ask("192.0.2.3", &of(&unknown, "eve", 10)).await, 429);
}
