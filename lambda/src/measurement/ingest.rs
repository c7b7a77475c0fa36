//! Ingest, the endpoint that isolates report to. Batches are verified, stored once, and answered
//! with a receipt that holds the current state. This receipt is the fast path of the kill switch.

use crate::{
    access::auth,
    clock,
    measurement::packing,
    observe::request::observe,
    platform::Platform,
    problem::Problem,
    store::{BatchStatus, State, error::StoreError},
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
    measurement::batch::{Batch, Receipt, SCHEMA},
    signature,
    signature::SignatureError,
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Oldest schema of a batch that is read: that of the Worker before this one, whose batches have no users.
const OLDEST_SCHEMA: u32 = 1;

/// Largest batch, in bytes. A DynamoDB item is limited to 400 KB; an isolate sends at most 200
/// cells.
pub const MAX_BATCH: usize = 300_000;

/// Largest snapshot that is sent in a receipt, in bytes. Lambda limits responses to 6 MB, and JSON
/// grows when it is embedded in JSON.
const MAX_SNAPSHOT: usize = 3_000_000;

/// Time for which the table is waited for. The isolate sends the batch again.
const PATIENCE: Duration = Duration::from_secs(3);

/// State that one process of the function keeps between requests.
struct Ingest {
    platform: Platform,
    /// Newest snapshot derived by this process, with its revision.
    snapshot: Mutex<Option<(Revision, Arc<str>)>>,
}

/// Builds the routes of the function.
pub fn router(platform: Platform) -> Router {
    let ingest = Ingest { platform, snapshot: Mutex::default() };
    Router::new()
        .route("/v1/batches", post(receive))
        .fallback(|| async {
            let hint = "send batches to POST /v1/batches; see docs/api.md";
            Problem::new(StatusCode::NOT_FOUND, "path_unknown", "the path does not exist", hint)
        })
        .layer(from_fn(observe))
        .with_state(Arc::new(ingest))
}

async fn receive(Shared(ingest): Shared<Arc<Ingest>>, request: Request) -> Response {
    match ingest.take(request).await {
        Ok(receipt) => Json(receipt).into_response(),
        Err(Refusal { kind, problem }) => {
            let kind = kind.as_str();
            tracing::warn!(event = "batch_refused", kind, %problem, "batch refused");
            problem.into_response()
        }
    }
}

/// Kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The batch is too large.
    Oversized,
    /// The batch has no signature.
    Unsigned,
    /// The timestamp of the signature is too far from the current time.
    Skewed,
    /// The signature does not match the batch.
    Forged,
    /// The batch cannot be decoded.
    Malformed,
    /// The sender exceeds its rate limit.
    Limited,
    /// Another batch has its name.
    Conflict,
    /// The batch could not be checked or stored.
    Failed,
}

impl RefusalKind {
    /// Returns the name of this kind, as log lines have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::Unsigned => "unsigned",
            Self::Skewed => "skewed",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::Limited => "limited",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

/// A refused batch.
#[derive(Debug)]
pub struct Refusal {
    /// Kind of the refusal.
    pub kind: RefusalKind,
    /// Problem for the response.
    pub problem: Box<Problem>,
}

impl Refusal {
    fn new(kind: RefusalKind, problem: Problem) -> Self {
        Self { kind, problem: Box::new(problem) }
    }
}

impl Ingest {
    async fn take(&self, request: Request) -> Result<Receipt, Refusal> {
        let (parts, body) = request.into_parts();
        let taken = self.take_from(&parts.headers, body).await;
        // An address that keeps sending invalid batches is rate limited. Signed batches are
        // accepted regardless of other traffic from the same address, because isolates share
        // addresses with strangers.
        if let Err(refusal) = &taken
            && !matches!(refusal.kind, RefusalKind::Failed | RefusalKind::Limited)
        {
            limited(self.platform.limits.refusals.take(auth::source(&parts), Instant::now()))?;
        }
        taken
    }

    async fn take_from(&self, headers: &HeaderMap, body: Body) -> Result<Receipt, Refusal> {
        let body = to_bytes(body, MAX_BATCH).await.map_err(|_| {
            let detail = format!("the batch is larger than {MAX_BATCH} bytes");
            let problem = Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "batch_too_large",
                detail,
                "send fewer cells at once",
            );
            Refusal::new(RefusalKind::Oversized, problem)
        })?;
        let now = clock::now().millis();
        self.check_signature(headers, &body, now).await?;
        let batch = read(&body)?;
        limited(self.platform.limits.callers.take(&batch.isolate, Instant::now()))?;
        let store = &self.platform.store;
        let failed = |error: StoreError| Refusal::new(RefusalKind::Failed, error.into());
        let mut duplicate = false;
        if batch.sequence > 0 {
            let packed = packing::packed(&body);
            // The time of arrival, not of the request: reading a secret may take seconds.
            let at = clock::now().millis();
            let stored = tokio::time::timeout(
                PATIENCE,
                store.store_batch(&batch.isolate, batch.sequence, &packed, at),
            )
            .await
            .map_err(|_| {
                let problem = Problem::unavailable("store_slow", "the store took too long");
                Refusal::new(RefusalKind::Failed, problem)
            })?
            .map_err(failed)?;
            duplicate = match stored {
                BatchStatus::New => false,
                BatchStatus::Duplicate => true,
                BatchStatus::Conflict => return Err(conflict(&batch)),
            };
        }
        self.receipt(&batch, duplicate).await.map_err(failed)
    }

