//! An HTTP proxy that changes what answers say: for faults of a real part that cannot be told to have them.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use std::sync::Arc;
use tokio::task::JoinHandle;

type Rewrite = Arc<dyn Fn(String) -> String + Send + Sync>;

#[derive(Clone)]
struct Shared {
    target: String,
    client: reqwest::Client,
    rewrite: Rewrite,
}

/// A running proxy.
pub struct Rewriting {
    url: String,
    server: JoinHandle<()>,
}

impl Rewriting {
    /// Starts in front of this base URL.
    pub async fn start(target: &str, rewrite: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        let shared =
            Shared { target: target.to_owned(), client: reqwest::Client::new(), rewrite: Arc::new(rewrite) };
        let app = Router::new().fallback(pass_on).with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the proxy serves");
        });
        Self { url, server }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        self.url.clone()
    }
}

impl Drop for Rewriting {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass_on(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("the request's body is read");
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut headers = parts.headers;
    headers.remove("host");
    let sent = shared.client.request(parts.method, format!("{}{target}", shared.target));
    let answer = sent.headers(headers).body(body).send().await.expect("the target answers");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(answer.status().as_u16()).expect("a status");
    *response.body_mut() = Body::from((shared.rewrite)(answer.text().await.expect("a text")));
    response
}
