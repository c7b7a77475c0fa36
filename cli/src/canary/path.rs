//! Paths of the management API below `/canary`.

use crate::client::encode;

/// Returns the path of a flag's canary, followed by `tail`.
pub(super) fn path(flag: &str, tail: &str) -> String {
    format!("/canary/{}{tail}", encode(flag))
}
