//! The established REST interface, with every response in the envelope `{success, data,
//! timestamp}`.

use crate::data::{Data, Draft, Refusal, Review, now};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn router(data: Arc<Data>) -> Router {
    Router::new()
        .route("/api/v1/reviews", get(list).post(create))
        .route("/api/v1/reviews/", get(list))
        .route("/api/v1/reviews/{id}", get(one).put(update).delete(remove))
        .route("/api/v1/offers/{id}/reviews", get(of_offer))
        .route("/api/v1/users/{id}/reviews", get(of_user))
        .layer(from_fn(authorised))
        .with_state(data)
}

async fn authorised(request: Request, next: Next) -> Response {
    if is_expired(request.headers()) {
        return failure(StatusCode::UNAUTHORIZED, "unauthorized", "the token is not valid");
    }
    next.run(request).await
}

/// Returns true for an expired token. Reading needs no token, but an expired one is refused.
pub(crate) fn is_expired(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer expired")
}

fn success(status: StatusCode, data: impl serde::Serialize) -> Response {
    (status, Json(json!({ "success": true, "data": data, "timestamp": now() }))).into_response()
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let error = json!({ "code": code, "message": message });
    (status, Json(json!({ "success": false, "error": error, "timestamp": now() }))).into_response()
}

fn invalid(field: &str) -> Response {
    failure(StatusCode::BAD_REQUEST, "invalid", &format!("{field} is missing or not valid"))
}

fn refused(refusal: &Refusal) -> Response {
    let (status, code) = match refusal {
        Refusal::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
        Refusal::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
    };
    failure(status, code, refusal.message())
}

pub(crate) async fn unknown() -> Response {
    failure(StatusCode::NOT_FOUND, "not_found", "no such path")
}

#[derive(Deserialize)]
struct Page {
    page: Option<String>,
    limit: Option<String>,
}

impl Page {
    fn numbers(&self) -> Result<(usize, usize), &'static str> {
        let number = |text: &Option<String>, otherwise| match text {
            None => Some(otherwise),
            Some(text) => text.parse::<i32>().ok().and_then(|number| usize::try_from(number).ok()),
        };
        let page = number(&self.page, 1).filter(|page| *page > 0).ok_or("page")?;
        let limit = number(&self.limit, 20).ok_or("limit")?;
        Ok((page, limit.clamp(1, 100)))
    }
}

/// Returns a page of reviews with links to the previous and the next page. If `exact` is true,
/// there is a link to the next page only if that page is not empty; otherwise a full page always
/// has one.
fn page(data: &Data, page: &Page, uri: &Uri, exact: bool, fits: impl Fn(&Review) -> bool) -> Response {
    let (number, limit) = match page.numbers() {
        Ok(numbers) => numbers,
        Err(field) => return invalid(field),
    };
    let offset = (number - 1).saturating_mul(limit);
    let mut reviews = data.list(fits, offset, limit + 1);
    let more = reviews.len() > limit || (!exact && reviews.len() == limit);
    reviews.truncate(limit);
    let to = |number: usize, relation: &str| {
        format!("<{}?page={number}&limit={limit}>; rel=\"{relation}\"", uri.path())
    };
    let mut links = Vec::new();
    links.extend(more.then(|| to(number + 1, "next")));
    links.extend((number > 1).then(|| to(number - 1, "prev")));
    let mut response = success(StatusCode::OK, reviews);
    if !links.is_empty() {
        let value = links.join(", ").parse().expect("a header value");
        response.headers_mut().insert(header::LINK, value);
    }
    response
}

async fn list(State(data): State<Arc<Data>>, Query(query): Query<Page>, uri: Uri) -> Response {
    page(&data, &query, &uri, false, |_| true)
}

async fn of_offer(
    State(data): State<Arc<Data>>,
    Path(id): Path<String>,
    Query(query): Query<Page>,
    uri: Uri,
) -> Response {
    let Ok(id) = id.parse::<u64>() else { return invalid("id") };
    match Data::offer(id) {
        Ok(()) => page(&data, &query, &uri, false, |review| review.offer_id == id),
        Err(refusal) => refused(&refusal),
    }
}

async fn of_user(
    State(data): State<Arc<Data>>,
    Path(id): Path<String>,
    Query(query): Query<Page>,
    uri: Uri,
) -> Response {
    if Data::is_user(&id) {
        page(&data, &query, &uri, true, |review| review.author_id == id)
    } else if query.numbers().is_err() {
        page(&data, &query, &uri, true, |_| false)
    } else {
        failure(StatusCode::NOT_FOUND, "not_found", "no such user")
    }
}

async fn one(State(data): State<Arc<Data>>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<u64>() else { return invalid("id") };
    match data.get(id) {
        Some(review) => success(StatusCode::OK, review),
        None => failure(StatusCode::NOT_FOUND, "not_found", "no such review"),
    }
}

/// Returns a rating of 1 to 5, or `None` if there is none.
fn rating(body: &Value) -> Result<Option<u8>, Box<Response>> {
    match body.get("rating") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(rating @ 1..=5) => Ok(u8::try_from(rating).ok()),
            _ => Err(Box::new(failure(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "rating must be 1 to 5"))),
        },
    }
}

fn draft(body: &Value) -> Result<Draft, Box<Response>> {
    let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
    let offer_id =
        body.get("offer_id").and_then(Value::as_u64).ok_or_else(|| Box::new(invalid("offer_id")))?;
    let author_id =
        text("author_id").filter(|id| !id.is_empty()).ok_or_else(|| Box::new(invalid("author_id")))?;
    let missing = || Box::new(failure(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "rating must be 1 to 5"));
    let rating = rating(body)?.ok_or_else(missing)?;
    Ok(Draft { offer_id, author_id, rating, text: text("text").ok_or_else(|| Box::new(invalid("text")))? })
}

async fn create(State(data): State<Arc<Data>>, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return invalid("body") };
    let draft = match draft(&body) {
        Ok(draft) => draft,
        Err(response) => return *response,
    };
    match data.create(draft) {
        Ok(review) => {
            let location = format!("/api/v1/reviews/{}", review.id);
            ([(header::LOCATION, location)], success(StatusCode::CREATED, review)).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

async fn update(State(data): State<Arc<Data>>, Path(id): Path<String>, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return invalid("body") };
    let Ok(id) = id.parse::<u64>() else { return invalid("id") };
    let rating = match rating(&body) {
        Ok(rating) => rating,
        Err(response) => return *response,
    };
    let text = match body.get("text") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return invalid("text"),
    };
    match data.update(id, rating, text) {
        Ok(review) => success(StatusCode::OK, review),
        Err(refusal) => refused(&refusal),
    }
}

async fn remove(State(data): State<Arc<Data>>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<u64>() else { return invalid("id") };
    match data.delete(id) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refused(&refusal),
    }
}
