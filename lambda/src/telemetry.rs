//! Structured logs: one JSON object per line, as CloudWatch takes them apart by itself.

use tracing_subscriber::EnvFilter;

/// Starts logging to standard output, at the level of `RUST_LOG` or `info`.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start in one process changes nothing, and is no reason to stop.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .try_init();
}
