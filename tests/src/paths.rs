//! Where things are: everything below the workspace, wherever that is.

use std::path::PathBuf;

/// The root of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_path_buf()
}

/// The built Worker.
pub fn worker() -> PathBuf {
    root().join("edge/build/worker")
}

/// A tool that npm installed.
pub fn node_tool(name: &str) -> PathBuf {
    root().join("node_modules/.bin").join(name)
}

/// The workerd of this machine's kind.
pub fn workerd() -> PathBuf {
    let scope = root().join("node_modules/@cloudflare");
    std::fs::read_dir(&scope)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask doctor`", scope.display()))
        .flatten()
        .map(|entry| entry.path().join("bin/workerd"))
        .find(|path| path.is_file())
        .expect("npm installed workerd for this machine; run `cargo xtask doctor`")
}

/// cargo-lambda, from its wheel.
pub fn cargo_lambda() -> PathBuf {
    root().join(".tools/python/bin/cargo-lambda")
}

/// The binary of a function, as `cargo build -p cutover-lambda` leaves it.
pub fn function(name: &str) -> PathBuf {
    let path = root().join("target/debug").join(name);
    assert!(path.is_file(), "{} is not built; run `cargo build -p cutover-lambda`", path.display());
    path
}

/// A place for what a run leaves for people to read: logs, reports, endpoints.
pub fn target(name: &str) -> PathBuf {
    let path = root().join("target").join(name);
    std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
