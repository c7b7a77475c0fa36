//! A request of GraphQL over HTTP, from its parts. Where backends may differ in the document that they would execute,
//! it is refused: only then is the scanned document the one that is executed.

use crate::{
    graphql::{
        document::scan,
        guard::{Guard, Introspection, TrustMode},
        refusal::Refusal,
    },
    json::{Tape, Value},
    vocabulary::digest::Digest256,
};
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// Largest body of a guarded request, in bytes.
pub const MAX_BODY: usize = 65_536;

/// Parameters of GraphQL over HTTP that say which document is executed.
const QUERY: &str = "query";
const EXTENSIONS: &str = "extensions";
const DOCUMENT_ID: &str = "documentId";
const NAMING: [&str; 3] = [QUERY, EXTENSIONS, DOCUMENT_ID];

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct GuardedRequest<'r> {
    /// Method, in capitals.
    pub method: &'r str,
    /// The URL behind its question mark, without decoding.
    pub query: &'r str,
    /// Header `content-type`.
    pub content_type: Option<&'r str>,
    /// Header `content-encoding`.
    pub content_encoding: Option<&'r str>,
    /// The whole body; `None` if it has more than [`MAX_BODY`] bytes.
    pub body: Option<&'r [u8]>,
}

/// A request that may be sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inspected {
    /// Number of its operations: more than one in a batch, none in an OPTIONS request.
    pub operations: u32,
    /// Number of its documents that are not trusted. There are none unless the mode is [`TrustMode::Log`].
    pub untrusted: u32,
    /// The last one of these, if its hash is known.
    pub unknown: Option<Digest256>,
}

/// A document that the backend is asked for by its hash; `Unknown` if that is no SHA-256.
#[derive(Clone, Copy)]
enum Named {
    Hash(Digest256),
    Unknown,
}

impl From<&str> for Named {
    fn from(hash: &str) -> Self {
        hash.parse().map_or(Self::Unknown, Self::Hash)
    }
}

/// The document of one operation.
enum Document<'r> {
    Text(Cow<'r, str>),
    Named(Named),
}

/// Checks a request. `digest` returns the SHA-256 of its argument.
///
/// ```
/// use cutover_core::graphql::{Guard, GuardedRequest, Refusal, inspect};
///
/// let request = |body: &'static str| GuardedRequest {
///     method: "POST",
///     query: "",
///     content_type: Some("application/json"),
///     content_encoding: None,
///     body: Some(body.as_bytes()),
/// };
/// let check = |body| inspect(&request(body), &Guard::default(), |_| [0; 32]).map(|_| ());
/// assert_eq!(check(r#"{"query":"{ user { name } }"}"#), Ok(()));
/// assert_eq!(check(r#"{"query":"{ __schema { types { name } } }"}"#), Err(Refusal::Introspection));
/// ```
///
/// # Errors
///
/// Fails if the request is not one of GraphQL over HTTP, or if the guard does not allow it.
pub fn inspect(
    request: &GuardedRequest<'_>,
    guard: &Guard,
    digest: impl Fn(&[u8]) -> [u8; 32],
) -> Result<Inspected, Refusal> {
    let check = Check { guard, digest, is_get: request.method != "POST" };
    match request.method {
        "GET" | "HEAD" => {
            if request.body.is_none_or(|body| !body.is_empty()) {
                return Err(Refusal::Ambiguous);
            }
            let mut inspected = Inspected::default();
            check.document(&document_of_url(request.query)?, &mut inspected)?;
            Ok(inspected)
        }
        "POST" => check.posted(request),
        // By these browsers ask what they may send. They execute nothing.
        "OPTIONS" if request.body.is_some_and(<[u8]>::is_empty) => {
            let names_document = naming(request.query)?.iter().any(Option::is_some);
            if names_document { Err(Refusal::Method) } else { Ok(Inspected::default()) }
        }
        _ => Err(Refusal::Method),
    }
}

