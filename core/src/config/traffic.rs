//! Reads origins and routes.

use super::{
    cache, compare, failover, guard, limit,
    matcher::matcher,
    reading::{Cursor, EntryCursor, Fields, Names, Section, Value},
};
use crate::{
    request::{
        identity::{Source, default_sources},
        token::is_token,
    },
    rules::{
        origin::{DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS, Origin, OriginOptions},
        route::{Fallback, Route},
    },
    vocabulary::names::AdapterName,
};
use std::{fmt, str::FromStr};

pub(super) fn origin(cursor: &Cursor<'_>, names: &Names<'_>) -> Option<Origin> {
    let mut fields = cursor.fields("write url, timeout_ms and the other fields of an origin below it")?;
    let url = fields.require("url", "write the base URL, such as https://api.example.com", base_url);
    let mut timeout_ms = DEFAULT_TIMEOUT_MS;
    let timeout = fields.set("timeout_ms", &mut timeout_ms, |cursor| {
        cursor.whole_number_within((1.0, f64::from(MAX_TIMEOUT_MS)), "milliseconds")
    });
    let options = options(&mut fields);
    let failover = failover::read(&mut fields, names);
    fields.finish();
    timeout?;
    Some(Origin { url: url?, timeout_ms, options, failover })
}

fn options(fields: &mut Fields<'_>) -> OriginOptions {
    let headers = fields.entries("headers", "write headers: { x-origin-auth: \"secret:ORIGIN_TOKEN\" }");
    let mut flag = |name| fields.read(name, Cursor::bool).unwrap_or_default();
    let (forwarded, rewrite, trace) = (flag("forwarded"), flag("rewrite"), flag("trace"));
    let binding = fields.read("binding", |cursor| {
        let name = cursor.string()?;
        is_variable(&name)
            .then_some(name)
            .or_else(|| cursor.refuse("this is not the name of a binding", NAME_HINT))
    });
    OriginOptions { headers: headers.iter().filter_map(header).collect(), forwarded, rewrite, trace, binding }
}

const NAME_HINT: &str =
    "write a name that begins with ORIGIN_, as the Worker has it: letters, digits and underscores";

/// Headers that an origin cannot be given, because the runtime sets them or others depend on them.
const FIXED_HEADERS: [&str; 7] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "x-cutover-shadow",
    "x-cutover-force",
];

fn header(entry: &EntryCursor<'_>) -> Option<(String, String)> {
    let name = entry.key.to_ascii_lowercase();
    if !is_token(&name) || FIXED_HEADERS.contains(&name.as_str()) {
        let message = format!("{:?} is not a header that a request can be given", entry.key);
        return entry.key_cursor.refuse(message, "write the name of another header");
    }
    let value = entry.value.string()?;
    let is_text = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match value.strip_prefix("secret:") {
        _ if !is_text => entry.value.refuse("the value has characters outside of ASCII", "write plain text"),
        Some(secret) if !is_variable(secret) => {
            entry.value.refuse("this is not the name of a secret", NAME_HINT)
        }
        _ => Some((name, value)),
    }
}

/// Returns true for the name of a secret or a binding that an origin may use. Others are the Worker's own, and whoever
/// writes origins must not be able to send them anywhere.
fn is_variable(name: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let Some(name) = name.strip_prefix("ORIGIN_") else { return false };
    !name.is_empty() && name.bytes().all(is_name)
}

fn base_url(cursor: &Cursor<'_>) -> Option<String> {
    let hint = "write an absolute http or https URL without credentials, query or fragment";
    let text = cursor.string()?;
    let problem = match url::Url::parse(&text) {
        Err(error) => format!("{text:?} is not a URL: {error}"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            format!("the scheme {} cannot be forwarded to", url.scheme())
        }
        // The URL is not repeated in the message, because it contains a secret.
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "the URL contains credentials, which do not belong in a configuration".to_owned()
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            format!("{text:?} has a query or fragment, which would end up before every path")
        }
        Ok(_) => return Some(text),
    };
    cursor.refuse(problem, hint)
}

