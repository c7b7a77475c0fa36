//! Middleware for every request of a function: a request id, a trace and a log line; and, in responses that people read, the
//! request id and headers that keep browsers from sniffing or caching them.

use crate::{
    observe::{
        telemetry,
        telemetry::{REQUEST_ID, TRACEPARENT, Trace},
    },
    store::error::StoreError,
};
use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use std::time::Instant;

/// Returns the trace and the id of a request.
fn named(request: &Request) -> (Trace, String) {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let context = request.extensions().get::<lambda_http::Context>();
    let id = telemetry::request_id(text(REQUEST_ID), context.map(|context| context.request_id.as_str()));
    (text(TRACEPARENT).and_then(Trace::read).unwrap_or_default(), id)
}

/// Runs a request inside a span and logs its result in one line. If the response is a problem that
/// the store caused, the cause is logged too; clients do not see it.
async fn logged(request: Request, next: Next) -> (Response, String) {
    let started = Instant::now();
    let (trace, id) = named(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", request_id = id, trace_id = trace.id(), %method, path);
    let response = telemetry::within(trace, span, async {
        let response = next.run(request).await;
        if let Some(error) = response.extensions().get::<StoreError>() {
            tracing::error!(%error, "the store failed");
        }
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(event = "answered", status, ms, "answered");
        response
    })
    .await;
    (response, id)
}

/// Observes a request of an isolate. Thousands of them are answered in a second and egress is billed by the byte, so the
/// response has no header that only people would read.
pub async fn observe_isolate(request: Request, next: Next) -> Response {
    logged(request, next).await.0
}

/// Observes a request of a person or a tool.
pub async fn observe(request: Request, next: Next) -> Response {
    let (mut response, id) = logged(request, next).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
