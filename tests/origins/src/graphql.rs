//! The same data as GraphQL, at `POST /graphql`.

use crate::{
    data::{Data, Draft, Refusal, Review},
    rest::is_expired,
};
use async_graphql::{
    Context, EmptySubscription, Error, ErrorExtensions, InputObject, Object, Schema, SimpleObject,
};
use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use std::sync::Arc;

type ReviewSchema = Schema<Query, Mutation, EmptySubscription>;

pub(crate) fn router(data: Arc<Data>) -> Router {
    let schema = Schema::build(Query, Mutation, EmptySubscription).data(data).finish();
    Router::new().route("/graphql", post(answer)).with_state(schema)
}

async fn answer(
    State(schema): State<ReviewSchema>,
    headers: HeaderMap,
    Json(request): Json<async_graphql::Request>,
) -> Json<async_graphql::Response> {
    if is_expired(&headers) {
        let error = failed("UNAUTHENTICATED", "the token is not valid");
        return Json(async_graphql::Response::from_errors(vec![error.into_server_error(Default::default())]));
    }
    Json(schema.execute(request).await)
}

/// Returns the schema as the backend publishes it.
pub fn sdl() -> String {
    Schema::build(Query, Mutation, EmptySubscription).finish().sdl()
}

#[derive(SimpleObject)]
#[graphql(name = "Review")]
struct ReviewNode {
    id: async_graphql::ID,
    offer_id: async_graphql::ID,
    author_id: async_graphql::ID,
    rating: i32,
    text: String,
    created_at: String,
    updated_at: String,
    is_moderated: bool,
}

impl From<Review> for ReviewNode {
    fn from(review: Review) -> Self {
        Self {
            id: review.id.into(),
            offer_id: review.offer_id.into(),
            author_id: review.author_id.into(),
            rating: review.rating.into(),
            text: review.text,
            created_at: review.created_at,
            updated_at: review.updated_at,
            is_moderated: review.is_moderated,
        }
    }
}

fn failed(code: &'static str, message: &str) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NotFound(_) => "NOT_FOUND",
            Refusal::Conflict(_) => "CONFLICT",
        };
        failed(code, refusal.message())
    }
}

fn number(id: &async_graphql::ID) -> Result<u64, Error> {
    id.parse().map_err(|_| failed("BAD_USER_INPUT", "ids are numbers"))
}

fn stars(rating: i32) -> Result<u8, Error> {
    u8::try_from(rating)
        .ok()
        .filter(|rating| (1..=5).contains(rating))
        .ok_or_else(|| failed("BAD_USER_INPUT", "rating must be 1 to 5"))
}

struct Query;

#[Object]
impl Query {
    async fn review(
        &self,
        context: &Context<'_>,
        id: async_graphql::ID,
    ) -> Result<Option<ReviewNode>, Error> {
        let data = context.data::<Arc<Data>>()?;
        Ok(data.get(number(&id)?).map(ReviewNode::from))
    }

    async fn reviews(
        &self,
        context: &Context<'_>,
        offer_id: Option<async_graphql::ID>,
        author_id: Option<async_graphql::ID>,
        #[graphql(default = 0)] offset: usize,
        #[graphql(default = 20)] limit: usize,
    ) -> Result<Vec<ReviewNode>, Error> {
        let data = context.data::<Arc<Data>>()?;
        let offer = offer_id.as_ref().map(number).transpose()?;
        offer.map_or(Ok(()), Data::offer)?;
        let fits = |review: &Review| {
            offer.is_none_or(|offer| review.offer_id == offer)
                && author_id.as_ref().is_none_or(|author| review.author_id == **author)
        };
        Ok(data.list(fits, offset, limit.min(100)).into_iter().map(ReviewNode::from).collect())
    }

    async fn author(&self, id: async_graphql::ID) -> Option<Author> {
        Data::is_user(&id).then_some(Author { id })
    }
}

struct Author {
    id: async_graphql::ID,
}

#[Object]
impl Author {
    async fn id(&self) -> &async_graphql::ID {
        &self.id
    }

    /// Reviews by cursors, as Relay has them.
    async fn reviews(
        &self,
        context: &Context<'_>,
        first: usize,
        after: Option<String>,
    ) -> Result<ReviewConnection, Error> {
        let data = context.data::<Arc<Data>>()?;
        let last: u64 = match after {
            None => 0,
            Some(cursor) => cursor
                .strip_prefix("review:")
                .and_then(|id| id.parse().ok())
                .ok_or_else(|| failed("BAD_USER_INPUT", "this is not a cursor"))?,
        };
        let fits = |review: &Review| review.id > last && review.author_id == *self.id;
        let mut found = data.list(fits, 0, first.min(100) + 1);
        let has_next_page = found.len() > first.min(100);
        found.truncate(first.min(100));
        let end_cursor = found.last().map(|review| format!("review:{}", review.id));
        let nodes = found.into_iter().map(ReviewNode::from).collect();
        Ok(ReviewConnection { nodes, page_info: PageInfo { has_next_page, end_cursor } })
    }
}

#[derive(SimpleObject)]
struct ReviewConnection {
    nodes: Vec<ReviewNode>,
    page_info: PageInfo,
}

#[derive(SimpleObject)]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(InputObject)]
struct ReviewChanges {
    rating: Option<i32>,
    text: Option<String>,
}

struct Mutation;

#[Object]
impl Mutation {
    async fn create_review(
        &self,
        context: &Context<'_>,
        offer_id: async_graphql::ID,
        author_id: async_graphql::ID,
        rating: i32,
        text: String,
    ) -> Result<ReviewNode, Error> {
        let data = context.data::<Arc<Data>>()?;
        let draft = Draft {
            offer_id: number(&offer_id)?,
            author_id: author_id.to_string(),
            rating: stars(rating)?,
            text,
        };
        Ok(data.create(draft)?.into())
    }

    async fn update_review(
        &self,
        context: &Context<'_>,
        id: async_graphql::ID,
        changes: ReviewChanges,
    ) -> Result<ReviewNode, Error> {
        let data = context.data::<Arc<Data>>()?;
        let rating = changes.rating.map(stars).transpose()?;
        Ok(data.update(number(&id)?, rating, changes.text)?.into())
    }

    async fn delete_review(&self, context: &Context<'_>, id: async_graphql::ID) -> Result<bool, Error> {
        let data = context.data::<Arc<Data>>()?;
        data.delete(number(&id)?)?;
        Ok(true)
    }
}
