//! An HTTP proxy that rewrites response bodies, for faults that a real part cannot be made to have.

use crate::server::Server;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode},
    response::Response,
};
use std::sync::Arc;

type Rewrite = Arc<dyn Fn(String) -> String + Send + Sync>;

#[derive(Clone)]
struct Shared {
    target: String,
    client: reqwest::Client,
    rewrite: Rewrite,
}

/// A running proxy.
pub struct RewriteProxy {
    server: Server,
}

impl RewriteProxy {
    /// Starts a proxy in front of a base URL.
    pub async fn start(target: &str, rewrite: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        let shared =
            Shared { target: target.to_owned(), client: reqwest::Client::new(), rewrite: Arc::new(rewrite) };
        let app = Router::new().fallback(pass_on).with_state(shared);
        Self { server: Server::start(app).await }
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        self.server.url()
    }
}

async fn pass_on(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("the request's body is read");
    // The local Lambda runtime responds with 500 to a header or a text body that is not UTF-8, so
    // functions never see such a request.
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    if !is_text(&body) || !parts.headers.values().all(|value| is_text(value.as_bytes())) {
        let problem = r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"not_text","detail":"a header or the body is not UTF-8","hint":"send UTF-8"}"#;
        let mut response = Response::new(Body::from(problem));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/problem+json"));
        return response;
    }
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut headers = parts.headers;
    headers.remove("host");
    // The client here does not decompress, and a compressed body is no text to rewrite.
    headers.remove("accept-encoding");
    let sent = shared.client.request(parts.method, format!("{}{target}", shared.target));
    let received = sent.headers(headers).body(body).send().await.expect("the target responds");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(received.status().as_u16()).expect("a status");
    for (name, value) in received.headers() {
        if !matches!(name.as_str(), "transfer-encoding" | "content-length") {
            response.headers_mut().append(name, value.clone());
        }
    }
    *response.body_mut() = Body::from((shared.rewrite)(received.text().await.expect("a text body")));
    response
}
