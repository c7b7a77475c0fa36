//! Ingest, the endpoint that isolates report to. Batches are verified, stored once, and answered
//! like a question, with the current state.

pub use crate::measurement::refusal::{Refusal, RefusalKind};

use crate::{
    clock,
    measurement::{
        answer::{Answers, respond},
        ask, packing,
        refusal::{held_back, in_time, limited},
        signed,
    },
    observe::request::observe_isolate,
    platform::Platform,
    problem::Problem,
    store::{BatchStatus, error::StoreError},
};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State as Shared},
    http::{HeaderMap, StatusCode, header},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::post,
};
use cutover_core::measurement::{
    answer::Answer,
    batch::{Batch, MAX_BYTES, SCHEMA},
};
use std::{sync::Arc, time::Instant};

/// Oldest schema of a batch that is read: that of the Worker before this one, whose batches have no users.
const OLDEST_SCHEMA: u32 = 1;

/// Furthest that an event window may be ahead of this function's clock, in milliseconds. The clocks of isolates and functions
/// agree to a few seconds.
const AHEAD_MS: i64 = 10 * 60_000;

/// State that one process of the function keeps between requests.
struct Ingest {
    platform: Platform,
    answers: Arc<Answers>,
}

/// Builds the routes of the function.
pub fn router(platform: Platform) -> Router {
    let answers = Arc::new(Answers::new(platform.clone()));
    let ingest = Ingest { platform, answers: Arc::clone(&answers) };
    Router::new()
        .route("/v1/batches", post(receive))
        .with_state(Arc::new(ingest))
        // For a Worker without ASK_URL.
        .merge(ask::routes(answers))
        .fallback(|| async {
            let hint = "send batches to POST /v1/batches; see docs/api.md";
            Problem::new(StatusCode::NOT_FOUND, "path_unknown", "the path does not exist", hint)
        })
        .layer(from_fn(observe_isolate))
}

async fn receive(Shared(ingest): Shared<Arc<Ingest>>, request: Request) -> Response {
    let is_packed = packing::is_accepted(request.headers());
    match ingest.take(request).await {
        Ok(answer) => respond(&answer, is_packed),
        Err(Refusal { kind, problem }) => {
            let kind = kind.as_str();
            tracing::warn!(event = "batch_refused", kind, %problem, "batch refused");
            problem.into_response()
        }
    }
}

impl Ingest {
    async fn take(&self, request: Request) -> Result<Answer, Refusal> {
        let (parts, body) = request.into_parts();
        let taken = in_time(self.take_from(&parts.headers, body)).await;
        held_back(&self.platform.limits, &parts, taken)
    }

    async fn take_from(&self, headers: &HeaderMap, body: Body) -> Result<Answer, Refusal> {
        let body = to_bytes(body, MAX_BYTES).await.map_err(|_| too_large())?;
        let now = clock::now().millis();
        signed::check(&self.platform, headers, &body, now).await?;
        let is_packed = is_packed(headers);
        let plain = unpacked(is_packed, &body)?;
        let batch = read(&plain)?;
        check_windows(&batch, now)?;
        limited(self.platform.limits.callers.take(&batch.isolate, Instant::now()))?;
        let failed = |error: StoreError| Refusal::new(RefusalKind::Failed, error.into());
        // Number 0 is a question of the Worker before.
        let stored = match batch.sequence {
            0 => BatchStatus::New,
            // As it was sent, so that a repetition is recognised.
            _ if is_packed => self.store(&batch, &body).await?,
            _ => self.store(&batch, &packing::pack(&plain)).await?,
        };
        if stored == BatchStatus::Conflict {
            return Err(conflict(&batch));
        }
        let answer = self.answers.answer(batch.stamp(), 0).await.map_err(failed)?;
        Ok(Answer { duplicate: stored == BatchStatus::Duplicate, ..answer })
    }

