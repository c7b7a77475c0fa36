//! Directives for the platform's cache, asked for by JavaScript.

use crate::{bindings::state::now_ms, wire::ABSENT};
use cutover_core::caching::{ResponseHead, directive};
use wasm_bindgen::prelude::wasm_bindgen;

/// Returns the directive by which the platform caches a response. `head` is lines: the values of `Cache-Control`,
/// `CDN-Cache-Control`, `Expires`, `Date`, `Age` and `Vary`, or [`ABSENT`]. `ttl` is negative if the route has none. `None` if
/// that of the response that is kept goes on.
#[wasm_bindgen]
pub fn cache_directive(head: &str, status: u16, sets_cookie: bool, ttl: i32, stale: u32) -> Option<String> {
    let mut lines = head.split('\n').map(|line| Some(line).filter(|line| *line != ABSENT));
    let mut line = || lines.next().flatten();
    let head = ResponseHead {
        status,
        cache_control: line(),
        cdn_cache_control: line(),
        expires: line(),
        date: line(),
        age: line(),
        vary: line(),
        sets_cookie,
    };
    directive(&head, u32::try_from(ttl).ok(), stale, now_ms())
}
