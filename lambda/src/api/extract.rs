//! Extractors shared by the endpoints: the caller, preconditions, body, path, query and page of a
//! request.

use crate::{
    access::auth::{Approval, Caller},
    api::pages::PageLimit,
    change::demand::{ApprovalKeys, ChangeRequest, Precondition, reply_key},
    platform::Platform,
    problem::Problem,
};
use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use cutover_core::FlagName;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Largest body, in bytes; Lambda has the same limit.
const MAX_BODY: usize = 6 * 1024 * 1024;

/// Longest reason, in bytes.
const MAX_REASON: usize = 1_000;

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
            let detail = format!("the body is not JSON: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "body_not_json", detail, "send a JSON object as the body")
        })
    }

    /// Decodes the body as a JSON object of type `T`, which decides if unknown fields are allowed.
    ///
    /// # Errors
    ///
    /// Returns a problem that names the field if the body is not JSON, or not of type `T`.
    pub fn shape<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let value = self.json()?;
        serde_path_to_error::deserialize(value).map_err(|error| {
            let (path, message) = (error.path().to_string(), error.inner().to_string());
            // A missing or unknown field is named by the message, an invalid value by the path.
            let field = match path.as_str() {
                "." | "?" => message.split('`').nth(1).unwrap_or("body"),
                path => path,
            };
            Problem::invalid(field, &message, "see docs/api.md for the fields of this body")
        })
    }
}

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
        (Some(tag), None) => tag
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .and_then(|stamp| stamp.parse().ok())
            .map(Precondition::Version)
            // A tag that was never issued matches no version, and the caller must learn that.
            .ok_or_else(|| {
                Problem::changed_meanwhile(format!("the ETag {tag} was never issued by this API"))
            }),
        _ => Err(Problem::invalid(
            "If-None-Match",
            "this combination of If-Match and If-None-Match is not supported",
            "send If-Match with one ETag or *, or If-None-Match: *",
        )),
    }
}

/// Extractor of a flag's name from the path.
#[derive(Debug)]
pub(super) struct FlagPath(pub(super) FlagName);

impl FromRequestParts<Platform> for FlagPath {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        let Path(name) = Path::<String>::from_request_parts(parts, platform).await.map_err(|_| {
            Problem::invalid("name", "the path contains no flag name", "put the name of the flag in the path")
        })?;
        let hint = "use letters, digits, '_', '.' and '-'";
        name.parse().map(Self).map_err(|error| Problem::invalid("name", format!("{name:?}: {error}"), hint))
    }
}

/// Extractor of query parameters that responds with a problem document if they are invalid.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Platform> for Parameters<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Problem> {
        let parameters: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, platform).await;
        parameters.map(|Query(parameters)| Self(parameters)).map_err(|rejection| {
            let hint = "see docs/api.md for the parameters of this path";
            Problem::new(StatusCode::BAD_REQUEST, "parameters_invalid", rejection.body_text(), hint)
        })
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