    async fn store(&self, batch: &Batch, packed: &[u8]) -> Result<BatchStatus, Refusal> {
        // The time of arrival is that of the write: reading a secret before it may take seconds.
        let at = clock::now().millis();
        let stored = self.platform.store.store_batch(&batch.isolate, batch.sequence, packed, at).await;
        stored.map_err(|error| Refusal::new(RefusalKind::Failed, error.into()))
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

fn too_large() -> Refusal {
    let detail = format!("the batch is larger than {MAX_BYTES} bytes");
    let hint = "send fewer cells at once";
    Refusal::new(
        RefusalKind::Oversized,
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", detail, hint),
    )
}

fn malformed(detail: String) -> Refusal {
    let hint = "deploy the edge and the functions of the same version";
    Refusal::new(
        RefusalKind::Malformed,
        Problem::new(StatusCode::BAD_REQUEST, "batch_malformed", detail, hint),
    )
}

fn is_packed(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip")
}

/// Decompresses a batch, if it is packed. A Worker of the version before sends it as it is.
fn unpacked(is_packed: bool, body: &Bytes) -> Result<Bytes, Refusal> {
    if !is_packed {
        return Ok(body.clone());
    }
    let plain = packing::unpack(body, MAX_BYTES)
        .map_err(|error| malformed(format!("the body is not gzip data: {error}")))?;
    plain.map(Bytes::from).ok_or_else(too_large)
}

/// Decodes and checks a batch.
///
/// # Errors
///
/// Returns a refusal of the kind [`RefusalKind::Malformed`] if the body is not a batch of a schema
/// that is read.
pub fn read(body: &[u8]) -> Result<Batch, Refusal> {
    let batch: Batch = serde_json::from_slice(body)
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

/// Checks the event windows of a batch: what began in the future did not happen, and would count before everything that does.
fn check_windows(batch: &Batch, now: i64) -> Result<(), Refusal> {
    let users = batch.users.iter().map(|users| users.window);
    let mut windows = users.chain(batch.comparisons.iter().map(|compared| compared.window));
    let possible = 0..=now.saturating_add(AHEAD_MS);
    match windows.find(|window| !possible.contains(window)) {
        None => Ok(()),
        Some(window) => {
            let detail = format!(
                "an event window begins at {window}, which is before 1970 or more than {} minutes ahead of {now}",
                AHEAD_MS / 60_000
            );
            Err(malformed(detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        PartsPerMillion,
        compare::{ComparisonWindow, Tally},
        measurement::batch::UserWindow,
    };

    /// M17: a window in the far future would make all others old, and one before 1970 is nobody's.
    #[test]
    fn a_batch_of_a_time_that_cannot_be_is_malformed() {
        const NOW: i64 = 1_767_225_600_000;
        let users = |window: i64| UserWindow {
            flag: "f".parse().unwrap(),
            canary: ("r1".parse().unwrap(), 0),
            share: PartsPerMillion::ZERO,
            window,
            settle_ms: 5_000,
            seen: Vec::new(),
            events: Vec::new(),
            compared: Vec::new(),
        };
        let compared = |window: i64| ComparisonWindow {
            flag: "f".parse().unwrap(),
            route: "r".parse().unwrap(),
            canary: None,
            window,
            tally: Tally::default(),
        };
        for (window, is_possible) in [
            (NOW, true),
            (NOW - 86_400_000, true),
            (0, true),
            (NOW + AHEAD_MS, true),
            (NOW + AHEAD_MS + 1, false),
            (i64::MAX, false),
            (-1, false),
            (i64::MIN, false),
        ] {
            let empty = || Batch::empty("a".repeat(32), 1);
            for batch in [
                Batch { users: vec![users(NOW), users(window)], ..empty() },
                Batch { comparisons: vec![compared(NOW), compared(window)], ..empty() },
            ] {
                let kind = check_windows(&batch, NOW).map_err(|refusal| refusal.kind);
                let expected = if is_possible { Ok(()) } else { Err(RefusalKind::Malformed) };
                assert_eq!(kind, expected, "{window}");
            }
        }
    }

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
        let later = String::from_utf8_lossy(before).replace("\"schema\":1", "\"schema\":4");
        assert!(read(later.as_bytes()).is_err(), "a schema that is not known yet");
    }

    #[test]
    fn a_batch_is_unpacked_up_to_its_limit() {
        let gzip = HeaderMap::from_iter([(header::CONTENT_ENCODING, "gzip".parse().unwrap())]);
        assert!(is_packed(&gzip) && !is_packed(&HeaderMap::new()));
        let batch = Batch::empty("a".repeat(32), 1).encode();
        let packed = Bytes::from(packing::pack(batch.as_bytes()));
        let plain = Bytes::from(batch);
        assert_eq!(unpacked(true, &packed).map_err(|_| "refused"), Ok(plain.clone()));
        assert_eq!(unpacked(false, &plain).map_err(|_| "refused"), Ok(plain.clone()));
        let kind = |body: &Bytes| unpacked(true, body).unwrap_err().kind;
        assert_eq!(kind(&plain), RefusalKind::Malformed);
        assert_eq!(kind(&packing::pack(&vec![b' '; MAX_BYTES + 1]).into()), RefusalKind::Oversized);
    }
}
