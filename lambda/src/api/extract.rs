//! Extractors shared by the endpoints: the caller, preconditions, body, path, query and page of a
//! request.

use crate::{
    access::auth::{Approval, Caller},
    api::{decode, pages::PageLimit},
    change::demand::{ApprovalKeys, ChangeRequest, Precondition, reply_key},
    platform::Platform,
    problem::Problem,
};
use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use cutover_core::{
    ExperimentName, FlagName, RouteId, Stamp, Timestamp,
    vocabulary::{
        names::{InvalidName, SegmentName},
        timestamp::InvalidTimestamp,
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Largest body, in bytes; Lambda has the same limit.
const MAX_BODY: usize = 6 * 1024 * 1024;

/// Longest reason, in bytes.
const MAX_REASON: usize = 1_000;

/// Mark behind the version in the ETag of a flag that an emergency holds.
pub(super) const HELD: &str = ".held";

/// Mark behind the version in the ETag of a flag that a running experiment owns.
pub(super) const OWNED: &str = ".owned";

/// Header for the reason of a change, if the body has no field for it.
const REASON: &str = "x-cutover-reason";

impl FromRequestParts<Platform> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        Caller::of(platform, parts).await
    }
}

impl FromRequest<Platform> for ChangeRequest {
    type Rejection = Problem;
    async fn from_request(request: Request, platform: &Platform) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let caller = Caller::of(platform, &parts).await?;
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                detail,
                "split the change into several requests",
            )
        })?;
        let key = text_header(&parts.headers, "idempotency-key", 255)?;
        let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let own = key.map(|key| reply_key(&caller, &key, parts.method.as_str(), &target, &body));
        let keys = parts.extensions.get::<ApprovalKeys>();
        let content_type = text_header(&parts.headers, "content-type", 255)?.unwrap_or_default();
        Ok(Self {
            reason: text_header(&parts.headers, REASON, MAX_REASON)?,
            precondition: precondition(&parts.headers)?,
            idempotency: own.or_else(|| keys?.approver.clone()),
            requester_key: keys.and_then(|keys| keys.requester.clone()),
            approved: parts.extensions.get::<Approval>().cloned(),
            method: parts.method.to_string(),
            target,
            if_match: text_header(&parts.headers, "if-match", 255)?,
            caller,
            body: body.to_vec(),
            content_type: content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
        })
    }
}

impl ChangeRequest {
    /// Parses the body as JSON.
    ///
    /// # Errors
    ///
    /// Returns the problem `body_not_json` if the body is not JSON.
    pub fn json(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let fault = if error.is_eof() { "it ends too early" } else { "there is a mistake" };
            let (line, column) = (error.line(), error.column());
            let detail = format!("the body is not JSON: {fault}, at line {line}, column {column}");
            Problem::new(StatusCode::BAD_REQUEST, "body_not_json", detail, "send a JSON object as the body")
        })
    }

    /// Decodes the body as a JSON object of type `T`, which decides if unknown fields are allowed.
    ///
    /// # Errors
    ///
    /// Returns a problem that names the field if the body is not JSON, or not of type `T`.
    pub fn shape<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        decode::body(self.json()?)
    }

    /// Checks that the request has no body; an empty object is allowed.
    ///
    /// # Errors
    ///
    /// Returns the problems of [`ChangeRequest::shape`] for any other body.
    pub fn must_have_no_body(&self) -> Result<(), Problem> {
        if self.body.is_empty() {
            return Ok(());
        }
        let NoFields {} = self.shape()?;
        Ok(())
    }
}

/// Body of a request that takes none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

fn text_header(headers: &HeaderMap, name: &str, limit: usize) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default().trim();
    if text.is_empty() || text.len() > limit {
        let detail = format!("the header {name} is empty, too long or not UTF-8");
        return Err(Problem::invalid(
            name,
            detail,
            format!("send 1 to {limit} bytes, or leave the header out"),
        ));
    }
    Ok(Some(text.to_owned()))
}

fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let text =
        |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or("?").trim());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Precondition::None),
        (Some("*"), None) => Ok(Precondition::Exists),
        (None, Some("*")) => Ok(Precondition::Absent),
        (Some(tag), None) => version(tag).map(Precondition::Version),
        _ => Err(Problem::invalid(
            "If-None-Match",
            "this combination of If-Match and If-None-Match is not supported",
            "send If-Match with one ETag or *, or If-None-Match: *",
        )),
    }
}

/// Returns the version that an ETag in `If-Match` stands for. A weak one matches nothing (RFC 9110, 13.1.1).
fn version(tag: &str) -> Result<Stamp, Problem> {
    let (is_weak, strong) = tag.strip_prefix("W/").map_or((false, tag), |strong| (true, strong));
    let quoted = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let quoted = quoted.ok_or_else(|| Problem::if_match_malformed(tag))?;
    let unmarked = [HELD, OWNED].iter().find_map(|mark| quoted.strip_suffix(mark)).unwrap_or(quoted);
    let stamp = unmarked.parse::<Stamp>();
    // A tag that was never issued matches no version, and the caller must learn that.
    stamp
        .ok()
        .filter(|_| !is_weak)
        .ok_or_else(|| Problem::changed_meanwhile(format!("the ETag {tag} was never issued by this API")))
}

/// Parses a time in the query.
///
/// # Errors
///
/// Returns the problem `invalid` with the parameter if it is not an RFC 3339 time.
pub(super) fn time(parameter: &str, text: &str) -> Result<Timestamp, Problem> {
    let hint = "use an RFC 3339 time such as 2026-01-31T23:59:59Z, with + encoded as %2B";
    text.parse().map_err(|error: InvalidTimestamp| Problem::invalid(parameter, error.to_string(), hint))
}

