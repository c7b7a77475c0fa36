//! Paths of the tools and build results, all below the workspace.

use std::path::PathBuf;

/// Returns the root of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace").to_path_buf()
}

/// Returns the directory of the built Worker.
pub fn worker() -> PathBuf {
    root().join("edge/build/worker")
}

/// Returns the folders of other builds of the Worker, which benchmarks measure next to the current one: the value of
/// CUTOVER_BASELINE, separated like the entries of PATH.
pub fn baselines() -> Vec<PathBuf> {
    std::env::var_os("CUTOVER_BASELINE")
        .map(|paths| std::env::split_paths(&paths).collect())
        .unwrap_or_default()
}

/// Returns the first of [`baselines`].
pub fn baseline() -> Option<PathBuf> {
    baselines().into_iter().next()
}

/// Returns the path of a tool that npm installed.
pub fn node_tool(name: &str) -> PathBuf {
    root().join("node_modules/.bin").join(name)
}

/// Returns the search path with the project's own Node first, for programs that npm installed.
pub fn search_path() -> std::ffi::OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(root().join(".tools/node/bin")).chain(std::env::split_paths(&inherited));
    std::env::join_paths(folders).expect("no directory of PATH has a colon in its name")
}

/// Returns the workerd binary for this platform.
pub fn workerd() -> PathBuf {
    let scope = root().join("node_modules/@cloudflare");
    std::fs::read_dir(&scope)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask doctor`", scope.display()))
        .flatten()
        .map(|entry| entry.path().join("bin/workerd"))
        .find(|path| path.is_file())
        .expect("npm installed workerd for this machine; run `cargo xtask doctor`")
}

/// Returns the path of cargo-lambda, which is installed from its Python wheel.
pub fn cargo_lambda() -> PathBuf {
    root().join(".tools/python/bin/cargo-lambda")
}

/// Returns the binary of a function, as `cargo build -p cutover-lambda` leaves it. The emergency function runs that of
/// management.
pub fn function(name: &str) -> PathBuf {
    let path = root().join("target/debug").join(name);
    assert!(path.is_file(), "{} is not built; run `cargo build -p cutover-lambda`", path.display());
    path
}

/// Returns the release binary of a function, as `cargo build --release -p cutover-lambda` leaves it.
pub fn release_function(name: &str) -> PathBuf {
    let path = root().join("target/release").join(name);
    assert!(path.is_file(), "{} is not built; run `cargo build --release -p cutover-lambda`", path.display());
    path
}

/// Creates and returns a directory below `target` for the files a run leaves behind: logs, reports,
/// endpoints.
pub fn target(name: &str) -> PathBuf {
    let path = root().join("target").join(name);
    std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
