//! The catalogue as GraphQL, at `POST /graphql`, with the habits of a layer over REST: every field may be null, an entry
//! or a page that does not exist is an object of nulls, and an error carries the response of the data source.

use super::data::{self, BadId, FilterPerson, FilterPlace, FilterWork, Page, Person, Place, Status, Work};
use async_graphql::{
    EmptyMutation, EmptySubscription, Error, ErrorExtensions, ID, Object, OutputType, Schema, SimpleObject,
    value,
};
use axum::{Json, Router, extract::State, routing::post};

type CatalogueSchema = Schema<Query, EmptyMutation, EmptySubscription>;

fn schema() -> CatalogueSchema {
    Schema::build(Query, EmptyMutation, EmptySubscription).finish()
}

pub(crate) fn router() -> Router {
    Router::new().route("/graphql", post(answer)).with_state(schema())
}

async fn answer(
    State(schema): State<CatalogueSchema>,
    Json(request): Json<async_graphql::Request>,
) -> Json<async_graphql::Response> {
    Json(schema.execute(request).await)
}

/// Returns the schema of the catalogue as the backend publishes it.
pub fn sdl() -> String {
    schema().sdl()
}

impl From<BadId> for Error {
    fn from(BadId: BadId) -> Self {
        Error::new("500: Internal Server Error").extend_with(|_, extensions| {
            extensions.set("code", "INTERNAL_SERVER_ERROR");
            let response = value!({
                "status": 500,
                "statusText": "Internal Server Error",
                "body": { "error": BadId::MESSAGE },
            });
            extensions.set("response", response);
        })
    }
}

/// A list that may be null, of items that may be null.
type Nodes<N> = Option<Vec<Option<N>>>;

fn nodes<E: 'static, N>(
    entries: impl IntoIterator<Item = &'static E>,
    node: impl Fn(&'static E) -> N,
) -> Nodes<N> {
    Some(entries.into_iter().map(|entry| Some(node(entry))).collect())
}

struct PersonNode(Option<&'static Person>);

impl PersonNode {
    fn new(person: &'static Person) -> Self {
        Self(Some(person))
    }
}

#[Object(name = "Person")]
impl PersonNode {
    async fn id(&self) -> Option<ID> {
        self.0.map(|person| ID::from(person.id))
    }

    async fn name(&self) -> Option<&'static str> {
        self.0.map(|person| person.name.as_str())
    }

    async fn status(&self) -> Option<Status> {
        self.0.map(|person| person.status)
    }

    async fn role(&self) -> Option<&'static str> {
        self.0.map(|person| person.role)
    }

    async fn genre(&self) -> Option<&'static str> {
        self.0.and_then(|person| person.genre)
    }

    async fn birthplace(&self) -> Option<PlaceNode> {
        self.0.map(|person| PlaceNode { place: person.birthplace, otherwise: Some("unknown") })
    }

    async fn residence(&self) -> Option<PlaceNode> {
        self.0.map(|person| PlaceNode { place: person.residence, otherwise: Some("unknown") })
    }

    async fn works(&self) -> Nodes<WorkNode> {
        self.0.and_then(|person| nodes(person.works(), WorkNode))
    }

    async fn created(&self) -> Option<&'static str> {
        self.0.map(|person| person.created.as_str())
    }
}

struct PlaceNode {
    place: Option<&'static Place>,
    /// The name if there is no such place.
    otherwise: Option<&'static str>,
}

impl PlaceNode {
    fn new(place: &'static Place) -> Self {
        Self { place: Some(place), otherwise: None }
    }
}

#[Object(name = "Place")]
impl PlaceNode {
    async fn id(&self) -> Option<ID> {
        self.place.map(|place| ID::from(place.id))
    }

    async fn name(&self) -> Option<&'static str> {
        self.place.map(|place| place.name.as_str()).or(self.otherwise)
    }

    #[graphql(name = "type")]
    async fn kind(&self) -> Option<&'static str> {
        self.place.and_then(|place| place.kind)
    }

    async fn region(&self) -> Option<&'static str> {
        self.place.map(|place| place.region)
    }

    async fn residents(&self) -> Nodes<PersonNode> {
        self.place.and_then(|place| nodes(place.residents(), PersonNode::new))
    }

    async fn created(&self) -> Option<&'static str> {
        self.place.map(|place| place.created.as_str())
    }
}

