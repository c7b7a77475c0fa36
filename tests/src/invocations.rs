//! Invocations of evaluation in this process: those that are left alone after any of their steps, and those that live beside a
//! test, each on a thread of its own like a process of the function.

use crate::functions::connected;
use cutover_lambda::{
    measurement::evaluate::{Tick, invocation},
    store::StoreError,
};
use std::{future::poll_fn, pin::Pin, task::Poll, thread::JoinHandle, time::Duration};
use tokio::sync::watch;

/// Lets a future go on until it has waited `waits` times. Returns its result if it was over before.
pub async fn advance<F: Future>(mut future: Pin<&mut F>, waits: usize) -> Option<F::Output> {
    let mut left = waits;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// A running invocation. Dropping it ends it as if its process had died.
pub struct Invocation {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Option<Result<Tick, StoreError>>>>,
}

impl Invocation {
    /// Starts an invocation over an endpoint of DynamoDB, after a time. It works for `lifetime`; one pass if that is 0.
    pub fn start(endpoint: &str, lifetime: Duration, after: Duration) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let endpoint = endpoint.to_owned();
        let thread = std::thread::spawn(move || {
            let lifetime = lifetime.as_millis().to_string();
            let platform = connected(&endpoint, &[("CUTOVER_EVALUATION_MS", lifetime.as_str())]);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let work = async {
                    tokio::time::sleep(after).await;
                    invocation(&platform).await
                };
                tokio::select! {
                    ended = work => Some(ended),
                    _ = stopped.wait_for(|stopped| *stopped) => None,
                }
            })
        });
        Self { stop, thread: Some(thread) }
    }

    /// Waits until the invocation is over, and returns its result.
    ///
    /// # Errors
    ///
    /// Fails as the invocation did.
    pub async fn ended(mut self) -> Result<Tick, StoreError> {
        let thread = self.thread.take().expect("an invocation ends once");
        let ended = tokio::task::spawn_blocking(move || thread.join()).await.expect("the wait ends");
        ended.expect("an invocation does not panic").expect("it was not stopped")
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
