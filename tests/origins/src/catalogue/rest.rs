//! The REST interface of the catalogue: `/api/person`, `/api/place` and `/api/work`, each with a list in pages, one entry
//! by its id, and several by a list of ids. Entries refer to each other by URLs.

use super::data::{self, BadId, Entry, FilterPerson, FilterPlace, FilterWork, Person, Place, Status, Work};
use axum::{
    Router,
    extract::{Path, Query, Request},
    http::{
        StatusCode, Uri,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Host of all links, whichever port the backend listens on.
const HOST: &str = "https://catalogue.example";

/// Message for a page that does not exist, and for a path that does not.
const NOTHING: &str = "There is no such page";

pub(crate) fn router() -> Router {
    Router::new()
        .route("/api/person", get(list::<Person>))
        .route("/api/person/{id}", get(one::<Person>))
        .route("/api/place", get(list::<Place>))
        .route("/api/place/{id}", get(one::<Place>))
        .route("/api/work", get(list::<Work>))
        .route("/api/work/{id}", get(one::<Work>))
        .layer(from_fn(revalidated))
        .fallback(unknown)
}

/// A kind of entry, as the interface presents it.
trait Resource: Entry {
    /// The segment of its paths.
    const SEGMENT: &'static str;
    /// The name in messages.
    const TITLE: &'static str;
    /// The parameters that filter its list. The links to other pages keep them.
    const FILTERS: &'static [&'static str];

    /// Builds the filter of a request. `None` lets nothing through.
    fn filter(parameters: &Parameters<'_>) -> Option<Self::Filter>;

    /// Returns the entry as it is sent.
    fn body(&self) -> impl Serialize;

    /// Returns the URL.
    fn url(&self) -> String {
        format!("{HOST}/api/{}/{}", Self::SEGMENT, self.id())
    }
}

impl Resource for Person {
    const SEGMENT: &'static str = "person";
    const TITLE: &'static str = "Person";
    const FILTERS: &'static [&'static str] = &["name", "status", "genre", "role[]"];

    fn filter(parameters: &Parameters<'_>) -> Option<FilterPerson> {
        let status = match parameters.first("status").filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => Some(Status::named(&name)?),
        };
        let roles = Some(parameters.all("role[]")).filter(|roles| !roles.is_empty());
        Some(FilterPerson { name: parameters.first("name"), status, genre: parameters.first("genre"), roles })
    }

    fn body(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Body<'p> {
            id: u32,
            name: &'p str,
            status: &'static str,
            role: &'static str,
            genre: &'static str,
            birthplace: LinkedPlace<'p>,
            residence: LinkedPlace<'p>,
            portrait: String,
            works: Vec<String>,
            url: String,
            created: &'p str,
        }
        Body {
            id: self.id,
            name: &self.name,
            status: self.status.as_str(),
            role: self.role,
            genre: self.genre.unwrap_or_default(),
            birthplace: LinkedPlace::new(self.birthplace),
            residence: LinkedPlace::new(self.residence),
            portrait: format!("{HOST}/portraits/{}.jpeg", self.id),
            works: self.works().map(Resource::url).collect(),
            url: self.url(),
            created: &self.created,
        }
    }
}

/// A place that a person names. An unknown one has no URL.
#[derive(Serialize)]
struct LinkedPlace<'p> {
    name: &'p str,
    url: String,
}

impl<'p> LinkedPlace<'p> {
    fn new(place: Option<&'p Place>) -> Self {
        match place {
            Some(place) => Self { name: &place.name, url: place.url() },
            None => Self { name: "unknown", url: String::new() },
        }
    }
}

impl Resource for Place {
    const SEGMENT: &'static str = "place";
    const TITLE: &'static str = "Place";
    const FILTERS: &'static [&'static str] = &["name", "type", "region"];

    fn filter(parameters: &Parameters<'_>) -> Option<FilterPlace> {
        let [name, kind, region] = ["name", "type", "region"].map(|name| parameters.first(name));
        Some(FilterPlace { name, kind, region })
    }

    fn body(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Body<'p> {
            id: u32,
            name: &'p str,
            r#type: &'static str,
            region: &'static str,
            residents: Vec<String>,
            url: String,
            created: &'p str,
        }
        Body {
            id: self.id,
            name: &self.name,
            r#type: self.kind.unwrap_or_default(),
            region: self.region,
            residents: self.residents().map(Resource::url).collect(),
            url: self.url(),
            created: &self.created,
        }
    }
}

