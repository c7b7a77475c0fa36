//! Child processes that cannot outlive their handle: each gets its own process group, and the whole
//! group is terminated, because wrangler and cargo-lambda start grandchildren.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::{
    fs::File,
    ops::Range,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Time that a group has to exit on SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A running child and every process it started.
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts a command whose standard output and standard error both go to the log file.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let file = File::create(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = file.try_clone().expect("a file handle can be cloned");
        let child =
            command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0).spawn().unwrap_or_else(
                |error| panic!("{name} ({:?}) could not be started: {error}", command.get_program()),
            );
        let group = Pid::from_child(&child);
        Self { name: name.to_owned(), child, group, log: log.to_path_buf() }
    }

    /// Returns the process id, which is also the id of the group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the output of the child so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Returns the exit status if the child has exited.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until `look` returns a value for the output, and returns that value. `expected` names
    /// it in failure messages.
    pub fn wait_for<T>(&mut self, expected: &str, patience: Duration, look: impl Fn(&str) -> Option<T>) -> T {
        let started = Instant::now();
        let deadline = started + patience;
        loop {
            let output = self.output();
            if let Some(found) = look(&output) {
                return found;
            }
            if let Some(status) = self.ended() {
                panic!("{} ended with {status} before {expected}; it printed:\n{output}", self.name);
            }
            assert!(
                Instant::now() < deadline,
                "{}: no {expected} after {patience:?}; it printed:\n{output}",
                self.name
            );
            // Often at first, because starts of workerd are measured.
            let pause = if started.elapsed() < Duration::from_millis(200) { 1 } else { 20 };
            std::thread::sleep(Duration::from_millis(pause));
        }
    }

    /// Kills the whole group, which has no time to finish anything.
    pub fn kill(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }

    /// Terminates the whole group and waits until it is gone.
    pub fn stop(&mut self) {
        let _ = kill_process_group(self.group, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            let _ = self.child.try_wait();
            if test_kill_process_group(self.group).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns a free port for a program that needs its port number before it starts. Each call returns
/// another port, below the ephemeral ports, so that the kernel does not assign it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes that run in parallel start at different offsets.
    let offset = std::process::id() * 131;
    for _ in 0..PORTS.len() {
        let index = offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
        let port = PORTS.start + u16::try_from(index).expect("below the number of ports");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("this machine has no free port from {} to {}", PORTS.start, PORTS.end);
}

const PORTS: Range<u16> = 20_000..32_000;

/// Returns the first of four free ports in a row, for `cargo xtask dev --port`. Each call returns another row, below the
/// ports of [`free_port`].
pub fn free_row() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let rows = (ROWS.end - ROWS.start) / ROW;
    for _ in 0..rows {
        let index = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(rows);
        let base = ROWS.start + u16::try_from(index).expect("below the number of rows") * ROW;
        if (base..base + ROW).all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
    panic!("this machine has no {ROW} free ports in a row from {} to {}", ROWS.start, ROWS.end);
}

const ROW: u16 = 4;
const ROWS: Range<u16> = 12_000..20_000;
