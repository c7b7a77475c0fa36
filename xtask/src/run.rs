//! Runs programs, and reports failures in one line with a remedy.

use crate::root::{node_folder, root};
use std::{
    ffi::OsStr,
    fmt,
    io::{Error, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

/// A failed step, with a remedy.
#[derive(Debug)]
pub struct Failure {
    what: String,
    fix: String,
}

impl Failure {
    /// Creates a failure from a description and a remedy.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xtask: {}\n  fix: {}", self.what, self.fix)
    }
}

/// Prints the step that begins now.
pub fn step(what: &str) {
    eprintln!("==> {what}");
}

/// Creates a command that runs in the root of the workspace, without the variables that `cargo run` set for this process.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    // The project's own Node first: wrangler, esbuild and npm's scripts look for it in PATH.
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(node_folder()).chain(std::env::split_paths(&inherited));
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    // These variables would make an inner cargo rebuild everything.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        // And what the suite sets for its own builds must not reach a build that a test starts.
        let is_of_the_suite = name_text == "RUSTC_WORKSPACE_WRAPPER" || name_text == "CLIPPY_ARGS";
        if is_of_the_suite || name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_")
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command and waits for it. Its output is shown.
///
/// # Errors
/// Fails if the command cannot be started or exits with an error.
pub fn run(command: &mut Command, fix: &str) -> Result<(), Failure> {
    let shown = show(command);
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{shown}` ended with {status}"), fix)),
        Err(error) => Err(not_started(&shown, &error, fix)),
    }
}

/// Runs a command with the given standard input. Its output is hidden, because it may repeat the input.
///
/// # Errors
/// Fails if the command cannot be started or exits with an error.
pub fn with_input(command: &mut Command, input: &str, fix: &str) -> Result<(), Failure> {
    exchange(command, input, fix).map(|_| ())
}

/// Runs a command with the given standard input and returns its standard output, trimmed.
///
/// # Errors
/// Fails if the command cannot be started or exits with an error.
pub fn exchange(command: &mut Command, input: &str, fix: &str) -> Result<String, Failure> {
    let shown = show(command);
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| not_started(&shown, &error, fix))?;
    // A program that stops reading exits with an error of its own.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    match child.wait_with_output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(Failure::new(format!("`{shown}` ended with {}", output.status), fix)),
        Err(error) => Err(not_started(&shown, &error, fix)),
    }
}

/// Runs a command and returns its standard output, trimmed.
///
/// # Errors
/// Fails if the command cannot be started or exits with an error.
pub fn output(command: &mut Command, fix: &str) -> Result<String, Failure> {
    let shown = show(command);
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(Failure::new(format!("`{shown}` ended with {}", output.status), fix)),
        Err(error) => Err(not_started(&shown, &error, fix)),
    }
}

fn not_started(shown: &str, error: &Error, fix: &str) -> Failure {
    Failure::new(format!("`{shown}` could not be started: {error}"), fix)
}

fn show(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs cargo.
///
/// # Errors
/// Fails if cargo exits with an error.
pub fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    run(command("cargo").args(arguments), "read the messages above")
}

/// Replaces this process by another program.
///
/// # Errors
/// Fails if the program cannot be started.
#[cfg(unix)]
pub fn replace_with(program: PathBuf, arguments: &[&str]) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;
    let error = command(&program).args(arguments).exec();
    Err(not_started(&program.display().to_string(), &error, "run `cargo xtask doctor`"))
}

/// Replaces this process by another program.
///
/// # Errors
/// Fails if the program cannot be started.
#[cfg(not(unix))]
pub fn replace_with(program: PathBuf, arguments: &[&str]) -> Result<(), Failure> {
    run(command(&program).args(arguments), "run `cargo xtask doctor`")
}