struct WorkNode(&'static Work);

#[Object(name = "Work")]
impl WorkNode {
    async fn id(&self) -> Option<ID> {
        Some(ID::from(self.0.id))
    }

    async fn name(&self) -> Option<&'static str> {
        Some(self.0.name.as_str())
    }

    async fn code(&self) -> Option<&'static str> {
        Some(self.0.code.as_str())
    }

    async fn released(&self) -> Option<&'static str> {
        self.0.released.as_deref()
    }

    async fn pages(&self) -> Option<i32> {
        Some(self.0.pages)
    }

    async fn score(&self) -> Option<f64> {
        Some(self.0.score)
    }

    async fn people(&self) -> Nodes<PersonNode> {
        nodes(self.0.people.iter().copied(), PersonNode::new)
    }

    async fn created(&self) -> Option<&'static str> {
        Some(self.0.created.as_str())
    }
}

#[derive(Default, SimpleObject)]
struct Info {
    count: Option<i32>,
    pages: Option<i32>,
    next: Option<i32>,
    prev: Option<i32>,
}

#[derive(SimpleObject)]
#[graphql(concrete(name = "Persons", params(PersonNode)))]
#[graphql(concrete(name = "Places", params(PlaceNode)))]
#[graphql(concrete(name = "Works", params(WorkNode)))]
struct Listing<N: OutputType> {
    info: Option<Info>,
    results: Nodes<N>,
}

fn listing<E: 'static, N: OutputType>(
    page: Option<Page<E>>,
    node: impl Fn(&'static E) -> N,
) -> Option<Listing<N>> {
    let Some(Page { count, pages, next, prev, entries }) = page else {
        return Some(Listing { info: Some(Info::default()), results: Some(Vec::new()) });
    };
    let info = Info { count: Some(count), pages: Some(pages), next, prev };
    Some(Listing { info: Some(info), results: nodes(entries, node) })
}

fn strings(ids: &[ID]) -> Vec<&str> {
    ids.iter().map(|id| id.as_str()).collect()
}

struct Query;

#[Object]
impl Query {
    async fn person(&self, id: ID) -> Result<Option<PersonNode>, Error> {
        Ok(Some(PersonNode(data::one(&id)?)))
    }

    async fn persons(&self, page: Option<i32>, filter: Option<FilterPerson>) -> Option<Listing<PersonNode>> {
        listing(data::page(page.unwrap_or(1), &filter.unwrap_or_default()), PersonNode::new)
    }

    async fn persons_by_ids(&self, ids: Vec<ID>) -> Result<Nodes<PersonNode>, Error> {
        Ok(nodes(data::several(&strings(&ids))?, PersonNode::new))
    }

    async fn place(&self, id: ID) -> Result<Option<PlaceNode>, Error> {
        Ok(Some(PlaceNode { place: data::one(&id)?, otherwise: None }))
    }

    async fn places(&self, page: Option<i32>, filter: Option<FilterPlace>) -> Option<Listing<PlaceNode>> {
        listing(data::page(page.unwrap_or(1), &filter.unwrap_or_default()), PlaceNode::new)
    }

    async fn places_by_ids(&self, ids: Vec<ID>) -> Result<Nodes<PlaceNode>, Error> {
        Ok(nodes(data::several(&strings(&ids))?, PlaceNode::new))
    }

    async fn works(&self, page: Option<i32>, filter: Option<FilterWork>) -> Option<Listing<WorkNode>> {
        listing(data::page(page.unwrap_or(1), &filter.unwrap_or_default()), WorkNode)
    }

    async fn works_by_ids(&self, ids: Vec<ID>) -> Result<Nodes<WorkNode>, Error> {
        Ok(nodes(data::several(&strings(&ids))?, WorkNode))
    }
}
