//! The state of the isolate, and the values that only the runtime can give.

use crate::isolate::Isolate;
use std::{cell::RefCell, fmt::Write};

thread_local! {
    static ISOLATE: RefCell<Isolate> = RefCell::new(Isolate::default());
}

/// Runs one step on the isolate's state. Returns `None` only if a step calls another step, which
/// none does.
pub(super) fn with_isolate<T>(step: impl FnOnce(&mut Isolate) -> T) -> Option<T> {
    ISOLATE.with(|isolate| isolate.try_borrow_mut().ok().map(|mut isolate| step(&mut isolate)))
}

/// Returns the current time in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    // Whole milliseconds since 1970 fit.
    js_sys::Date::now() as i64
}

/// Returns 128 random bits as 32 hexadecimal digits, or `None` if the runtime has no randomness.
pub(super) fn mint() -> Option<String> {
    let mut bits = [0_u8; 16];
    getrandom::fill(&mut bits).ok()?;
    let mut id = String::with_capacity(32);
    for byte in bits {
        write!(id, "{byte:02x}").ok()?;
    }
    Some(id)
}
