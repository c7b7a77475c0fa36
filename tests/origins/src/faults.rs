//! Faults of a backend: a share of errors, added latency, cut connections. And its counts, against
//! which the edge's own counts are checked.

use crate::backend::Backend;
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

/// Faults of a backend. `PUT /_control` takes them as JSON.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Share of requests that fail, 0 to 1.
    pub error_rate: f64,
    /// Status of requests that fail; 0 stands for 500.
    pub error_status: u16,
    /// Number at the end of the paths whose requests all fail, such as 8 for `/api/v1/reviews/8`; 0 stands for none.
    pub failing_id: u64,
    /// Milliseconds by which every response is delayed.
    pub latency_ms: u64,
    /// Share of requests whose connection is cut without a response, 0 to 1.
    pub cut_rate: f64,
    /// True if responses carry a `request_id` that is different each time.
    pub request_ids: bool,
    /// Share of responses in which one field is different, 0 to 1: the rating of the first review, or in the catalogue the
    /// first name.
    pub change_rate: f64,
    /// True if lists of reviews are reversed.
    pub reverse: bool,
    /// True if reviews have an additional field.
    pub add_field: bool,
    /// Share of responses with status 200 that contain `success: false`, 0 to 1.
    pub hidden_error_rate: f64,
}

impl Faults {
    fn breaks(&self, path: &str) -> bool {
        self.failing_id > 0 && path.ends_with(&format!("/{}", self.failing_id))
    }

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
        let Some(data) = body.get_mut("data") else { return };
        if happens(self.change_rate) {
            change(data);
        }
        let Some(reviews) = data.as_array_mut() else { return };
        if self.add_field {
            reviews.iter_mut().for_each(|review| review["badge"] = json!("gold"));
        }
        if self.reverse {
            reviews.reverse();
        }
    }
}

/// Changes the rating of the first review of a list, or of other data the first name.
fn change(data: &mut Value) {
    if let Some(review) = data.get_mut(0) {
        review["rating"] = json!(review["rating"].as_u64().unwrap_or_default() + 10);
    } else if let Some(name) = first_name(data) {
        name.push('!');
    }
}

/// Returns the name of an object, or of the first object inside that has one; a string itself.
fn first_name(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::Object(fields) => {
            if fields.get("name").is_some_and(Value::is_string) {
                fields.get_mut("name").and_then(first_name)
            } else {
                fields.values_mut().filter(|value| !value.is_string()).find_map(first_name)
            }
        }
        Value::String(name) => Some(name),
        Value::Array(items) => items.iter_mut().filter(|item| !item.is_string()).find_map(first_name),
        _ => None,
    }
}

/// Faults and counts of a backend.
#[derive(Default)]
pub struct Control {
    faults: Mutex<Faults>,
    requests: AtomicU64,
    errors: AtomicU64,
}

/// Requests that a backend received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Number of requests.
    pub requests: u64,
    /// Number of these that failed on purpose.
    pub errors: u64,
}

impl Control {
    /// Sets the faults of the backend from now on.
    pub fn set(&self, faults: Faults) {
        *self.faults.lock().expect("no handler panics") = faults;
    }

    fn faults(&self) -> Faults {
        *self.faults.lock().expect("no handler panics")
    }

    /// Returns the counts since the start.
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
        // A body that fails before its first byte closes the connection without a complete
        // response.
        let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut on purpose");
        Response::new(Body::from_stream(futures_util::stream::iter([Err::<Vec<u8>, _>(broken)])))
    } else if happens(faults.error_rate) || faults.breaks(request.uri().path()) {
        control.errors.fetch_add(1, Ordering::Relaxed);
        let error = json!({ "code": "internal", "message": "failed on purpose" });
        let body = json!({ "success": false, "error": error, "timestamp": crate::data::now() });
        let status = StatusCode::from_u16(faults.error_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(body)).into_response()
    } else {
        rewritten(next.run(request).await, faults).await
    };
    response.headers_mut().insert("x-backend", HeaderValue::from_static(backend.as_str()));
    response
}
