//! An HTTP proxy for clients in processes of their own, which tell it over HTTP how to answer their next requests.

use crate::{
    fault_proxy::{answer, pass_on},
    server::Server,
};
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode},
    response::Response,
    routing::get,
};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

/// A running proxy.
///
/// `PUT /statuses` with a list such as `[429, 503]` sets the statuses with which the next requests are answered instead of being
/// forwarded, and forgets those that were given; `GET /statuses` returns the statuses given since. A 429 has `retry-after: 1`.
pub struct StatusProxy {
    server: Server,
    statuses: Arc<Mutex<Statuses>>,
}

#[derive(Clone)]
struct Shared {
    target: String,
    client: reqwest::Client,
    statuses: Arc<Mutex<Statuses>>,
}

#[derive(Default)]
struct Statuses {
    next: VecDeque<u16>,
    given: Vec<u16>,
}

impl StatusProxy {
    /// Starts a proxy in front of an address.
    pub async fn start(target: SocketAddr) -> Self {
        let statuses = Arc::<Mutex<Statuses>>::default();
        let shared = Shared {
            target: format!("http://{target}"),
            client: reqwest::Client::new(),
            statuses: Arc::clone(&statuses),
        };
        let app = Router::new().route("/statuses", get(given).put(set)).fallback(forward).with_state(shared);
        Self { server: Server::start(app).await, statuses }
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Sets the statuses with which the next requests are answered, and forgets those that were given.
    pub fn answer_with(&self, statuses: &[u16]) {
        let next = statuses.iter().copied().collect();
        *self.statuses.lock().expect("no handler panics") = Statuses { next, given: Vec::new() };
    }

    /// Returns the statuses given since [`answer_with`](Self::answer_with) was called last.
    pub fn given(&self) -> Vec<u16> {
        self.statuses.lock().expect("no handler panics").given.clone()
    }
}

async fn given(State(shared): State<Shared>) -> Json<Vec<u16>> {
    Json(shared.statuses.lock().expect("no handler panics").given.clone())
}

async fn set(State(shared): State<Shared>, Json(next): Json<VecDeque<u16>>) {
    *shared.statuses.lock().expect("no handler panics") = Statuses { next, given: Vec::new() };
}

async fn forward(State(shared): State<Shared>, request: Request) -> Response {
    let next = shared.statuses.lock().expect("no handler panics").next.pop_front();
    let response = match next {
        Some(status) => refused(StatusCode::from_u16(status).expect("a status of HTTP")),
        None => pass_on(&shared.client, &shared.target, request).await,
    };
    shared.statuses.lock().expect("no handler panics").given.push(response.status().as_u16());
    response
}

fn refused(status: StatusCode) -> Response {
    let mut response = answer(status, "application/json", r#"{"errorDetails":"from the proxy"}"#);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    }
    response
}
