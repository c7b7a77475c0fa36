//! A receiver of notifications, which can be made to refuse them.

use crate::server::Server;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use cutover_core::signature;
use cutover_lambda::clock;
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// Secret with which notifications are signed.
pub const SECRET: &str = "local-webhook-secret";

#[derive(Default)]
struct Shared {
    refusing: bool,
    refused: usize,
    received: Vec<(String, Value)>,
}

/// A running receiver.
pub struct Webhook {
    shared: Arc<Mutex<Shared>>,
    server: Server,
}

impl Webhook {
    /// Starts a receiver on a free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let app = Router::new().route("/hook", post(receive)).with_state(Arc::clone(&shared));
        Self { shared, server: Server::start(app).await }
    }

    /// Returns the URL to which notifications are sent.
    pub fn url(&self) -> String {
        format!("{}/hook", self.server.url())
    }

    /// Refuses all notifications from now on if `refusing` is true, and accepts them again
    /// otherwise.
    pub fn refuse(&self, refusing: bool) {
        self.shared.lock().expect("no handler panics").refusing = refusing;
    }

    /// Returns the number of refused notifications.
    pub fn refused(&self) -> usize {
        self.shared.lock().expect("no handler panics").refused
    }

    /// Returns the accepted notifications, each as event and body.
    pub fn received(&self) -> Vec<(String, Value)> {
        self.shared.lock().expect("no handler panics").received.clone()
    }
}

async fn receive(State(shared): State<Arc<Mutex<Shared>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut shared = shared.lock().expect("no handler panics");
    if shared.refusing {
        shared.refused += 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (timestamp, signed) = (text(signature::TIMESTAMP), text(signature::SIGNATURE));
    let verified = signature::verify(&[SECRET.to_owned()], timestamp, signed, &body, clock::now().millis());
    verified.expect("notifications are signed");
    assert!(text("x-cutover-event-id").is_some(), "notifications have an event id");
    let body: Value = serde_json::from_slice(&body).expect("notifications are JSON");
    shared.received.push((body["event"].as_str().expect("an event").to_owned(), body));
    StatusCode::NO_CONTENT
}
