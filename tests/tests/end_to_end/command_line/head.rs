//! A command in front of `head -1`.

use cutover_tests::terminal::exit_code;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

/// Runs a command whose reader closes the pipe after the first line. One without an end is interrupted then. Returns its exit
/// code and its messages.
pub async fn head(mut command: Command, is_endless: bool) -> (i32, String) {
    let run = move || {
        let mut child = command.stdin(Stdio::null()).spawn().expect("cutover is built");
        let out = child.stdout.take().expect("a pipe");
        // The reader closes the pipe at the end of this statement.
        BufReader::new(out).read_line(&mut String::new()).expect("text");
        if is_endless {
            kill_process(Pid::from_child(&child), Signal::INT).expect("the command still runs");
        }
        let output = child.wait_with_output().expect("the command ends");
        (exit_code(output.status), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Blocks outside the async threads, because the command waits for servers in this process.
    tokio::task::spawn_blocking(run).await.expect("the command is run")
}
