//! The `credential_process` of an AWS profile: a program of the user that prints keys.

use crate::output;
use aws_credential_types::Credentials;
use serde_json::Value;
use std::{
    io::{self, Read},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Pause between two looks at a process that is still running.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs a process that prints credentials as JSON (version 1 of the AWS command line), and kills it if it does not end within
/// `limit`. Its output is secret, and never part of a message.
///
/// # Errors
///
/// Fails with the rest of a sentence that begins with the process.
pub(super) fn run(command: &str, limit: Duration) -> Result<Credentials, String> {
    let mut process = Command::new("sh");
    // It may ask for a code, on the terminal of the user.
    process.args(["-c", command]).stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let unusable = |error: io::Error| format!("cannot be run: {error}");
    let mut child = process.spawn().map_err(unusable)?;
    let Some(done) = finish(&mut child, limit).map_err(unusable)? else {
        // Both fail only if it has ended meanwhile.
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("did not end within {} s", limit.as_secs()));
    };
    if !done.status.success() {
        return Err(format!("failed: {}", done.status));
    }
    of_document(&done.stdout)
}

/// Waits for the end of a process and of its output. Returns `None` if the time is over first.
fn finish(child: &mut Child, limit: Duration) -> io::Result<Option<Output>> {
    let begun = Instant::now();
    let (sender, printed) = mpsc::channel();
    let stdout = child.stdout.take();
    // The thread is not joined: another process that this one has started may hold the output open for longer.
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut bytes));
        // It fails if the time is over.
        let _ = sender.send(read.map(|_| bytes));
    });
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if begun.elapsed() >= limit => return Ok(None),
            None => thread::sleep(PAUSE),
        }
    };
    match printed.recv_timeout(limit.saturating_sub(begun.elapsed())) {
        Ok(stdout) => Ok(Some(Output { status, stdout: stdout?, stderr: Vec::new() })),
        Err(_) => Ok(None),
    }
}

/// Reads the credentials that a process has printed.
fn of_document(printed: &[u8]) -> Result<Credentials, String> {
    let document: Value =
        serde_json::from_slice(printed).map_err(|_| "printed something else than JSON".to_owned())?;
    let text = |name: &str| Some(output::text(&document, name)).filter(|text| !text.is_empty());
    match (document.get("Version").and_then(Value::as_u64), text("AccessKeyId"), text("SecretAccessKey")) {
        (Some(1), Some(id), Some(secret)) => {
            Ok(Credentials::new(id, secret, text("SessionToken").map(str::to_owned), None, "process"))
        }
        (Some(1), ..) => Err("printed no AccessKeyId and SecretAccessKey".to_owned()),
        _ => Err("printed credentials of another version than 1".to_owned()),
    }
}
