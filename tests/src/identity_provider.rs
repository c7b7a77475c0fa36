//! An identity provider: keys of every accepted algorithm, a JWKS over HTTP, and tokens signed with
//! the keys.

use crate::server::Server;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Issuer of its tokens.
pub const ISSUER: &str = "https://id.example";
/// Audience of its tokens.
pub const AUDIENCE: &str = "cutover";

/// A key pair.
#[derive(Clone)]
pub struct Key {
    /// The key id in the JWKS.
    pub id: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    /// Generates a key pair for RS256, ES256 or EdDSA.
    pub fn new(id: &str, algorithm: Algorithm) -> Self {
        let private = match algorithm {
            Algorithm::RS256 => {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("an RSA key");
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("PKCS #8");
                // PKCS #8 is PKCS #1 behind 26 bytes that name the algorithm.
                EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("an EC key");
                EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("PKCS #8").as_ref())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().expect("an Ed25519 key");
                EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("PKCS #8").as_ref())
            }
            other => panic!("{other:?} is not accepted"),
        };
        Self { id: id.to_owned(), algorithm, private }
    }

    fn public(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.private, self.algorithm).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// Returns a signed token with the given claims.
    pub fn token(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.private).expect("a token")
    }
}

/// Returns valid claims of a subject with a role.
pub fn claims(subject: &str, role: &str) -> Value {
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "role": role,
        "iat": seconds(),
        "exp": seconds() + 300,
    })
}

/// Returns the seconds since 1970.
pub fn seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    i64::try_from(now.as_secs()).expect("a time")
}

#[derive(Default)]
struct Shared {
    keys: Mutex<Vec<Value>>,
    asked: AtomicU64,
    is_down: AtomicBool,
}

/// A running identity provider.
pub struct IdentityProvider {
    shared: Arc<Shared>,
    server: Server,
}

impl IdentityProvider {
    /// Starts a provider that publishes the given keys.
    pub async fn start(keys: &[&Key]) -> Self {
        let shared = Arc::new(Shared::default());
        let app = Router::new().route("/jwks", get(jwks)).with_state(Arc::clone(&shared));
        let provider = Self { shared, server: Server::start(app).await };
        provider.publish(keys);
        provider
    }

    /// Publishes the given keys from now on, and one key of an unknown type.
    pub fn publish(&self, keys: &[&Key]) {
        let mut all: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        all.push(json!({ "kty": "XYZ", "kid": "from-a-later-version" }));
        *self.shared.keys.lock().expect("no handler panics") = all;
    }

    /// Returns the URL of the JWKS.
    pub fn url(&self) -> String {
        format!("{}/jwks", self.server.url())
    }

    /// Answers 503 from now on if `down` is true, and with the keys otherwise.
    pub fn set_down(&self, down: bool) {
        self.shared.is_down.store(down, Ordering::Relaxed);
    }

    /// Returns how often the JWKS was requested.
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

async fn jwks(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, StatusCode> {
    shared.asked.fetch_add(1, Ordering::Relaxed);
    if shared.is_down.load(Ordering::Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(json!({ "keys": *shared.keys.lock().expect("no handler panics") })))
}