impl Resource for Work {
    const SEGMENT: &'static str = "work";
    const TITLE: &'static str = "Work";
    const FILTERS: &'static [&'static str] = &["name", "code"];

    fn filter(parameters: &Parameters<'_>) -> Option<FilterWork> {
        let [name, code] = ["name", "code"].map(|name| parameters.first(name));
        Some(FilterWork { name, code })
    }

    fn body(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Body<'w> {
            id: u32,
            name: &'w str,
            code: &'w str,
            released: Option<&'w str>,
            pages: i32,
            score: f64,
            people: Vec<String>,
            url: String,
            created: &'w str,
        }
        Body {
            id: self.id,
            name: &self.name,
            code: &self.code,
            released: self.released.as_deref(),
            pages: self.pages,
            score: self.score,
            people: self.people.iter().map(|person| person.url()).collect(),
            url: self.url(),
            created: &self.created,
        }
    }
}

/// The query of a request.
struct Parameters<'u> {
    /// Each parameter as it was written, with its decoded name and value.
    all: Vec<(&'u str, (String, String))>,
}

impl<'u> Parameters<'u> {
    fn new(uri: &'u Uri) -> Self {
        let Query(decoded) =
            Query::<Vec<(String, String)>>::try_from_uri(uri).expect("any query is pairs of strings");
        let written = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self { all: written.zip(decoded).collect() }
    }

    fn all(&self, name: &str) -> Vec<String> {
        let values = self.all.iter().filter(|(_, (held, _))| held == name);
        values.map(|(_, (_, value))| value.clone()).collect()
    }

    fn first(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// Returns the number of the page. Anything but a number above zero in plain digits means the first page.
    fn page(&self) -> i32 {
        let written = self.first("page").filter(|text| !text.starts_with(['0', '+']));
        written.and_then(|text| text.parse::<i32>().ok()).filter(|number| *number > 0).unwrap_or(1)
    }

    /// Returns the parameters with these names as they were written, each after an ampersand.
    fn kept(&self, names: &[&str]) -> String {
        let kept = self.all.iter().filter(|(_, (name, _))| names.contains(&name.as_str()));
        kept.map(|(written, _)| format!("&{written}")).collect()
    }
}

async fn list<R: Resource>(uri: Uri) -> Response {
    #[derive(Serialize)]
    struct Info {
        count: i32,
        pages: i32,
        next: Option<String>,
        prev: Option<String>,
    }
    #[derive(Serialize)]
    struct Body<B> {
        info: Info,
        results: Vec<B>,
    }
    let parameters = Parameters::new(&uri);
    let page = R::filter(&parameters).and_then(|filter| data::page::<R>(parameters.page(), &filter));
    let Some(page) = page else { return failure(StatusCode::NOT_FOUND, NOTHING) };
    let kept = parameters.kept(R::FILTERS);
    let link = |number: i32| format!("{HOST}/api/{}?page={number}{kept}", R::SEGMENT);
    let [next, prev] = [page.next, page.prev].map(|number| number.map(link));
    let info = Info { count: page.count, pages: page.pages, next, prev };
    success(&Body { info, results: bodies(&page.entries) })
}

async fn one<R: Resource>(Path(id): Path<String>) -> Response {
    let found = if id.contains(',') {
        let ids: Vec<&str> = id.split(',').filter(|id| !id.is_empty()).collect();
        data::several::<R>(&ids).map(|found| success(&bodies(&found)))
    } else {
        let missing = || failure(StatusCode::NOT_FOUND, &format!("{} not found", R::TITLE));
        data::one::<R>(&id).map(|found| found.map_or_else(missing, |entry| success(&entry.body())))
    };
    found.unwrap_or_else(|BadId| failure(StatusCode::INTERNAL_SERVER_ERROR, BadId::MESSAGE))
}

async fn unknown() -> Response {
    failure(StatusCode::NOT_FOUND, NOTHING)
}

fn bodies<R: Resource>(entries: &[&'static R]) -> Vec<impl Serialize> {
    entries.iter().map(|entry| entry.body()).collect()
}

fn success(body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("a body is JSON");
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = format!("W/\"{:x}-{:016x}\"", text.len(), hasher.finish());
    ([(ETAG, tag)], response(StatusCode::OK, text)).into_response()
}

fn failure(status: StatusCode, message: &str) -> Response {
    response(status, serde_json::json!({ "error": message }).to_string())
}

fn response(status: StatusCode, body: String) -> Response {
    let headers = [(CONTENT_TYPE, "application/json; charset=utf-8"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (status, headers, body).into_response()
}

/// Answers 304 to a client that has the response already.
async fn revalidated(request: Request, next: Next) -> Response {
    let held = request.headers().get(IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    match response.headers().get(ETAG) {
        Some(tag) if held.as_ref() == Some(tag) => {
            (StatusCode::NOT_MODIFIED, [(ETAG, tag.clone())]).into_response()
        }
        _ => response,
    }
}
