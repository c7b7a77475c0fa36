//! Running programs, and saying what could not be done in one line.

use crate::root;
use std::{
    ffi::OsStr,
    fmt,
    io::{Error, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

/// What could not be done, and how to fix it.
#[derive(Debug)]
pub struct Failure {
    what: String,
    fix: String,
}

impl Failure {
    /// What could not be done, and how to fix it.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xtask: {}\n  fix: {}", self.what, self.fix)
    }
}

/// Says what happens now.
pub fn step(what: &str) {
    eprintln!("==> {what}");
}

/// A command that runs in the root of the workspace, without what cargo told this process.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    // What `cargo run` sets for xtask would make an inner cargo build everything anew.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end; what it prints is seen.
pub fn run(command: &mut Command, fix: &str) -> Result<(), Failure> {
    let shown = show(command);
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{shown}` ended with {status}"), fix)),
        Err(error) => Err(not_started(&shown, &error, fix)),
    }
}

/// Runs a command to its end with a text that it reads; what it prints is not shown, because it may repeat the text.
pub fn with_input(command: &mut Command, input: &str, fix: &str) -> Result<(), Failure> {
    let shown = show(command);
    let started = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let mut child = started.map_err(|error| not_started(&shown, &error, fix))?;
    // A program that does not read says by its status what was wrong.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{shown}` ended with {status}"), fix)),
        Err(error) => Err(not_started(&shown, &error, fix)),
    }
}

/// Runs a command to its end and returns what it printed.
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
pub fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    run(command("cargo").args(arguments), "read what it printed above")
}

/// Goes on as another program.
#[cfg(unix)]
pub fn replace_with(program: PathBuf, arguments: &[&str]) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;
    let error = command(&program).args(arguments).exec();
    Err(not_started(&program.display().to_string(), &error, "run `cargo xtask doctor`"))
}

/// Goes on as another program.
#[cfg(not(unix))]
pub fn replace_with(program: PathBuf, arguments: &[&str]) -> Result<(), Failure> {
    run(command(&program).args(arguments), "run `cargo xtask doctor`")
}
