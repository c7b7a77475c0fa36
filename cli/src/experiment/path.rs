//! The paths of experiments.

use crate::client::encode;

/// Returns the path of an experiment, followed by `rest`.
pub(super) fn path(experiment: &str, rest: &str) -> String {
    format!("/experiments/{}{rest}", encode(experiment))
}
