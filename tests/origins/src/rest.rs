//! The established REST interface: `{success, data, timestamp}` around everything.

use crate::data::{Data, Draft, Review, now};
use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn router(data: Arc<Data>) -> Router {
    Router::new()
        .route("/reviews", get(list).post(create))
        .route("/reviews/{id}", get(one).put(update).delete(remove))
        .route("/offers/{id}/reviews", get(of_offer))
        .route("/users/{id}/reviews", get(of_user))
        .with_state(data)
}

fn success(status: StatusCode, data: impl serde::Serialize) -> Response {
    (status, Json(json!({ "success": true, "data": data, "timestamp": now() }))).into_response()
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let error = json!({ "code": code, "message": message });
    (status, Json(json!({ "success": false, "error": error, "timestamp": now() }))).into_response()
}

pub(crate) async fn unknown() -> Response {
    failure(StatusCode::NOT_FOUND, "not_found", "no such path")
}

#[derive(Deserialize)]
struct Page {
    page: Option<usize>,
    limit: Option<usize>,
}

fn page(data: &Data, page: &Page, fits: impl Fn(&Review) -> bool) -> Response {
    let limit = page.limit.unwrap_or(20).clamp(1, 100);
    let offset = page.page.unwrap_or(1).max(1).saturating_sub(1).saturating_mul(limit);
    success(StatusCode::OK, data.list(fits, offset, limit))
}

async fn list(State(data): State<Arc<Data>>, Query(query): Query<Page>) -> Response {
    page(&data, &query, |_| true)
}

async fn of_offer(State(data): State<Arc<Data>>, Path(id): Path<u64>, Query(query): Query<Page>) -> Response {
    page(&data, &query, |review| review.offer_id == id)
}

async fn of_user(
    State(data): State<Arc<Data>>,
    Path(id): Path<String>,
    Query(query): Query<Page>,
) -> Response {
    page(&data, &query, |review| review.author_id == id)
}

async fn one(State(data): State<Arc<Data>>, Path(id): Path<u64>) -> Response {
    match data.get(id) {
        Some(review) => success(StatusCode::OK, review),
        None => failure(StatusCode::NOT_FOUND, "not_found", "no such review"),
    }
}

#[derive(Deserialize)]
struct NewReview {
    offer_id: u64,
    author_id: String,
    rating: u8,
    text: String,
}

async fn create(State(data): State<Arc<Data>>, body: Result<Json<NewReview>, JsonRejection>) -> Response {
    match body {
        Ok(Json(NewReview { offer_id, author_id, rating: rating @ 1..=5, text })) => {
            let review = data.create(Draft { offer_id, author_id, rating, text });
            let location = format!("/api/v1/reviews/{}", review.id);
            ([(header::LOCATION, location)], success(StatusCode::CREATED, review)).into_response()
        }
        Ok(_) => failure(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "rating must be 1 to 5"),
        Err(rejection) => failure(StatusCode::BAD_REQUEST, "invalid", &rejection.body_text()),
    }
}

async fn update(State(data): State<Arc<Data>>, Path(id): Path<u64>, Json(body): Json<Value>) -> Response {
    let rating = body.get("rating").and_then(Value::as_u64).and_then(|rating| u8::try_from(rating).ok());
    if rating.is_some_and(|rating| !(1..=5).contains(&rating)) {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "rating must be 1 to 5");
    }
    let text = body.get("text").and_then(Value::as_str).map(str::to_owned);
    match data.update(id, rating, text) {
        Some(review) => success(StatusCode::OK, review),
        None => failure(StatusCode::NOT_FOUND, "not_found", "no such review"),
    }
}

async fn remove(State(data): State<Arc<Data>>, Path(id): Path<u64>) -> Response {
    if data.delete(id) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        failure(StatusCode::NOT_FOUND, "not_found", "no such review")
    }
}
