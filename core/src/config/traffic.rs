//! Reads origins and routes.

use super::{
    compare,
    matcher::matcher,
    reading::{Cursor, Fields, Names, Section},
};
use crate::{
    request::identity::{Source, default_sources},
    rules::{
        origin::{DEFAULT_TIMEOUT_MS, Origin},
        route::{Fallback, Route},
    },
    vocabulary::names::AdapterName,
};
use std::{fmt, str::FromStr};

/// The longest timeout of an origin, in milliseconds. A Worker's client rarely waits longer.
const MAX_TIMEOUT_MS: f64 = 120_000.0;

pub(super) fn origin(cursor: &Cursor<'_>) -> Option<Origin> {
    let mut fields = cursor.fields("write url and timeout_ms below the origin")?;
    let url = fields.require("url", "write the base URL, such as https://api.example.com", base_url);
    let mut timeout_ms = DEFAULT_TIMEOUT_MS;
    let timeout = fields.set("timeout_ms", &mut timeout_ms, |cursor| {
        whole_number(cursor, (1.0, MAX_TIMEOUT_MS), "milliseconds")
    });
    fields.finish();
    timeout?;
    Some(Origin { url: url?, timeout_ms })
}

/// Reads a whole number between two limits, both included.
pub(super) fn whole_number(cursor: &Cursor<'_>, limits: (f64, f64), unit: &str) -> Option<u32> {
    let number = cursor.number_within(limits, unit)?;
    if number.fract() != 0.0 {
        return cursor.refuse(format!("{number} is not a whole number"), format!("write whole {unit}"));
    }
    // A whole number inside the limits fits.
    Some(number as u32)
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
    let fallback = fields.read("fallback", |cursor| {
        let choices = [
            ("never", Fallback::Never),
            ("unreachable", Fallback::Unreachable),
            ("unavailable", Fallback::Unavailable),
        ];
        let hint = "write unavailable, unreachable or never";
        cursor.choice(&choices, "is not a kind of fallback", hint)
    });
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
        fallback: fallback.unwrap_or_default(),
    })
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
