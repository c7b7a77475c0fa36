//! Questions of isolates: signed, answered from the head, and not stored. The answer is the fast path of the kill switch.

use crate::{
    clock,
    measurement::{
        answer::{Answers, respond},
        packing,
        refusal::{Refusal, RefusalKind, held_back, in_time, limited},
        signed,
    },
    observe::request::observe_isolate,
    platform::Platform,
    problem::Problem,
    store::error::StoreError,
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::post,
};
use cutover_core::measurement::{
    answer::Answer,
    question::{Question, SCHEMA},
};
use std::{sync::Arc, time::Instant};

/// Largest question, in bytes.
const MAX_QUESTION: usize = 4_096;

/// Builds the routes of the function.
pub fn router(platform: Platform) -> Router {
    routes(Arc::new(Answers::new(platform)))
        .fallback(|| async {
            let hint = "send questions to POST /v1/questions; see docs/api.md";
            Problem::new(StatusCode::NOT_FOUND, "path_unknown", "the path does not exist", hint)
        })
        .layer(from_fn(observe_isolate))
}

/// Builds the route of questions, which ingest has too.
pub(super) fn routes(answers: Arc<Answers>) -> Router {
    Router::new().route("/v1/questions", post(receive)).with_state(answers)
}

async fn receive(State(answers): State<Arc<Answers>>, request: Request) -> Response {
    let is_packed = packing::is_accepted(request.headers());
    match take(&answers, request).await {
        Ok(answer) => respond(&answer, is_packed),
        Err(Refusal { kind, problem }) => {
            tracing::warn!(event = "question_refused", kind = kind.as_str(), %problem, "question refused");
            problem.into_response()
        }
    }
}

async fn take(answers: &Answers, request: Request) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();
    let taken = in_time(take_from(answers, &parts.headers, body)).await;
    held_back(&answers.platform.limits, &parts, taken)
}

async fn take_from(answers: &Answers, headers: &HeaderMap, body: Body) -> Result<Answer, Refusal> {
    let body = to_bytes(body, MAX_QUESTION).await.map_err(|_| {
        let detail = format!("the question is larger than {MAX_QUESTION} bytes");
        let hint = "send a question; batches go to POST /v1/batches of ingest";
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "question_too_large", detail, hint);
        Refusal::new(RefusalKind::Oversized, problem)
    })?;
    signed::check(&answers.platform, headers, &body, clock::now().millis()).await?;
    let question = read(&body)?;
    let asker = question.isolate.as_deref().unwrap_or_default();
    limited(answers.platform.limits.callers.take(asker, Instant::now()))?;
    if !question.health.is_empty() && !asker.is_empty() {
        answers.take_report(asker, &question.health).await;
    }
    let failed = |error: StoreError| Refusal::new(RefusalKind::Failed, error.into());
    let mut answer = answers.answer(question.stamp(), question.behind_ms).await.map_err(failed)?;
    if answer.deployment == question.deployment {
        // It goes without saying.
        answer.deployment = None;
    }
    Ok(answer)
}

/// Decodes and checks a question.
fn read(body: &[u8]) -> Result<Question, Refusal> {
    let malformed = |detail: String| {
        let hint = "deploy the edge and the functions of the same version";
        let problem = Problem::new(StatusCode::BAD_REQUEST, "question_malformed", detail, hint);
        Refusal::new(RefusalKind::Malformed, problem)
    };
    let question: Question = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the body is not a question: {error}")))?;
    if question.schema != SCHEMA {
        let schema = question.schema;
        return Err(malformed(format!("the question has schema {schema}, this version reads {SCHEMA}")));
    }
    Ok(question)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::Revision;

    #[test]
    fn questions_of_a_known_schema_are_read() {
        let question = Question { isolate: Some("a".repeat(32)), ..Question::since(Revision(7)) };
        assert_eq!(read(question.encode().as_bytes()).map_err(|_| "refused"), Ok(question.clone()));
        let later = Question { schema: 2, ..question };
        for body in [later.encode(), "{}".to_owned(), String::new()] {
            assert_eq!(read(body.as_bytes()).unwrap_err().kind, RefusalKind::Malformed, "{body}");
        }
    }
}
