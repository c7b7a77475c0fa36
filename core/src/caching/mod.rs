//! Responses that are given again: the rules of a route, and for how long a response is fresh. Which ones a cache keeps is decided
//! here, from the headers of the backend; the cache itself is the platform's.

mod directives;
mod freshness;
mod rules;

pub use freshness::{ResponseHead, directive};
pub use rules::{CacheRules, MAX_CACHED_SECONDS, MAX_KEYED_HEADERS, MAX_TAGS, is_keyable, is_tag};
