//! Where isolates report to: batches are checked, stored once, and answered with how things stand. That answer is the
//! fast path of the kill switch.

use crate::{
    Platform, auth, clock, http,
    problem::Problem,
    store::{State, Stored},
};
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Request, State as Shared},
    http::{HeaderMap, StatusCode},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::post,
};
use cutover_core::{
    Revision, Snapshot,
    batch::{Batch, Receipt, SCHEMA},
    signature::{self, Refused},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// The largest batch, in bytes. DynamoDB holds 400 KB in an item; an isolate sends 200 cells at most.
pub const MAX_BATCH: usize = 300_000;

/// The largest snapshot that travels in an answer, in bytes; Lambda lets 6 MB through, and JSON inside JSON grows.
const MAX_SNAPSHOT: usize = 3_000_000;

/// What one process of the function keeps between requests.
struct Ingest {
    platform: Platform,
    /// The newest snapshot that was derived here, with its revision.
    snapshot: Mutex<Option<(Revision, Arc<str>)>>,
    /// Counts that go to the table with the next batch: a refusal by itself is not worth a write, and whoever
    /// provokes it shall not be able to cause any.
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

/// The routes of the function.
pub fn router(platform: Platform) -> Router {
    let ingest = Ingest { platform, snapshot: Mutex::default(), counts: Mutex::default() };
    Router::new()
        .route("/v1/batches", post(receive))
        .fallback(|| async {
            let hint = "isolates post to /v1/batches; see docs/api.md";
            Problem::new(StatusCode::NOT_FOUND, "path_unknown", "there is nothing at this path", hint)
        })
        .layer(from_fn(http::observe))
        .with_state(Arc::new(ingest))
}

async fn receive(Shared(ingest): Shared<Arc<Ingest>>, request: Request) -> Response {
    match ingest.take(request).await {
        Ok(receipt) => Json(receipt).into_response(),
        Err((kind, problem)) => {
            tracing::warn!(event = "batch_refused", kind, %problem, "batch refused");
            ingest.count(kind, 1);
            problem.into_response()
        }
    }
}

/// The counter that it adds to, and the answer.
pub type Refusal = (&'static str, Box<Problem>);

impl Ingest {
    fn count(&self, kind: &'static str, by: u64) {
        if let Ok(mut counts) = self.counts.lock() {
            *counts.entry(kind).or_default() += by;
        }
    }

    async fn take(&self, request: Request) -> Result<Receipt, Refusal> {
        let (parts, body) = request.into_parts();
        let taken = self.take_from(&parts.headers, body).await;
        // Whoever sends one wrong batch after the other is only told to wait. What is signed is taken whatever else comes
        // from the same address: isolates share theirs with strangers.
        if let Err((kind, _)) = &taken
            && !matches!(*kind, "failed" | "limited")
        {
            limited(self.platform.limits.refusals.take(auth::source(&parts), Instant::now()))?;
        }
        taken
    }

    async fn take_from(&self, headers: &HeaderMap, body: Body) -> Result<Receipt, Refusal> {
        let body = to_bytes(body, MAX_BATCH).await.map_err(|_| {
            let detail = format!("a batch has at most {MAX_BATCH} bytes");
            let problem = Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "batch_too_large",
                detail,
                "send fewer cells at once",
            );
            ("oversized", Box::new(problem))
        })?;
        let now = clock::now().millis();
        self.check_signature(headers, &body, now).await?;
        let batch = read(&body)?;
        limited(self.platform.limits.callers.take(&batch.isolate, Instant::now()))?;
        let store = &self.platform.store;
        let failed = |error: crate::store::StoreError| ("failed", Box::new(Problem::from(error)));
        let mut duplicate = false;
        if batch.sequence == 0 {
            store.note_question(&batch, now).await.map_err(failed)?;
        } else {
            // What is not stored in half the time that evaluation waits for stragglers is refused, and sent again.
            let patience = self.platform.settings.settle / 2;
            let text = String::from_utf8_lossy(&body);
            let stored = tokio::time::timeout(patience, store.store_batch(&batch, &text, now))
                .await
                .map_err(|_| {
                    ("failed", Box::new(Problem::unavailable("store_slow", "the store took too long")))
                })?
                .map_err(failed)?;
            duplicate = stored == Stored::Duplicate;
            self.count(if duplicate { "duplicate" } else { "stored" }, 1);
            let newest = batch.cells.iter().map(|cell| cell.window).max();
            if newest.is_some_and(|window| now - window > LATE_MS) {
                self.count("late", 1);
            }
        }
        self.flush_counts().await;
        self.receipt(&batch, duplicate).await.map_err(failed)
    }

    async fn check_signature(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (at, signature) = (text(signature::TIMESTAMP), text(signature::SIGNATURE));
        let unreadable = |error: crate::secret::SecretError| {
            tracing::error!(%error, "no signature can be checked");
            let detail = "the secret that signatures are checked with could not be read";
            ("failed", Box::new(Problem::unavailable("secret_unavailable", detail)))
        };
        let secret = &self.platform.settings.ingest_secrets;
        let values = secret.values().await.map_err(unreadable)?;
        let mut checked = signature::verify(&values, at, signature, body, now);
        // The edge may have the new secret before this process has.
        if checked == Err(Refused::Wrong)
            && let Some(newer) = secret.again().await.map_err(unreadable)?
        {
            checked = signature::verify(&newer, at, signature, body, now);
        }
        checked.map_err(|refused| {
            let (kind, detail, hint) = match refused {
                Refused::Missing => {
                    ("unsigned", "the batch carries no signature", "sign it; see docs/api.md")
                }
                Refused::Skewed => (
                    "skewed",
                    "the batch was signed too long ago, or by a clock that is wrong",
                    "set the clock, and sign every message anew",
                ),
                Refused::Wrong => (
                    "forged",
                    "the signature does not fit the batch",
                    "use the same secret at the edge and in the function",
                ),
            };
            (kind, Box::new(Problem::new(StatusCode::UNAUTHORIZED, "signature_invalid", detail, hint)))
        })
    }

    async fn flush_counts(&self) {
        let counts = self.counts.lock().map(|mut counts| std::mem::take(&mut *counts)).unwrap_or_default();
        if let Err(error) = self.platform.store.add_ingest_counts(&counts).await {
            tracing::warn!(%error, "counters of ingest are added later");
            counts.into_iter().for_each(|(kind, by)| self.count(kind, by));
        }
    }

    /// How things stand; with the snapshot where the isolate's is older.
    async fn receipt(&self, batch: &Batch, duplicate: bool) -> Result<Receipt, crate::store::StoreError> {
        let head = self.platform.store.head().await?;
        if batch.revision >= head.revision {
            return Ok(Receipt {
                revision: head.revision,
                emergency: head.emergency,
                snapshot: None,
                duplicate,
            });
        }
        let held = self.snapshot.lock().ok().and_then(|held| held.clone());
        let (revision, text) = match held.filter(|(revision, _)| *revision >= head.revision) {
            Some(held) => held,
            None => self.derive().await?,
        };
        let fits = revision >= head.revision && text.len() <= MAX_SNAPSHOT;
        Ok(Receipt {
            revision: head.revision,
            emergency: head.emergency,
            snapshot: fits.then(|| text.to_string()),
            duplicate,
        })
    }

    async fn derive(&self) -> Result<(Revision, Arc<str>), crate::store::StoreError> {
        let state: State = self.platform.store.state().await?;
        let snapshot: Snapshot = state.snapshot();
        let text: Arc<str> =
            snapshot.encode().map_err(|error| crate::store::StoreError::Item(error.to_string()))?.into();
        if let Ok(mut held) = self.snapshot.lock() {
            *held = Some((snapshot.revision, Arc::clone(&text)));
        }
        Ok((snapshot.revision, text))
    }
}

/// A batch whose newest window began longer ago than this is late.
const LATE_MS: i64 = Duration::from_secs(60).as_millis() as i64;

/// The answer where a limit is reached.
fn limited(taken: Result<(), u16>) -> Result<(), Refusal> {
    taken.map_err(|seconds| ("limited", Box::new(auth::too_many(seconds))))
}

/// Reads a batch, or says what is wrong with it.
pub fn read(body: &[u8]) -> Result<Batch, Refusal> {
    let malformed = |detail: String| {
        let hint = "deploy an edge and functions that belong together";
        ("malformed", Box::new(Problem::new(StatusCode::BAD_REQUEST, "batch_malformed", detail, hint)))
    };
    let batch: Batch =
        serde_json::from_slice(body).map_err(|error| malformed(format!("not a batch: {error}")))?;
    if batch.schema != SCHEMA {
        return Err(malformed(format!("schema {} is not known here; this reads {SCHEMA}", batch.schema)));
    }
    let is_name = batch.isolate.len() == 32 && batch.isolate.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_name {
        return Err(malformed("the name of the isolate is not 32 hexadecimal digits".to_owned()));
    }
    if batch.sequence > 9_999_999_999_999_999 {
        return Err(malformed("the number of the batch is out of range".to_owned()));
    }
    Ok(batch)
}
