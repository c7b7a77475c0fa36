//! The Cloudflare Worker: request facts in, `cutover_core` decides, fetch out.
//!
//! This crate holds no rule of its own. It translates between the runtime and the core, keeps the
//! isolate's snapshot fresh, and routes the request to legacy if any part of the crate fails. The
//! work per request is in `js/entry.js` and [`wire`]: one call from JavaScript into WebAssembly,
//! one string in, one number out.
//!
//! Everything except the modules behind `cfg(target_arch = "wasm32")` is plain Rust and is tested
//! on the host.

#[cfg(target_arch = "wasm32")]
pub mod bindings;
pub mod comparison_queue;
pub mod counting;
pub mod guarding;
pub mod isolate;
pub mod limiting;
pub mod reporting;
pub mod schedule;
pub mod settings;
#[cfg(test)]
mod test_support;
pub mod tracking;
pub mod wire;
