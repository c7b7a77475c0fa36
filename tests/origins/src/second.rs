//! The second version of the REST interface, at `/api/reviews/{id}`, with other names, another
//! nesting, and times as numbers.

use crate::data::{Data, Review};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use std::sync::Arc;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub(crate) fn router(data: Arc<Data>) -> Router {
    Router::new().route("/api/reviews/{id}", get(one).put(update)).with_state(data)
}

fn found(review: &Review) -> Response {
    let created = OffsetDateTime::parse(&review.created_at, &Rfc3339).expect("a time");
    Json(json!({
        "review": {
            "reviewId": review.id.to_string(),
            "stars": review.rating,
            "text": { "plain": review.text },
            "createdAt": created.unix_timestamp() * 1_000,
        }
    }))
    .into_response()
}

fn failed(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({ "problem": { "name": reason, "text": "look at the id" } }))).into_response()
}

async fn one(State(data): State<Arc<Data>>, Path(id): Path<u64>) -> Response {
    data.get(id).map_or_else(|| failed(StatusCode::NOT_FOUND, "unknown_review"), |review| found(&review))
}

async fn update(State(data): State<Arc<Data>>, Path(id): Path<u64>, Json(body): Json<Value>) -> Response {
    let stars =
        body.pointer("/review/stars").and_then(Value::as_u64).and_then(|stars| u8::try_from(stars).ok());
    let text = body.pointer("/review/text/plain").and_then(Value::as_str).map(str::to_owned);
    match data.update(id, stars, text) {
        Ok(review) => found(&review),
        Err(_) => failed(StatusCode::CONFLICT, "locked"),
    }
}
