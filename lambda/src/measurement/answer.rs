//! Answers to isolates: the head as it was at most a quarter of a second ago, with the brakes since the isolate's revision, and
//! with the snapshot if it is small or cannot reach the isolate in another way.

use crate::{
    measurement::packing,
    platform::Platform,
    store::{Head, State, error::StoreError},
};
use axum::{
    Json,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use cutover_core::{
    Revision, Snapshot, Stamp,
    measurement::{answer::Answer, pace::Pace},
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

/// Age up to which a head answers.
const FRESH: Duration = Duration::from_millis(250);

/// Milliseconds within which Workers KV brings a revision as a rule. The answer brings it to an isolate that waits longer.
const KV_PATIENCE_MS: u64 = 60_000;

/// Largest snapshot, in compressed bytes, that is in the answer to every isolate that holds an older one. At thousands of
/// isolates the transfer of larger ones would cost more than everything else.
const MAX_PACKED: usize = 32_768;

/// Largest snapshot that is in an answer, in bytes. Lambda limits responses to 6 MB, and JSON grows when it is embedded in
/// JSON.
const MAX_SNAPSHOT: usize = 3_000_000;

/// Shortest answer that is compressed, in bytes.
const MIN_PACKED: usize = 1_024;

/// A head and the time before it was read.
#[derive(Debug, Clone)]
struct Word {
    head: Head,
    interval_ms: u64,
    read_at: SystemTime,
}

impl Word {
    /// Returns true if the head was read at most a quarter of a second ago. A clock that went backwards says nothing about
    /// that, and the monotonic clock stands still while a process is frozen.
    fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.read_at).is_ok_and(|age| age <= FRESH)
    }
}

/// A snapshot that this process derived.
#[derive(Debug, Clone)]
struct Derived {
    stamp: Stamp,
    text: Arc<str>,
    /// Size of the compressed document.
    packed: usize,
}

/// Answers of one process, with what they have in common.
#[derive(Debug)]
pub(super) struct Answers {
    /// The clients and settings.
    pub(super) platform: Platform,
    /// Held while it is read, so that concurrent questions share one read.
    word: tokio::sync::Mutex<Option<Word>>,
    snapshot: Mutex<Option<Derived>>,
}

impl Answers {
    /// Creates answers that have read nothing yet.
    pub(super) fn new(platform: Platform) -> Self {
        Self { platform, word: tokio::sync::Mutex::default(), snapshot: Mutex::default() }
    }

    /// Returns the answer for an isolate that holds a revision, and has known of a newer one for `behind_ms` milliseconds.
    ///
    /// # Errors
    ///
    /// Fails if the head cannot be read or decoded.
    pub(super) async fn answer(&self, held: Stamp, behind_ms: u64) -> Result<Answer, StoreError> {
        let Word { head, interval_ms, .. } = self.word().await?;
        let snapshot =
            if held < head.stamp() { self.snapshot_for(&head, held, behind_ms).await } else { None };
        // Revisions of two epochs cannot be compared.
        let since = if held.epoch == head.epoch { held.revision } else { Revision::default() };
        Ok(Answer {
            epoch: head.epoch,
            deployment: head.deployment,
            emergency: head.emergency,
            brakes: head.brakes.since(since),
            interval_ms,
            snapshot: snapshot.map(|text| text.to_string()),
            ..Answer::at(head.revision)
        })
    }

    async fn word(&self) -> Result<Word, StoreError> {
        let mut held = self.word.lock().await;
        let now = SystemTime::now();
        if let Some(word) = held.as_ref().filter(|word| word.is_fresh(now)) {
            return Ok(word.clone());
        }
        let store = &self.platform.store;
        let (head, pace) = tokio::join!(store.head(), store.pace());
        let pace = pace.unwrap_or_else(|error| {
            tracing::warn!(%error, "the pace of reports could not be read");
            Pace::default()
        });
        let word = Word { head: head?, interval_ms: pace.interval_ms, read_at: now };
        *held = Some(word.clone());
        Ok(word)
    }

    /// Returns the snapshot for an isolate that holds an older one, if it belongs into the answer. An answer without it is
    /// better than none, so a failure is logged.
    async fn snapshot_for(&self, head: &Head, held: Stamp, behind_ms: u64) -> Option<Arc<str>> {
        let is_reached = held.epoch == head.epoch && head.brakes.reaches(held.revision);
        let is_needed = !is_reached || behind_ms >= KV_PATIENCE_MS;
        let known = self.snapshot.lock().ok().and_then(|known| known.clone());
        let derived = match known {
            Some(known) if known.stamp >= head.stamp() => known,
            // Sizes change slowly: a much larger document did not become a small one.
            Some(known) if !is_needed && known.packed > 2 * MAX_PACKED => return None,
            _ => match self.derive().await {
                Ok(derived) => derived,
                Err(error) => {
                    tracing::warn!(%error, "an answer goes out without its snapshot");
                    return None;
                }
            },
        };
        let is_current = derived.stamp >= head.stamp();
        (is_current && belongs(is_needed, derived.text.len(), derived.packed)).then_some(derived.text)
    }

    async fn derive(&self) -> Result<Derived, StoreError> {
        let state: State = self.platform.store.state().await?;
        let snapshot: Snapshot = state.snapshot();
        let text: Arc<str> = snapshot.encode().map_err(|error| StoreError::Item(error.to_string()))?.into();
        let packed = packing::pack(text.as_bytes()).len();
        let derived = Derived { stamp: snapshot.stamp(), text, packed };
        if let Ok(mut held) = self.snapshot.lock() {
            *held = Some(derived.clone());
        }
        Ok(derived)
    }
}

/// Returns true if a snapshot of a size belongs into an answer.
fn belongs(is_needed: bool, size: usize, packed: usize) -> bool {
    size <= MAX_SNAPSHOT && (is_needed || packed <= MAX_PACKED)
}

/// Returns true if a request accepts a compressed response.
pub(super) fn accepts_packed(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("gzip"))
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
        let word = Word { head: Head::default(), interval_ms: 0, read_at };
        assert!(word.is_fresh(read_at) && word.is_fresh(read_at + FRESH));
        assert!(!word.is_fresh(read_at + FRESH + Duration::from_millis(1)));
        assert!(!word.is_fresh(read_at - Duration::from_millis(1)), "a clock that went backwards");
    }

    #[test]
    fn a_large_snapshot_is_for_isolates_that_cannot_have_it_otherwise() {
        assert!(belongs(false, 200_000, MAX_PACKED));
        assert!(!belongs(false, 200_000, MAX_PACKED + 1));
        assert!(belongs(true, MAX_SNAPSHOT, 1_000_000));
        assert!(!belongs(true, MAX_SNAPSHOT + 1, MAX_PACKED));
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
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, "br, gzip".parse().unwrap())]);
        assert!(accepts_packed(&headers) && !accepts_packed(&HeaderMap::new()));
    }
}
