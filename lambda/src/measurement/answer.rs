//! Answers to isolates: the head as it was at most a quarter of a second ago, with the brakes since the isolate's revision, and
//! with the snapshot if it is small or cannot reach the isolate in another way.

mod health;
mod snapshots;

use crate::{
    clock,
    measurement::{
        answer::{
            health::{HealthWriter, HeldHealth, PATIENCE as HEALTH_PATIENCE},
            snapshots::{Lag, Snapshots},
        },
        packing,
    },
    platform::Platform,
    store::{Head, error::StoreError},
};
use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use cutover_core::{
    Revision, Stamp,
    measurement::{answer::Answer, health::OpenOrigin, pace::Pace},
};
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, MutexGuard};

/// Age up to which a head answers.
const FRESH: Duration = Duration::from_millis(250);

/// Time for which an answer waits for a snapshot that another one has derived.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shortest answer that is compressed, in bytes.
const MIN_PACKED: usize = 1_024;

/// Time for which the pace of reports is not read again: it changes once a minute at most.
const PACE_KEPT: Duration = Duration::from_secs(1);

/// A head, with the interval and the health that are read beside it, and the time before it was read.
#[derive(Debug, Clone)]
struct Word {
    head: Head,
    interval_ms: u64,
    /// Time before the interval was read.
    paced_at: SystemTime,
    health: HeldHealth,
    read_at: SystemTime,
}

impl Word {
    /// Returns true if the head was read at most a quarter of a second ago. A clock that went backwards says nothing about
    /// that, and the monotonic clock stands still while a process is frozen.
    fn is_fresh(&self, now: SystemTime) -> bool {
        is_within(FRESH, self.read_at, now)
    }
}

fn is_within(limit: Duration, then: SystemTime, now: SystemTime) -> bool {
    now.duration_since(then).is_ok_and(|age| age <= limit)
}

/// Answers of one process, with what they have in common.
#[derive(Debug)]
pub(super) struct Answers {
    /// The clients and settings.
    pub(super) platform: Platform,
    /// Held while it is read, so that concurrent questions share one read.
    word: Mutex<Option<Word>>,
    health_writer: HealthWriter,
    snapshots: Mutex<Snapshots>,
}

impl Answers {
    /// Creates answers that have read nothing yet.
    pub(super) fn new(platform: Platform) -> Self {
        Self {
            platform,
            word: Mutex::default(),
            health_writer: HealthWriter::default(),
            snapshots: Mutex::default(),
        }
    }

    /// Returns the answer for an isolate that holds a revision, and has known of a newer one for `behind_ms` milliseconds.
    ///
    /// # Errors
    ///
    /// Fails if the head cannot be read or decoded.
    pub(super) async fn answer(&self, held: Stamp, behind_ms: u64) -> Result<Answer, StoreError> {
        let Word { head, interval_ms, health, .. } = self.word().await?;
        let is_reached = head.reaches(held);
        let mut snapshot = None;
        if held < head.stamp()
            && let Some(mut snapshots) = self.snapshots(!is_reached).await
        {
            let lag = Lag { held, behind_ms };
            // As reports are spread, by the number of isolates: there are as many processes as these need.
            snapshot = snapshots.text_for(&self.platform.store, &head, lag, interval_ms).await;
        }
        // Revisions of two epochs cannot be compared.
        let since = if held.epoch == head.epoch { held.revision } else { Revision::default() };
        let brakes_after = (!is_reached).then(|| head.brakes.after());
        Ok(Answer {
            epoch: head.epoch,
            deployment: head.deployment,
            emergency: head.emergency,
            brakes: head.brakes.since(since),
            brakes_after,
            interval_ms,
            health: health.stored.reports.open_origins(clock::now().millis()),
            snapshot: snapshot.map(|text| text.to_string()),
            ..Answer::at(head.revision)
        })
    }

    /// Returns the snapshots of this process; `None` while another answer has one derived. That is waited for if the isolate needs
    /// the snapshot, because it sends nobody to the new arm without it.
    async fn snapshots(&self, is_needed: bool) -> Option<MutexGuard<'_, Snapshots>> {
        if is_needed {
            tokio::time::timeout(PATIENCE, self.snapshots.lock()).await.ok()
        } else {
            self.snapshots.try_lock().ok()
        }
    }

    async fn word(&self) -> Result<Word, StoreError> {
        let mut held = self.word.lock().await;
        let now = SystemTime::now();
        if let Some(word) = held.as_ref().filter(|word| word.is_fresh(now)) {
            return Ok(word.clone());
        }
        let store = &self.platform.store;
        let paced = held.as_ref().filter(|word| is_within(PACE_KEPT, word.paced_at, now));
        let paced = paced.map(|word| (word.interval_ms, word.paced_at));
        let pace = async {
            match paced {
                Some(kept) => kept,
                None => (self.read_interval_ms().await, now),
            }
        };
        let known = held.as_ref().map(|word| word.health.clone()).unwrap_or_default();
        let (head, (interval_ms, paced_at), health) =
            tokio::join!(store.head(), pace, known.renewed(store.health(false), now));
        let word = Word { head: head?, interval_ms, paced_at, health, read_at: now };
        *held = Some(word.clone());
        Ok(word)
    }

    /// Takes in the origins that an isolate holds open. A report that cannot be written in time is lost: the isolate
    /// sends it again with its next question, and its answer does not wait.
    pub(super) async fn take_report(&self, isolate: &str, open: &[OpenOrigin]) {
        // The answer reads this too, so it costs nothing here.
        let Ok(Word { health, .. }) = self.word().await else { return };
        let writing = self.health_writer.write(&self.platform.store, health.stored, isolate, open);
        match tokio::time::timeout(HEALTH_PATIENCE, writing).await {
            Ok(Ok(Some(stored))) => {
                // This process need not read what it wrote.
                if let Some(word) = self.word.lock().await.as_mut() {
                    word.health.stored = stored;
                }
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the health of origins could not be written"),
            Err(_) => tracing::warn!("the health of origins could not be written in time"),
        }
    }

    async fn read_interval_ms(&self) -> u64 {
        let pace = self.platform.store.pace().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the pace of reports could not be read");
            Pace::default()
        });
        pace.interval_ms
    }
}

/// Builds the response with an answer.
pub(super) fn respond(answer: &Answer, is_packed: bool) -> Response {
    let json = serde_json::to_vec(answer).unwrap_or_default();
    if !is_packed || json.len() < MIN_PACKED {
        return Json(answer).into_response();
    }
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
    (headers, packing::pack(&json)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_answers_for_a_quarter_of_a_second_of_the_wall_clock() {
        let read_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let word = Word {
            head: Head::default(),
            interval_ms: 0,
            paced_at: read_at,
            health: HeldHealth::default(),
            read_at,
        };
        assert!(word.is_fresh(read_at) && word.is_fresh(read_at + FRESH));
        assert!(!word.is_fresh(read_at + FRESH + Duration::from_millis(1)));
        assert!(!word.is_fresh(read_at - Duration::from_millis(1)), "a clock that went backwards");
    }

    #[test]
    fn a_long_answer_is_compressed_for_those_who_accept_it() {
        let short = Answer::at(Revision(1));
        let long = Answer { snapshot: Some("x".repeat(5_000)), ..short.clone() };
        for (answer, is_packed, expected) in
            [(&short, true, false), (&long, false, false), (&long, true, true)]
        {
            let response = respond(answer, is_packed);
            let encoding = response.headers().get(header::CONTENT_ENCODING);
            assert_eq!(encoding.is_some(), expected);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        }
    }
}
