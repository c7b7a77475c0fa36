//! OFREP at the Worker: every status of the protocol, the flags of each token, browsers, and the clients of OpenFeature.

mod clients;
mod control;
mod flagd;
mod protocol;
mod rust_client;
mod sharing;

use axum::{Router, http::StatusCode};
use cutover_tests::{
    http::{self, Answer},
    proxied::{SingleRouteWorker, single_route},
    server::Server,
};

/// Path of the endpoint of all flags.
const FLAGS: &str = "/ofrep/v1/evaluate/flags";

/// Token for the flags `colour` and `shop.*`.
const WEB: &str = "web-token";

/// Token for all flags.
const SERVER: &str = "server-token";

/// A context with a user.
const USER: &str = r#"{"context":{"targetingKey":"ann"}}"#;

/// The tokens with their hashes.
const TOKENS: &str = r#"tokens:
    - { name: web, sha256: "671391faf68e509ca4ec48ccb0690453e9b82c2fa48273703233d60b52b9640d", flags: [colour, "shop.*"] }
    - { name: server, sha256: "92e6f5d9714df393665cfceda28fad274ac294a2614e6ba3aebbcfae133a16c2", flags: ["*"] }"#;

/// Flags of each type.
const VALUES: &str = r##"
flags:
  colour:
    type: string
    enabled: true
    variants: { blue: "#00f", green: "#0f0" }
    default: blue
    off: blue
    rules:
      - { conditions: [{ type: attribute, name: "header:plan", op: equals, values: [gold] }], variant: green }
  limits:
    type: object
    enabled: true
    variants: { small: { items: 3 }, large: { items: 30 } }
    default: small
    off: small
  shop.discount: { type: number, enabled: true, variants: { none: 0, some: 2.5 }, default: some, off: none }
  shop.split: { type: string, enabled: true, variants: { a: A, b: B }, default: { weights: { a: 50, b: 50 } }, off: a }
  switch: { type: boolean, enabled: true, variants: { "yes": true, "no": false }, default: "yes", off: "no" }
"##;

/// Starts a backend that knows no path, and says so as OFREP does.
async fn backend() -> Server {
    let answer = || async {
        (
            StatusCode::NOT_FOUND,
            [("content-type", "application/json")],
            r#"{"errorDetails":"from the backend"}"#,
        )
    };
    Server::start(Router::new().fallback(answer)).await
}

/// A Worker in front of one backend.
struct Evaluating {
    worker: SingleRouteWorker,
    _backend: Server,
}

impl Evaluating {
    /// Starts the Worker with the flags of [`VALUES`], the tokens, and further fields of the part `ofrep`.
    async fn start(more: &str) -> Self {
        Self::configured(VALUES, &format!("ofrep:\n  {TOKENS}\n{more}")).await
    }

    /// Starts the Worker with further sections of the configuration.
    async fn configured(values: &str, ofrep: &str) -> Self {
        let backend = backend().await;
        let flag = "enabled: true, rollout_percentage: 100";
        let route = single_route(&backend.url(), &backend.url(), 5_000, flag, "");
        let worker = SingleRouteWorker::configured(&format!("{route}{values}{ofrep}"), &[]).await;
        Self { worker, _backend: backend }
    }

    fn port(&self) -> u16 {
        self.worker.port()
    }

    /// Evaluates with a bearer token.
    async fn post(&self, path: &str, token: &str, body: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        self.send("POST", path, &[("authorization", &authorization)], body).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        http::send(self.port(), method, path, headers, body.as_bytes()).await
    }
}

/// Returns the keys of a bulk answer.
fn keys(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
    let body = answer.json();
    let flags = body["flags"].as_array().unwrap().iter();
    flags.map(|flag| flag["key"].as_str().unwrap().to_owned()).collect()
}
