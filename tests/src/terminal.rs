//! A terminal of the usual size around a command, as an operator sits in front of it.

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::File,
    io::Read,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// Characters of a line.
pub const COLUMNS: u16 = 80;

/// Lines of the screen.
pub const ROWS: u16 = 24;

/// Longest run of a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause before Ctrl-C. A command that has drawn its screen may still be about to handle it.
const SETTLING: Duration = Duration::from_millis(300);

/// The output of a command on a terminal.
#[derive(Debug)]
pub struct Shown {
    /// The exit code.
    pub code: i32,
    /// Everything that was written to the terminal, with its escape sequences.
    pub output: String,
}

/// Runs a command on a terminal to its end. If `interrupt_at` is given, presses Ctrl-C once that text is on the screen.
pub async fn shown(command: Command, interrupt_at: Option<&'static str>) -> Shown {
    let run = move || on_terminal(command, interrupt_at);
    // Blocks outside the async threads, because the command waits for servers in this process.
    tokio::task::spawn_blocking(run).await.expect("the command is run")
}

/// Starts a program that Ctrl-C ends, also where this process ignores it, as shells have processes in the background do.
const INTERRUPTIBLE: &str = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])";

/// Returns the same command without its streams, ended by Ctrl-C whoever started this process.
pub fn interruptible(command: &Command) -> Command {
    let mut wrapped = Command::new("python3");
    wrapped.args(["-c", INTERRUPTIBLE]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

fn on_terminal(command: Command, interrupt_at: Option<&str>) -> Shown {
    let mut command = if interrupt_at.is_some() { interruptible(&command) } else { command };
    let (own, theirs) = pair();
    let end = || Stdio::from(theirs.try_clone().expect("a file handle can be cloned"));
    command.stdin(end()).stdout(end()).stderr(end());
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let mut child = command.spawn().expect("the command can be started");
    // The output ends once the command alone has held that end of the terminal.
    drop(command);
    drop(theirs);
    let chunks = chunks(File::from(own));
    let deadline = Instant::now() + PATIENCE;
    let (mut bytes, mut interrupt_at) = (Vec::new(), interrupt_at);
    loop {
        match chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(chunk) => bytes.extend(chunk),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the command does not end; it printed:\n{}", String::from_utf8_lossy(&bytes));
            }
        }
        if interrupt_at.is_some_and(|text| String::from_utf8_lossy(&bytes).contains(text)) {
            interrupt_at = None;
            thread::sleep(SETTLING);
            kill_process(Pid::from_child(&child), Signal::INT).expect("the command still runs");
        }
    }
    let status = child.wait().expect("the command ends");
    Shown { code: exit_code(status), output: String::from_utf8_lossy(&bytes).into_owned() }
}

/// Returns the exit code as shells report it, which is 128 and the number of the signal that ended the process.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).expect("the process has ended")
}

/// Opens a terminal. Returns the end of the person, and that of the command.
fn pair() -> (OwnedFd, OwnedFd) {
    let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&own).expect("the terminal is ours");
    unlockpt(&own).expect("the terminal can be opened");
    let name = ptsname(&own, Vec::<u8>::new()).expect("the terminal has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("the terminal can be opened");
    let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&theirs, size).expect("a terminal has a size");
    (own, theirs)
}

/// Reads a terminal until nobody writes to it any more.
fn chunks(mut terminal: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4_096];
        // Linux reports the end as an error.
        while let Ok(count @ 1..) = terminal.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Returns the lines of an output without colours. Each frame of a screen that is redrawn begins with a new line.
pub fn visible(output: &str) -> String {
    let mut text = String::new();
    let mut characters = output.chars();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {}
            '\x1b' => {
                let sequence = sequence(&mut characters);
                let is_new_screen = sequence.ends_with('H') || sequence.contains("?1049");
                if is_new_screen && !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
            }
            other => text.push(other),
        }
    }
    text
}

/// Reads the rest of an escape sequence: a bracket, parameters, and the letter that ends it.
fn sequence(characters: &mut impl Iterator<Item = char>) -> String {
    let mut sequence = String::new();
    for character in characters {
        sequence.push(character);
        if character != '[' && ('@'..='~').contains(&character) {
            break;
        }
    }
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_terminal_of_the_usual_size() {
        let mut command = Command::new("sh");
        command.args(["-c", "stty size; test -t 0 && test -t 1 && test -t 2 && echo terminal; exit 3"]);
        let shown = on_terminal(command, None);
        assert_eq!((visible(&shown.output).as_str(), shown.code), ("24 80\nterminal\n", 3));
    }

    #[test]
    fn a_command_without_an_end_is_interrupted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; exec sleep 60"]);
        let shown = on_terminal(command, Some("ready"));
        assert_eq!(shown.code, 130, "{shown:?}");
    }

    #[test]
    fn a_command_is_interrupted_also_if_its_parent_ignores_that() {
        let mut endless = Command::new("sh");
        endless.args(["-c", "echo ready; exec sleep 60"]);
        let endless = interruptible(&endless);
        let mut ignoring = Command::new("sh");
        ignoring
            .args(["-c", "trap '' INT; exec \"$@\"", "sh"])
            .arg(endless.get_program())
            .args(endless.get_args());
        let shown = on_terminal(ignoring, Some("ready"));
        assert_eq!(shown.code, 130, "{shown:?}");
    }

    #[test]
    fn escape_sequences_are_not_visible() {
        let frames = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[Jone\r\nfoot\x1b[H\x1b[J\x1b[1m\x1b[32mtwo\x1b[0m\x1b[?25h\x1b[?1049l";
        assert_eq!(visible(frames), "one\nfoot\ntwo\n");
        assert_eq!(visible("a\x1b[31mb\x1b[0mc\r\n"), "abc\n");
    }
}