    async fn check_signature(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (at, signature) = (text(signature::TIMESTAMP), text(signature::SIGNATURE));
        let unreadable = |error: crate::settings::secret::SecretError| {
            tracing::error!(%error, "signatures cannot be checked");
            let detail = "the secret needed to check signatures could not be read";
            Refusal::new(RefusalKind::Failed, Problem::unavailable("secret_unavailable", detail))
        };
        let secret = &self.platform.settings.ingest_secrets;
        let values = secret.values().await.map_err(unreadable)?;
        let mut checked = signature::verify(&values, at, signature, body, now);
        // The edge may have the new secret before this process has.
        if checked == Err(SignatureError::Wrong)
            && let Some(newer) = secret.again().await.map_err(unreadable)?
        {
            checked = signature::verify(&newer, at, signature, body, now);
        }
        checked.map_err(|refused| {
            let (kind, detail, hint) = match refused {
                SignatureError::Missing => {
                    (RefusalKind::Unsigned, "the batch has no signature", "sign the batch; see docs/api.md")
                }
                SignatureError::Skewed => (
                    RefusalKind::Skewed,
                    "the batch was signed too long ago, or with a wrong clock",
                    "set the clock, and sign each attempt again",
                ),
                SignatureError::Wrong => (
                    RefusalKind::Forged,
                    "the signature does not match the batch",
                    "use the same secret at the edge and in the function",
                ),
            };
            Refusal::new(kind, Problem::new(StatusCode::UNAUTHORIZED, "signature_invalid", detail, hint))
        })
    }

    /// Builds the receipt: the current revision and emergency, and the snapshot if the isolate's is
    /// older.
    async fn receipt(&self, batch: &Batch, duplicate: bool) -> Result<Receipt, StoreError> {
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

    async fn derive(&self) -> Result<(Revision, Arc<str>), StoreError> {
        let state: State = self.platform.store.state().await?;
        let snapshot: Snapshot = state.snapshot();
        let text: Arc<str> = snapshot.encode().map_err(|error| StoreError::Item(error.to_string()))?.into();
        if let Ok(mut held) = self.snapshot.lock() {
            *held = Some((snapshot.revision, Arc::clone(&text)));
        }
        Ok((snapshot.revision, text))
    }
}

/// Refuses a batch under a name that another batch has.
fn conflict(batch: &Batch) -> Refusal {
    let (isolate, sequence) = (&batch.isolate, batch.sequence);
    let problem = Problem::new(
        StatusCode::CONFLICT,
        "batch_conflict",
        format!("another batch is stored as number {sequence} of the isolate {isolate}"),
        "send it under a new name of the isolate",
    );
    Refusal::new(RefusalKind::Conflict, problem)
}

/// Refuses a batch whose sender exceeds its rate limit.
fn limited(taken: Result<(), u16>) -> Result<(), Refusal> {
    taken.map_err(|seconds| Refusal::new(RefusalKind::Limited, auth::too_many(seconds)))
}

/// Decodes and checks a batch.
///
/// # Errors
///
/// Returns a refusal of the kind [`RefusalKind::Malformed`] if the body is not a batch of a schema
/// that is read.
pub fn read(body: &[u8]) -> Result<Batch, Refusal> {
    let malformed = |detail: String| {
        let hint = "deploy the edge and the functions of the same version";
        Refusal::new(
            RefusalKind::Malformed,
            Problem::new(StatusCode::BAD_REQUEST, "batch_malformed", detail, hint),
        )
    };
    let body = packing::unpack(body).ok_or_else(|| malformed("the body cannot be unpacked".to_owned()))?;
    let batch: Batch = serde_json::from_slice(&body)
        .map_err(|error| malformed(format!("the body is not a batch: {error}")))?;
    if !(OLDEST_SCHEMA..=SCHEMA).contains(&batch.schema) {
        let schema = batch.schema;
        let detail = format!("the batch has schema {schema}, this version reads {OLDEST_SCHEMA} to {SCHEMA}");
        return Err(malformed(detail));
    }
    let is_name = batch.isolate.len() == 32 && batch.isolate.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_name {
        return Err(malformed("the name of the isolate is not 32 hexadecimal digits".to_owned()));
    }
    if batch.sequence > 9_999_999_999_999_999 {
        return Err(malformed("the sequence number of the batch is out of range".to_owned()));
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_the_worker_before_are_read() {
        let before =
            br#"{"schema":1,"isolate":"0123456789abcdef0123456789abcdef","sequence":17,"revision":42,
            "idle":false,"age_ms":1200,"lost":0,"cells":[{"flag":"reviews_read","route":"reviews","arm":"new",
            "reason":"ROLLOUT","revision":42,"canary":["r40",1],"window":1767225600000,"counts":{"requests":2,
            "server_errors":1,"duration_ms":161,"histogram":[[43,1],[56,1]]}}],
            "units":[{"flag":"reviews_read","run":"r40","step":1,"new":[2847113],"legacy":[]}]}"#;
        let batch = read(before).map_err(|_| "refused").unwrap();
        assert_eq!((batch.cells[0].counts.requests, batch.cells[0].counts.errors()), (2, 1));
        assert!(batch.users.is_empty());
        let later = String::from_utf8_lossy(before).replace("\"schema\":1", "\"schema\":3");
        assert!(read(later.as_bytes()).is_err(), "a schema that is not known yet");
    }
}
