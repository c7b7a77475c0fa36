//! Instrumentation of scheduled ticks: a trace, and one log line with the result.

use crate::observe::{telemetry, telemetry::Trace};
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde_json::Value;
use std::{fmt::Display, time::Instant};

/// Runs a tick inside a span and logs its result in one line.
///
/// # Errors
///
/// Returns the error of the tick.
pub async fn observe<T: Serialize, E: Display>(
    event: &LambdaEvent<Value>,
    tick: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let started = Instant::now();
    let trace = Trace::new();
    let (id, scheduled) = (&event.context.request_id, event.payload.get("time").and_then(Value::as_str));
    let span = tracing::info_span!("tick", request_id = id, trace_id = trace.id(), scheduled);
    telemetry::within(trace, span, async {
        let outcome = tick.await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &outcome {
            Ok(_) => tracing::info!(event = "ticked", ms, "ticked"),
            Err(error) => tracing::error!(event = "tick_failed", %error, ms, "the tick failed"),
        }
        outcome
    })
    .await
}
