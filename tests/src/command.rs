//! The `cutover` command, run as an operator runs it.

use crate::{
    paths,
    stack::{ROOT_TOKEN, Stack},
};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Result of a command.
#[derive(Debug)]
pub struct CommandOutput {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `cutover` against a stack.
pub async fn cutover(stack: &Stack, token: &str, arguments: &[&str], input: &str) -> CommandOutput {
    let mut command = command(arguments);
    command.env("CUTOVER_URL", stack.lambda.url("management")).env("CUTOVER_TOKEN", token);
    run(command, input).await
}

/// Runs `cutover` with the root token against a management API at a base URL.
pub async fn cutover_at(url: &str, arguments: &[&str]) -> CommandOutput {
    let mut command = command(arguments);
    command.env("CUTOVER_URL", url).env("CUTOVER_TOKEN", ROOT_TOKEN);
    run(command, "").await
}

/// Runs `cutover` without a management API.
pub async fn cutover_alone(arguments: &[&str], input: &str) -> CommandOutput {
    let mut command = command(arguments);
    command.env_remove("CUTOVER_URL").env_remove("CUTOVER_TOKEN");
    run(command, input).await
}

/// Runs `cutover` without a management API but that of its contexts, which are in a folder, and with further environment
/// variables.
pub async fn cutover_with_contexts(
    folder: &Path,
    variables: &[(&str, &str)],
    arguments: &[&str],
    input: &str,
) -> CommandOutput {
    let mut command = command(arguments);
    command.env_remove("CUTOVER_URL").env_remove("CUTOVER_TOKEN").env("XDG_CONFIG_HOME", folder);
    command.envs(variables.iter().copied());
    run(command, input).await
}

/// Prepares `cutover` with pipes, without contexts, and with the environment of the tests.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(paths::root().join("target/debug/cutover"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Not the contexts of whoever runs the tests.
    command.env("XDG_CONFIG_HOME", paths::root().join("target/no-contexts")).env_remove("CUTOVER_CONTEXT");
    command
}

/// Runs a prepared command to its end, with this input.
pub async fn run(mut command: Command, input: &str) -> CommandOutput {
    let input = input.to_owned();
    // Blocks outside the async threads, because the command waits for servers in this process.
    let run = move || {
        let mut child = command.spawn().expect("cutover is built; run `cargo build -p cutover`");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the command reads");
        let output = child.wait_with_output().expect("the command ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        CommandOutput {
            code: output.status.code().expect("an exit code"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    };
    tokio::task::spawn_blocking(run).await.expect("the command is run")
}