pub(super) fn route(cursor: &Cursor<'_>, names: &Names<'_>) -> Option<Route> {
    let mut fields = cursor.fields("write { id, match: { methods, path }, flag, legacy, new }")?;
    let id_hint = "give the route a name, such as reviews.read";
    let id = fields.require("id", id_hint, |cursor| cursor.parse(id_hint));
    let matcher_hint = "write match: { methods: [GET], path: /api/... }";
    let matcher = fields.require("match", matcher_hint, matcher);
    let flag = reference(&mut fields, "flag", "name the flag that decides", names, Section::Flags);
    let legacy =
        reference(&mut fields, "legacy", "name the origin of the legacy arm", names, Section::Origins);
    let new = reference(&mut fields, "new", "name the origin of the new arm", names, Section::Origins);
    let identity = match fields.optional("identity") {
        None => default_sources(),
        Some(cursor) => {
            let hint = "write a list such as [\"header:x-user-id\", \"cookie:uid\", \"anonymous\"]";
            cursor.list(hint).iter().filter_map(|item| item.parse::<Source>(hint)).collect()
        }
    };
    let adapt = adapters(&mut fields, names);
    let compare = fields.read("compare", compare::read);
    let error_when = fields.read("error_when", compare::hidden);
    let statuses = fields.list("error_statuses", "write a list such as [404, 409]");
    let error_statuses = statuses.iter().filter_map(|status| status.status_within((400, 499))).collect();
    let fallback = fields.read("fallback", |cursor| {
        let choices = [
            ("never", Fallback::Never),
            ("unreachable", Fallback::Unreachable),
            ("unavailable", Fallback::Unavailable),
        ];
        let hint = "write unavailable, unreachable or never";
        cursor.choice(&choices, "is not a kind of fallback", hint)
    });
    let guard = fields.read("guard", |cursor| guard::read(cursor, !adapt.is_empty()));
    let beside = cache::Beside {
        matcher: matcher.as_ref(),
        is_adapted: !adapt.is_empty(),
        hides_errors: error_when.is_some(),
    };
    let cache = fields.read("cache", |cursor| cache::read(cursor, &beside));
    let limit = limit::of_route(&mut fields, names);
    fields.finish();
    Some(Route {
        id: id?,
        matcher: matcher?,
        flag: flag?,
        legacy: legacy?,
        new: new?,
        identity,
        adapt,
        compare,
        error_when,
        error_statuses,
        fallback: fallback.unwrap_or_default(),
        guard,
        cache,
        limit,
    })
}

/// Returns the ids of the routes that name a flag. Those with mistakes count too, so that one mistake is not
/// reported again at every reference.
pub(super) fn routes_of<'n>(items: &[Cursor<'n>], flag: &str) -> Vec<&'n str> {
    let of_flag = items.iter().filter(|item| written(item, "flag") == Some(flag));
    of_flag.filter_map(|item| written(item, "id")).collect()
}

/// Returns the ids of all routes, those with mistakes too.
pub(super) fn ids_of<'n>(items: &[Cursor<'n>]) -> Vec<&'n str> {
    items.iter().filter_map(|item| written(item, "id")).collect()
}

/// Returns the string in a field of a map.
fn written<'n>(cursor: &Cursor<'n>, name: &str) -> Option<&'n str> {
    match cursor.field(name)?.value() {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// Reads a name that must be defined in a section of the file.
fn reference<T: FromStr + AsRef<str>>(
    fields: &mut Fields<'_>,
    field: &'static str,
    hint: &str,
    names: &Names<'_>,
    section: Section,
) -> Option<T>
where
    T::Err: fmt::Display,
{
    let cursor = fields.required(field, hint)?;
    let name: T = cursor.parse(hint)?;
    names.must_have(section, name.as_ref(), &cursor);
    Some(name)
}

fn adapters(fields: &mut Fields<'_>, names: &Names<'_>) -> Vec<AdapterName> {
    let hint = "write a list of adapters, such as [reviews]";
    let mut adapters = Vec::new();
    for item in fields.list("adapt", hint) {
        if let Some(name) = item.parse::<AdapterName>(hint) {
            names.must_have(Section::Adapters, name.as_str(), &item);
            adapters.push(name);
        }
    }
    adapters
}
