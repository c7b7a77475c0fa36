//! Folders of the workspace.

use std::path::PathBuf;

/// The root folder of the workspace.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}

/// The folder with node, npm and npx. [`crate::run::command`] puts it first in `PATH`.
pub fn node_folder() -> PathBuf {
    root().join(".tools/node/bin")
}
