//! Checks of the requests of guarded routes, driven by JavaScript.

use crate::{
    bindings::state::with_isolate,
    guarding::{Checked, check},
    wire::{Packed, guard_verdict},
};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    /// The lines of the last check. JavaScript fetches them in the same turn.
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Checks a request, and returns the number of [`guard_verdict`]. The values of `packed` are `Content-Type`,
/// `Content-Encoding`, `Accept` and `Upgrade`. `is_too_large` means that the request has a body, which was not read
/// because of its size.
#[wasm_bindgen]
pub fn guard(packed: &str, route: u32, generation: u32, body: &[u8], is_too_large: bool) -> u32 {
    let body = (!is_too_large).then_some(body);
    let rules = with_isolate(|isolate| isolate.rules_of(generation)).flatten();
    let checked = rules.zip(usize::try_from(route).ok()).and_then(|(rules, route)| {
        // Here and not by WebCrypto, whose promise would cost several times as much.
        let checked = check(&rules, route, &Packed::new(packed), body, |text| Sha256::digest(text).into())?;
        if checked.untrusted > 0 {
            let id = rules.routes().get(route)?.id.clone();
            with_isolate(|isolate| {
                *isolate.untrusted_documents.entry(id).or_default() += u64::from(checked.untrusted);
            });
        }
        Some(checked)
    });
    let Checked { verdict, lines, .. } =
        checked.unwrap_or(Checked { verdict: guard_verdict::GONE, ..Checked::default() });
    LINES.replace(lines);
    verdict
}

/// Returns the lines of the last check, see [`Checked::lines`].
#[wasm_bindgen]
pub fn guard_lines() -> String {
    LINES.take()
}
