//! Reads the cache of a route.

use super::reading::Cursor;
use crate::{
    caching::{CacheRules, MAX_CACHED_SECONDS, MAX_KEYED_HEADERS, MAX_TAGS, is_keyable, is_tag},
    request::token::is_token,
    routing::matcher::Matcher,
};

const HINT: &str = "write cache: { ttl_seconds: 60, stale_seconds: 300, headers: [accept-language], tags: [reviews] }, or \
                    cache: {} to cache what the backend's own Cache-Control allows";

/// The other fields of a route that keep its responses from being cached.
pub(super) struct Beside<'r> {
    /// The requests that the route applies to; `None` if they could not be read.
    pub matcher: Option<&'r Matcher>,
    /// True if the route has adapters.
    pub is_adapted: bool,
    /// True if the route has `error_when`.
    pub hides_errors: bool,
}

/// Reads the cache of a route.
pub(super) fn read(cursor: &Cursor<'_>, beside: &Beside<'_>) -> Option<CacheRules> {
    if beside.is_adapted {
        cursor.report(
            "responses of a route with adapters are not cached",
            "remove cache, or cache a route without adapters",
        );
    }
    if beside.hides_errors {
        cursor.report(
            "a response with status 200 may report an error on this route, and would be cached with it",
            "remove cache or error_when",
        );
    }
    let methods = beside.matcher.map(|matcher| matcher.methods.as_slice()).unwrap_or_default();
    if !methods.is_empty() && !methods.iter().any(|method| method == "GET" || method == "HEAD") {
        cursor.report(
            "none of the methods of this route can be cached",
            "remove cache: only responses to GET and HEAD are cached",
        );
    }
    let mut fields = cursor.fields(HINT)?;
    let mut rules = CacheRules::default();
    let longest = f64::from(MAX_CACHED_SECONDS);
    let ttl = fields.read("ttl_seconds", |cursor| cursor.whole_number_within((1.0, longest), "seconds"));
    rules.ttl_seconds = ttl;
    fields.set("stale_seconds", &mut rules.stale_seconds, |cursor| {
        cursor.whole_number_within((0.0, longest), "seconds")
    });
    fields.set("bypass_percent", &mut rules.bypass_percent, |cursor| {
        cursor.whole_number_within((1.0, 100.0), "percent of the users")
    });
    fields.set("version", &mut rules.version, |cursor| {
        cursor.whole_number_within((0.0, f64::from(u32::MAX)), "the version of the cached responses")
    });
    rules.headers = words(&fields.list("headers", HEADERS_HINT), MAX_KEYED_HEADERS, header);
    rules.tags = words(&fields.list("tags", TAGS_HINT), MAX_TAGS, tag);
    fields.finish()?;
    Some(rules)
}

const HEADERS_HINT: &str =
    "write a list of request headers that the responses depend on, such as [accept-language]";

const TAGS_HINT: &str = "write a list of words without commas and spaces, such as [reviews]";

/// Reads a list without repetitions.
fn words(items: &[Cursor<'_>], most: usize, read: fn(&Cursor<'_>) -> Option<String>) -> Vec<String> {
    if let Some(first) = items.get(most) {
        first.report(format!("{} are too many", items.len()), format!("write at most {most}"));
    }
    let mut words: Vec<String> = items.iter().filter_map(read).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn header(cursor: &Cursor<'_>) -> Option<String> {
    let name = cursor.string()?.to_ascii_lowercase();
    if is_token(&name) && is_keyable(&name) {
        return Some(name);
    }
    cursor.refuse(format!("responses cannot be kept apart by the header {name:?}"), HEADERS_HINT)
}

fn tag(cursor: &Cursor<'_>) -> Option<String> {
    let word = cursor.string()?;
    if is_tag(&word) { Some(word) } else { cursor.refuse(format!("{word:?} is not a tag"), TAGS_HINT) }
}
