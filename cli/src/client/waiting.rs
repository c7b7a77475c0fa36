//! The line about a response that is slow to come, for an operator at a terminal.

use crate::notice;
use std::{
    io::{IsTerminal, stderr},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

/// Longest wait without a line.
const QUIET: Duration = Duration::from_secs(5);

/// A wait for a response, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Ends the thread that would tell.
    _end: Sender<()>,
}

impl Waiting {
    /// Begins to wait for a URL. Returns `None` if nobody reads standard error meanwhile.
    pub(super) fn begin(url: &str) -> Option<Self> {
        let line = format!("still waiting for {url}");
        stderr().is_terminal().then(|| Self::of(QUIET, move || notice::print(&line)))
    }

    /// Begins to wait, and calls `tell` once if the wait takes longer than `quiet`.
    fn of(quiet: Duration, tell: impl FnOnce() + Send + 'static) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            if ended.recv_timeout(quiet) == Err(RecvTimeoutError::Timeout) {
                tell();
            }
        });
        Self { _end: end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_wait_is_told_of() {
        let (sender, told) = mpsc::channel();
        let other = sender.clone();
        let quiet = Duration::from_millis(50);
        let long = Waiting::of(quiet, move || sender.send("long").unwrap());
        drop(Waiting::of(Duration::from_secs(600), move || other.send("short").unwrap()));
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok("long"));
        drop(long);
        // Both threads have ended, so nothing more can be told.
        assert!(
            told.recv_timeout(Duration::from_secs(10))
                .is_err_and(|end| end == RecvTimeoutError::Disconnected)
        );
    }
}
