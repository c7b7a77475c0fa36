//! Builds the functions as AWS runs them: for arm64, one archive each.

use crate::{
    root::root,
    run::{Failure, command, run, step},
    tools::cargo_lambda,
};
use std::{fs, process::Command};

/// Names of the functions, which are also the names of their binaries.
pub const FUNCTIONS: [&str; 5] = ["ask", "evaluate", "ingest", "management", "promote"];

/// The function that runs the program of management for emergencies only.
pub const EMERGENCY: &str = "emergency";

/// Builds target/lambda/NAME/bootstrap.zip and prints the sizes.
///
/// # Errors
/// Fails if cargo-lambda fails or leaves no archive.
pub fn build() -> Result<(), Failure> {
    step("building the functions for arm64");
    let mut build = arm64_build();
    build.args(["--output-format", "zip", "-p", "cutover-lambda"]);
    run(&mut build, "read what it printed above; `cargo xtask doctor` lists the tools")?;
    for name in FUNCTIONS {
        let archive = root().join("target/lambda").join(name).join("bootstrap.zip");
        let size = fs::metadata(&archive).map(|data| data.len()).map_err(|error| {
            Failure::new(format!("{}: {error}", archive.display()), "read what cargo-lambda printed above")
        })?;
        step(&format!("{name} has {size} bytes, zipped for arm64"));
    }
    Ok(())
}

/// Returns the command that builds for arm64, with the linker that comes with cargo-lambda.
pub fn arm64_build() -> Command {
    let mut build = command(cargo_lambda());
    build.args(["lambda", "build", "--release", "--arm64", "--locked"]);
    // cargo-lambda looks for zig in PATH first.
    if let Some(folder) = cargo_lambda().parent() {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&inherited));
        if let Ok(paths) = std::env::join_paths(paths) {
            build.env("PATH", paths);
        }
    }
    build
}
