//! Switches: a share of errors, added latency, cut connections. And counts, against which the edge's own counts
//! are held.

use crate::Backend;
use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How a backend misbehaves. `PUT /_control` takes this as JSON.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// The share of requests that are answered 500, 0 to 1.
    pub error_rate: f64,
    /// Milliseconds that every answer is held back.
    pub latency_ms: u64,
    /// The share of requests whose connection is cut instead of answered, 0 to 1.
    pub cut_rate: f64,
    /// Answers carry a `request_id` that is another one each time.
    pub request_ids: bool,
    /// The share of answers in which the rating of the first review is another one, 0 to 1.
    pub change_rate: f64,
    /// Lists of reviews are turned around.
    pub reverse: bool,
    /// Reviews have a field more.
    pub add_field: bool,
    /// The share of answers that say `success: false`, with status 200, 0 to 1.
    pub hidden_error_rate: f64,
}

impl Faults {
    fn rewrites(&self) -> bool {
        let rates = self.change_rate > 0.0 || self.hidden_error_rate > 0.0;
        self.request_ids || self.reverse || self.add_field || rates
    }

    fn rewrite(&self, body: &mut Value) {
        if let Some(fields) = body.as_object_mut() {
            if self.request_ids {
                let id = format!("{:08x}", getrandom::u32().expect("randomness"));
                fields.insert("request_id".to_owned(), json!(id));
            }
            if happens(self.hidden_error_rate) {
                fields.insert("success".to_owned(), json!(false));
            }
        }
        let Some(reviews) = body.get_mut("data").and_then(Value::as_array_mut) else { return };
        if happens(self.change_rate)
            && let Some(review) = reviews.first_mut()
        {
            review["rating"] = json!(review["rating"].as_u64().unwrap_or_default() + 10);
        }
        if self.add_field {
            reviews.iter_mut().for_each(|review| review["badge"] = json!("gold"));
        }
        if self.reverse {
            reviews.reverse();
        }
    }
}

/// The switches and counts of a backend.
#[derive(Default)]
pub struct Control {
    faults: Mutex<Faults>,
    requests: AtomicU64,
    errors: AtomicU64,
}

/// What a backend served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that arrived.
    pub requests: u64,
    /// Of these, failed on purpose.
    pub errors: u64,
}

impl Control {
    /// Sets how the backend misbehaves from now on.
    pub fn set(&self, faults: Faults) {
        *self.faults.lock().expect("no handler panics") = faults;
    }

    fn faults(&self) -> Faults {
        *self.faults.lock().expect("no handler panics")
    }

    /// What the backend served.
    pub fn counts(&self) -> Counts {
        Counts {
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn router(control: Arc<Control>) -> Router {
    Router::new().route("/_control", get(show).put(set)).with_state(control)
}

async fn show(State(control): State<Arc<Control>>) -> Response {
    Json(json!({ "faults": control.faults(), "counts": control.counts() })).into_response()
}

async fn set(State(control): State<Arc<Control>>, Json(faults): Json<Faults>) -> Response {
    control.set(faults);
    show(State(control)).await
}

fn happens(share: f64) -> bool {
    share > 0.0 && f64::from(getrandom::u32().expect("randomness")) / f64::from(u32::MAX) < share
}

async fn rewritten(response: Response, faults: Faults) -> Response {
    if !faults.rewrites() || !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 24).await.expect("the body is in memory");
    let Ok(mut body) = serde_json::from_slice(&bytes) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    faults.rewrite(&mut body);
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body.to_string()))
}

pub(crate) async fn apply(
    State((backend, control)): State<(Backend, Arc<Control>)>,
    request: Request,
    next: Next,
) -> Response {
    let faults = control.faults();
    control.requests.fetch_add(1, Ordering::Relaxed);
    if faults.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    }
    let mut response = if happens(faults.cut_rate) {
        control.errors.fetch_add(1, Ordering::Relaxed);
        // A body that fails before its first byte ends the connection without a whole answer.
        let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut on purpose");
        Response::new(Body::from_stream(futures_util::stream::iter([Err::<Vec<u8>, _>(broken)])))
    } else if happens(faults.error_rate) {
        control.errors.fetch_add(1, Ordering::Relaxed);
        let error = json!({ "code": "internal", "message": "failed on purpose" });
        let body = json!({ "success": false, "error": error, "timestamp": crate::data::now() });
        (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
    } else {
        rewritten(next.run(request).await, faults).await
    };
    response.headers_mut().insert("x-backend", HeaderValue::from_static(backend.as_str()));
    response
}
