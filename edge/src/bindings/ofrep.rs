//! Evaluations of flags, over OFREP.

use crate::{
    bindings::{
        response::response,
        state::{now_ms, with_isolate},
    },
    isolate::ofrep::EvaluationRequest,
    wire::Packed,
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

/// Answers a request for evaluations. JavaScript has hashed its `token` with SHA-256, and read its `body`, which it leaves out
/// if it is over the limit.
///
/// # Errors
///
/// Fails if the runtime cannot build the response.
#[wasm_bindgen]
pub fn evaluate(
    packed: &str,
    token: Option<Vec<u8>>,
    if_none_match: Option<String>,
    origin: Option<String>,
    body: Option<Vec<u8>>,
) -> Result<web_sys::Response, JsValue> {
    let Packed { method, path, .. } = Packed::new(packed);
    let request = EvaluationRequest {
        method,
        path,
        token: token.as_deref(),
        if_none_match: if_none_match.as_deref(),
        origin: origin.as_deref(),
        body: body.as_deref(),
    };
    let answered = with_isolate(|isolate| isolate.evaluate(&request, now_ms())).unwrap_or_default();
    let headers = answered.headers.iter().map(|(name, value)| (*name, value.as_str()));
    response(answered.status, headers, &answered.body)
}
