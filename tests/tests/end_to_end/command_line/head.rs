//! A command in front of `head -1`.

use cutover_tests::terminal::{exit_code, interruptible};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Longest run of a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command whose reader closes the pipe after the first line. One without an end is interrupted then. Returns its exit
/// code and its messages.
pub async fn head(command: Command, is_endless: bool) -> (i32, String) {
    head_within(PATIENCE, command, is_endless).await
}

/// Runs a command like [`head`], and kills it when the time is over.
async fn head_within(patience: Duration, command: Command, is_endless: bool) -> (i32, String) {
    let run = move || {
        let mut command = if is_endless { interruptible(&command) } else { command };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("cutover is built");
        let out = child.stdout.take().expect("a pipe");
        let pid = Pid::from_child(&child);
        let (ended, watchdog) = watch(pid, patience);
        // The reader closes the pipe at the end of this statement.
        BufReader::new(out).read_line(&mut String::new()).expect("text");
        if is_endless {
            kill_process(pid, Signal::INT).expect("nobody has waited for the command");
        }
        let output = child.wait_with_output().expect("the command ends");
        drop(ended);
        let is_killed = watchdog.join().expect("the watchdog ends");
        let mut messages = String::from_utf8_lossy(&output.stderr).into_owned();
        if is_killed {
            messages.push_str(&format!("it did not end within {} s, and was killed", patience.as_secs()));
        }
        (exit_code(output.status), messages)
    };
    // Blocks outside the async threads, because the command waits for servers in this process.
    tokio::task::spawn_blocking(run).await.expect("the command is run")
}

/// Kills a process when the time is over, unless the sender is dropped first. The thread returns true if it did.
fn watch(pid: Pid, patience: Duration) -> (Sender<()>, JoinHandle<bool>) {
    let (sender, end) = mpsc::channel();
    let watchdog = thread::spawn(move || {
        let is_late = end.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
        is_late && kill_process(pid, Signal::KILL).is_ok()
    });
    (sender, watchdog)
}

/// Returns a command of the shell.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_an_end_is_interrupted_and_a_stubborn_one_is_killed() {
    let (code, messages) = head(shell("echo ready; exec sleep 60"), true).await;
    assert_eq!((code, messages.as_str()), (130, ""));
    let stubborn = shell("trap '' INT; echo ready; while :; do sleep 1; done");
    let (code, messages) = head_within(Duration::from_secs(2), stubborn, true).await;
    assert_eq!((code, messages.as_str()), (137, "it did not end within 2 s, and was killed"));
    let silent = shell("while :; do sleep 1; done");
    let (code, messages) = head_within(Duration::from_secs(2), silent, false).await;
    assert_eq!((code, messages.as_str()), (137, "it did not end within 2 s, and was killed"));
}
