//! The functions as AWS runs them: arm64, one archive each.

use crate::{
    root,
    run::{Failure, command, run, step},
    tools::cargo_lambda,
};
use std::fs;

/// The functions.
pub const FUNCTIONS: [&str; 4] = ["evaluate", "ingest", "management", "promote"];

/// Builds target/lambda/NAME/bootstrap.zip, and says how large each is.
pub fn build() -> Result<(), Failure> {
    step("building the functions for arm64");
    let mut build = command(cargo_lambda());
    build.args(["lambda", "build", "--release", "--arm64", "--locked", "--output-format", "zip"]);
    build.args(["-p", "cutover-lambda"]);
    // cargo-lambda looks for its zig in PATH first, and beside itself.
    if let Some(folder) = cargo_lambda().parent() {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&inherited));
        if let Ok(paths) = std::env::join_paths(paths) {
            build.env("PATH", paths);
        }
    }
    run(&mut build, "read what it printed above; `cargo xtask doctor` lists the tools")?;
    for name in FUNCTIONS {
        let archive = root().join("target/lambda").join(name).join("bootstrap.zip");
        let size = fs::metadata(&archive).map(|data| data.len()).map_err(|error| {
            Failure::new(format!("{}: {error}", archive.display()), "see what cargo-lambda printed above")
        })?;
        step(&format!("{name} is {size} bytes, zipped for arm64"));
    }
    Ok(())
}