/// Extractor of the variable segments of the path.
#[derive(Debug)]
pub(super) struct Segments<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Platform> for Segments<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        let found = Path::<T>::from_request_parts(parts, platform).await;
        found.map(|Path(segments)| Self(segments)).map_err(|_| {
            let hint = "encode each byte of UTF-8 above 127 as %XX";
            Problem::invalid("path", "a segment of the path is not UTF-8", hint)
        })
    }
}

/// Extractor of a flag's name from the path.
#[derive(Debug)]
pub(super) struct FlagPath(pub(super) FlagName);

impl FromRequestParts<Platform> for FlagPath {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        let Segments(name) = Segments::<String>::from_request_parts(parts, platform).await?;
        name.parse().map(Self).map_err(|error| invalid_name("name", &name, error))
    }
}

/// Extractor of a route's id from the path.
#[derive(Debug)]
pub(super) struct RoutePath(pub(super) RouteId);

impl FromRequestParts<Platform> for RoutePath {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        let Segments(id) = Segments::<String>::from_request_parts(parts, platform).await?;
        id.parse().map(Self).map_err(|error| invalid_name("id", &id, error))
    }
}

/// Extractor of an experiment's name from the path.
#[derive(Debug)]
pub(super) struct ExperimentPath(pub(super) ExperimentName);

impl FromRequestParts<Platform> for ExperimentPath {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        let Segments(name) = Segments::<String>::from_request_parts(parts, platform).await?;
        name.parse().map(Self).map_err(|error| invalid_name("name", &name, error))
    }
}

/// Extractor of the name of a segment of users from the path.
#[derive(Debug)]
pub(super) struct SegmentPath(pub(super) SegmentName);

impl FromRequestParts<Platform> for SegmentPath {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        let Segments(name) = Segments::<String>::from_request_parts(parts, platform).await?;
        name.parse().map(Self).map_err(|error| invalid_name("name", &name, error))
    }
}

/// Builds the problem for a segment of the path that is no name.
pub(super) fn invalid_name(segment: &str, written: &str, error: InvalidName) -> Problem {
    let hint = "use letters, digits, '_', '.' and '-'";
    Problem::invalid(segment, format!("{written:?}: {error}"), hint)
}

/// Extractor of query parameters that responds with a problem document if they are invalid.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Platform> for Parameters<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, platform).await;
        let Query(pairs) = pairs.map_err(|_| {
            let hint = "write the query as name=value, with & between two parameters";
            Problem::invalid("query", "the query cannot be read", hint)
        })?;
        decode::parameters(pairs).map(Self)
    }
}

const LIMIT: PageLimit = PageLimit { default: 1_000, max: 5_000, next: "after" };

/// Query parameters `?after=&limit=` of a list. Objects are ordered by name, and the next page
/// begins after the last one.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

impl Page {
    /// Returns the objects of this page, and the value of `after` for the next page if there is
    /// one.
    pub(super) fn of<T>(
        &self,
        all: impl Iterator<Item = T>,
        name: impl Fn(&T) -> &str,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = LIMIT.check(self.limit)?;
        let mut all: Vec<T> = all.collect();
        all.sort_by(|a, b| name(a).cmp(name(b)));
        let mut rest = all
            .into_iter()
            .filter(|one| self.after.as_deref().is_none_or(|after| name(one) > after))
            .peekable();
        let page: Vec<T> = rest.by_ref().take(limit).collect();
        let next = rest.peek().and(page.last()).map(|last| name(last).to_owned());
        Ok((page, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, routing::get};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_path_that_is_not_utf_8_is_answered_as_a_problem() {
        let one = |Segments(segment): Segments<String>| async move { segment };
        let two = |Segments((first, second)): Segments<(String, String)>| async move { first + &second };
        let flag = |FlagPath(name): FlagPath| async move { name.to_string() };
        let routes: Router = Router::new()
            .route("/one/{a}", get(one))
            .route("/two/{a}/{b}", get(two))
            .route("/flag/{a}", get(flag))
            .with_state(Platform::detached(false));
        for (path, status) in [
            ("/one/%C3%A4", 200),
            ("/one/%FF", 422),
            ("/two/a/b", 200),
            ("/two/a/%FF", 422),
            ("/flag/f", 200),
            ("/flag/%FF", 422),
            ("/flag/a%20b", 422),
        ] {
            let request = axum::http::Request::builder().uri(path).body(Body::empty()).unwrap();
            let response = routes.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}");
            let kind = response.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap();
            assert_eq!(kind == "application/problem+json", status == 422, "{path}: {kind}");
        }
    }

    #[test]
    fn a_version_is_an_etag_in_quotes() {
        assert_eq!(version("\"139\"").unwrap(), "139".parse().unwrap());
        assert_eq!(version("\"139e5\"").unwrap(), "139e5".parse().unwrap());
        assert_eq!(version("\"139e5.held\"").unwrap(), "139e5".parse().unwrap());
        assert_eq!(version("\"139e5.owned\"").unwrap(), "139e5".parse().unwrap());
        for (tag, code) in [
            ("139", "if_match_malformed"),
            ("\"139", "if_match_malformed"),
            ("139\"", "if_match_malformed"),
            ("\"", "if_match_malformed"),
            ("", "if_match_malformed"),
            ("W/139", "if_match_malformed"),
            ("W/\"139\"", "changed_meanwhile"),
            ("\"\"", "changed_meanwhile"),
            ("\"none\"", "changed_meanwhile"),
            ("\".held\"", "changed_meanwhile"),
        ] {
            assert_eq!(version(tag).unwrap_err().code, code, "{tag}");
        }
    }
}
