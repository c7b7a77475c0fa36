//! Responses that the Worker makes itself.

use wasm_bindgen::JsValue;

/// Builds a response; one with an empty body has none.
///
/// # Errors
///
/// Fails if the runtime cannot build the response.
pub(super) fn response<'h>(
    status: u16,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    body: &str,
) -> Result<web_sys::Response, JsValue> {
    let built = web_sys::Headers::new()?;
    for (name, value) in headers {
        built.set(name, value)?;
    }
    let init = web_sys::ResponseInit::new();
    init.set_status(status);
    init.set_headers(&built);
    web_sys::Response::new_with_opt_str_and_init(Some(body).filter(|body| !body.is_empty()), &init)
}
