//! Events of users: those of the header of a response, and those that are sent to `/_cutover/track`.

use crate::{
    bindings::{
        own_paths::{check_token, is_holder, problem, respond},
        state::{now_ms, with_isolate},
    },
    tracking::{ReportedHeader, TrackRefusal, is_of_server},
    wire::Packed,
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::Env;

/// Notes the events of a response's header, see [`Isolate::note_header`](crate::isolate::Isolate::note_header).
#[wasm_bindgen]
pub fn note_header(packed: &str, generation: u32, minted: Option<String>, header: &str) -> bool {
    let packed = Packed::new(packed);
    let reported = ReportedHeader { packed: &packed, generation, minted: minted.as_deref(), header };
    with_isolate(|isolate| isolate.note_header(&reported, now_ms())).unwrap_or_default()
}

/// Answers a POST to `/_cutover/track`. JavaScript has checked its origin and its size.
///
/// # Errors
///
/// Fails if the runtime cannot build the response.
#[wasm_bindgen]
pub fn track(
    packed: &str,
    generation: u32,
    authorization: Option<String>,
    body: &[u8],
    env: Env,
) -> Result<web_sys::Response, JsValue> {
    let now = now_ms();
    let authorization = authorization.as_deref();
    let tracked = if is_holder(authorization, &env) || is_of_server(authorization) {
        if let Err((status, problem)) = check_token(authorization, &env) {
            return respond(status, Some(&problem));
        }
        with_isolate(|isolate| isolate.track_of_server(body, now))
    } else {
        with_isolate(|isolate| isolate.track_of_client(&Packed::new(packed), generation, body, now))
    };
    match tracked.unwrap_or(Err(TrackRefusal::NoRules)) {
        Ok(()) => respond(204, None),
        Err(refusal) => {
            let status = refusal.status();
            let title = match status {
                400 => "Bad Request",
                429 => "Too Many Requests",
                _ => "Service Unavailable",
            };
            let (status, body) = problem(status, refusal.code(), title, &refusal.to_string());
            respond(status, Some(&body))
        }
    }
}
