//! The paths of flags with values.

use crate::client::encode;

/// Returns the path of a flag with values, followed by `rest`.
pub(super) fn path(flag: &str, rest: &str) -> String {
    format!("/value-flags/{}{rest}", encode(flag))
}
