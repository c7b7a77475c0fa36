//! Steady traffic: users who send requests at a constant rate, and the result of each request with
//! its time.

use crate::http::Connection;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Result of one request.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The time at which it was sent.
    pub sent: Instant,
    /// Index of the requested path.
    pub path: usize,
    /// True if the new arm responded, as the edge reports it.
    pub new: bool,
    /// The status.
    pub status: u16,
}

/// Running traffic.
pub struct Steady {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Sample>>>,
    tasks: Vec<JoinHandle<()>>,
}

const CONNECTIONS: usize = 12;

impl Steady {
    /// Requests the given paths in turn, at the given ports, with the given total number of
    /// requests per second, each as another user.
    pub fn start(ports: &[u16], paths: &[&str], per_second: f64) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let next = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let tasks = (0..CONNECTIONS)
            .map(|connection| {
                let (stop, seen, next) = (Arc::clone(&stop), Arc::clone(&seen), Arc::clone(&next));
                let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
                let port = ports[connection % ports.len()];
                tokio::spawn(async move {
                    let mut connection = Connection::open(port).await;
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let due = begun + Duration::from_secs_f64(number as f64 / per_second);
                        tokio::time::sleep_until(due.into()).await;
                        let path = usize::try_from(number).expect("a few requests") % paths.len();
                        let user = format!("user-{number}");
                        let sent = Instant::now();
                        let response = connection.get(&paths[path], &[("x-user-id", &user)]).await;
                        let new = response.header("x-cutover-arm").as_deref() == Some("new");
                        let one = Sample { sent, path, new, status: response.status };
                        seen.lock().expect("no task panics inside").push(one);
                    }
                })
            })
            .collect();
        Self { stop, seen, tasks }
    }

    /// Returns the results so far.
    pub fn seen(&self) -> Vec<Sample> {
        self.seen.lock().expect("no task panics inside").clone()
    }

    /// Stops the traffic and returns all results, sorted by time.
    pub async fn stop(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            // A Worker that was killed closes its connections, and their tasks panic.
            let _ = task.await;
        }
        let mut seen = self.seen.lock().expect("no task panics inside").clone();
        seen.sort_by_key(|seen| seen.sent);
        seen
    }
}