/// Returns the media type of a refusal for a client with this header `accept`.
pub fn response_type(accept: Option<&str>) -> &'static str {
    const GRAPHQL: &str = "application/graphql-response+json";
    const JSON: &str = "application/json";
    let ranges = accept.unwrap_or_default().as_bytes().split(|byte| *byte == b',');
    let mut types =
        ranges.map(|range| range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii());
    let accepts = |name: &str| types.clone().any(|range| range.eq_ignore_ascii_case(name.as_bytes()));
    let takes_graphql = [GRAPHQL, "application/*", "*/*"].into_iter().any(accepts);
    if !takes_graphql && types.any(|range| range.eq_ignore_ascii_case(JSON.as_bytes())) {
        JSON
    } else {
        GRAPHQL
    }
}

struct Check<'g, D> {
    guard: &'g Guard,
    digest: D,
    is_get: bool,
}

impl<D: Fn(&[u8]) -> [u8; 32]> Check<'_, D> {
    fn posted(&self, request: &GuardedRequest<'_>) -> Result<Inspected, Refusal> {
        if !request.content_type.is_some_and(is_json) {
            return Err(Refusal::MediaType);
        }
        if request
            .content_encoding
            .is_some_and(|coding| !coding.trim_ascii().eq_ignore_ascii_case("identity"))
        {
            return Err(Refusal::Encoding);
        }
        // Some backends prefer the parameters of the URL to those of the body.
        if naming(request.query)?.iter().any(Option::is_some) {
            return Err(Refusal::Ambiguous);
        }
        let too_large = Refusal::Body(u32::try_from(MAX_BODY).unwrap_or(u32::MAX));
        let body = request.body.filter(|body| body.len() <= MAX_BODY).ok_or(too_large)?;
        let text = std::str::from_utf8(body).map_err(|_| Refusal::Json)?;
        let tape = Tape::read(text).map_err(|_| Refusal::Json)?;
        let root = tape.root();
        let mut inspected = Inspected::default();
        if root.is_list() {
            let limit = self.guard.batches.ok_or(Refusal::Batch)?;
            for item in root.items() {
                if inspected.operations == limit {
                    return Err(Refusal::BatchSize(limit));
                }
                self.document(&document_of_object(item)?, &mut inspected)?;
            }
            if inspected.operations == 0 {
                return Err(Refusal::NoDocument);
            }
        } else {
            self.document(&document_of_object(root)?, &mut inspected)?;
        }
        Ok(inspected)
    }

    /// Checks a document and adds it to those that were inspected.
    fn document(&self, document: &Document<'_>, inspected: &mut Inspected) -> Result<(), Refusal> {
        inspected.operations += 1;
        let trusted = &self.guard.trusted_documents;
        if let Document::Text(text) = document {
            let scanned = scan(text, &self.guard.limits, self.guard.introspection == Introspection::Allow)?;
            if self.is_get && !scanned.has_only_queries {
                return Err(Refusal::QueriesOnly);
            }
        }
        if trusted.is_off() {
            return Ok(());
        }
        let named = match document {
            Document::Text(text) => Named::Hash(Digest256((self.digest)(text.as_bytes()))),
            Document::Named(named) => *named,
        };
        let hash = match named {
            Named::Hash(hash) if trusted.contains(&hash) => return Ok(()),
            Named::Hash(hash) => Some(hash),
            Named::Unknown => None,
        };
        if trusted.mode == TrustMode::Enforce {
            return Err(Refusal::Untrusted);
        }
        inspected.untrusted += 1;
        inspected.unknown = hash.or(inspected.unknown);
        Ok(())
    }
}

/// Returns true for JSON in UTF-8.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_type = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"application/json"));
    let is_utf8 = |parameter: &[u8]| {
        let mut sides = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        match (sides.next(), sides.next()) {
            (Some(name), Some(value)) if name.eq_ignore_ascii_case(b"charset") => {
                value.eq_ignore_ascii_case(b"utf-8") || value.eq_ignore_ascii_case(b"\"utf-8\"")
            }
            _ => true,
        }
    };
    is_type && parts.all(is_utf8)
}

/// Returns the values of the [`NAMING`] parameters of a URL. Fails if a backend might find one of them that is not
/// returned: there are those that part the URL at semicolons too, do not distinguish capitals, skip spaces and
/// brackets before a name, or end it at a bracket or a NUL.
fn naming(query: &str) -> Result<[Option<Cow<'_, str>>; 3], Refusal> {
    if query.len() > MAX_BODY {
        return Err(Refusal::Body(u32::try_from(MAX_BODY).unwrap_or(u32::MAX)));
    }
    let mut found = [None, None, None];
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name)?;
        for (place, part) in pair.split(';').enumerate() {
            let read = decoded(part.split('=').next().unwrap_or_default())?;
            let mut slots = NAMING.into_iter().zip(&mut found);
            let Some((naming, slot)) = slots.find(|(naming, _)| may_be_read_as(&read, naming)) else {
                continue;
            };
            if place > 0 || name != naming || slot.replace(decoded(value)?).is_some() {
                return Err(Refusal::Ambiguous);
            }
        }
    }
    Ok(found)
}

/// Returns true if a backend might take the name of a parameter for another one.
fn may_be_read_as(name: &str, other: &str) -> bool {
    let is_part = |character: &char| character.is_ascii_alphanumeric() || *character == '_';
    let read = name.chars().map(folded).skip_while(|character| !is_part(character)).take_while(is_part);
    read.eq(other.chars().map(folded))
}

/// Returns a character without its case. A few letters beyond ASCII have the capitals or small letters of others in it.
fn folded(character: char) -> char {
    match character {
        '\u{130}' | '\u{131}' => 'i',
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    }
}

/// Decodes a part of a form.
fn decoded(part: &str) -> Result<Cow<'_, str>, Refusal> {
    if !part.contains('+') {
        return percent_decode(part.as_bytes()).decode_utf8().map_err(|_| Refusal::Url);
    }
    let spaced = part.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().map_err(|_| Refusal::Url)?;
    Ok(decoded.into_owned().into())
}

fn document_of_url(query: &str) -> Result<Document<'_>, Refusal> {
    let [text, extensions, id] = naming(query)?;
    let tape = extensions.as_deref().filter(|text| !text.is_empty()).map(Tape::read).transpose();
    let tape = tape.map_err(|_| Refusal::Json)?;
    let persisted = tape.as_ref().map(|tape| persisted(tape.root())).transpose()?.flatten();
    chosen(text, id.as_deref(), persisted)
}

/// Returns the field with this name. Fails if it is there twice, or in another spelling: there are readers of JSON
/// that do not distinguish capitals, and others that take the first of two.
fn only<'t>(object: Value<'t>, name: &str) -> Result<Option<Value<'t>>, Refusal> {
    let mut found = None;
    for (key, value) in object.members() {
        if key.plain().chars().map(folded).eq(name.chars().map(folded)) {
            if found.is_some() || !key.is_text(name) {
                return Err(Refusal::Ambiguous);
            }
            found = Some(value);
        }
    }
    Ok(found.filter(|value| !value.is_null()))
}

/// Returns the string that a field holds, if it is there.
fn text<'t>(object: Value<'t>, name: &str) -> Result<Option<Cow<'t, str>>, Refusal> {
    match only(object, name)? {
        Some(value) if value.is_string() => Ok(Some(value.plain())),
        Some(_) => Err(Refusal::Json),
        None => Ok(None),
    }
}

fn document_of_object(object: Value<'_>) -> Result<Document<'_>, Refusal> {
    if !object.is_object() {
        return Err(Refusal::Json);
    }
    let persisted = only(object, EXTENSIONS)?.map(persisted).transpose()?.flatten();
    chosen(text(object, QUERY)?, text(object, DOCUMENT_ID)?.as_deref(), persisted)
}

/// Returns the document in `extensions.persistedQuery.sha256Hash`.
fn persisted(extensions: Value<'_>) -> Result<Option<Named>, Refusal> {
    let Some(persisted) = only(extensions, "persistedQuery")? else { return Ok(None) };
    Ok(Some(text(persisted, "sha256Hash")?.as_deref().map_or(Named::Unknown, Named::from)))
}

fn chosen<'r>(
    text: Option<Cow<'r, str>>,
    id: Option<&str>,
    persisted: Option<Named>,
) -> Result<Document<'r>, Refusal> {
    match (text, id, persisted) {
        (Some(text), None, _) => Ok(Document::Text(text)),
        (None, Some(id), None) => {
            Ok(Document::Named(id.strip_prefix("sha256:").map_or(Named::Unknown, Named::from)))
        }
        (None, None, Some(named)) => Ok(Document::Named(named)),
        (None, None, None) => Err(Refusal::NoDocument),
        _ => Err(Refusal::Ambiguous),
    }
}
