//! Logs and traces. Logs have one JSON object per line, which CloudWatch parses, with the request
//! and the trace that a line belongs to. If a collector is configured, requests are also exported
//! as OpenTelemetry spans.
//!
//! Lines that alarms or runbooks refer to have a field `event`, whose values are stable
//! (docs/OPERATIONS.md).

use crate::observe::{circuit::Circuit, hex::hex};
use opentelemetry::{
    Context, TraceFlags, TraceId,
    trace::{SpanContext, SpanId, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Header of W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";

/// Header with the id of a request, in requests and responses.
pub const REQUEST_ID: &str = "x-request-id";

/// Longest request id that is accepted, in bytes; a longer one is replaced.
const MAX_REQUEST_ID: usize = 128;

/// Exporter of spans, if a collector is configured.
static EXPORT: OnceLock<Export> = OnceLock::new();

/// Longest time by which the export of spans delays a response, unless `CUTOVER_FLUSH_MS` is set. The
/// platform may freeze the process after the response, and only an extension could export later.
const MAX_FLUSH: Duration = Duration::from_millis(50);

/// Circuit of the exports. While it is open, spans are neither recorded nor exported.
static CIRCUIT: Circuit = Circuit::closed();

/// An exporter of spans.
struct Export {
    provider: SdkTracerProvider,
    /// Longest time by which it delays a response.
    max_flush: Duration,
}

tokio::task_local! {
    static CURRENT: Trace;
}

/// The trace that a unit of work belongs to (W3C Trace Context, level 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    parent: u64,
    flags: u8,
}

impl Trace {
    /// Begins a new trace.
    pub fn new() -> Self {
        let word = || getrandom::u64().unwrap_or(1).max(1);
        Self { id: (u128::from(word()) << 64) | u128::from(word()), parent: word(), flags: 1 }
    }

    /// Parses a `traceparent`. Returns `None` if it is invalid, which the standard requires to be
    /// ignored.
    pub fn read(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_known = version != "00" || parts.next().is_none();
        if !is_hex(version, 2) || version == "ff" || !is_known {
            return None;
        }
        if !is_hex(id, 32) || !is_hex(parent, 16) || !is_hex(flags, 2) {
            return None;
        }
        let trace = Self {
            id: u128::from_str_radix(id, 16).ok()?,
            parent: u64::from_str_radix(parent, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (trace.id != 0 && trace.parent != 0).then_some(trace)
    }

    /// Returns the trace with the flag that its spans are not to be recorded.
    fn unrecorded(self) -> Self {
        Self { flags: self.flags & !1, ..self }
    }

    /// Returns the trace id in hexadecimal digits, as it appears in logs.
    pub fn id(self) -> String {
        format!("{:032x}", self.id)
    }

    fn context(self) -> Context {
        let (id, parent) = (TraceId::from(self.id), SpanId::from(self.parent));
        Context::new().with_remote_span_context(SpanContext::new(
            id,
            parent,
            TraceFlags::new(self.flags),
            true,
            TraceState::NONE,
        ))
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the `traceparent` for calls made by the current unit of work; `None` outside of any.
pub fn traceparent() -> Option<String> {
    let trace = CURRENT.try_get().ok()?;
    // The span that makes the call if spans are recorded, otherwise the parent of the work.
    let span = Span::current().context().span().span_context().span_id();
    let parent =
        if span == SpanId::INVALID { format!("{:016x}", trace.parent) } else { hex(&span.to_bytes()) };
    Some(format!("00-{:032x}-{parent}-{:02x}", trace.id, trace.flags))
}

/// Adds the `traceparent` of the current unit of work to a request.
pub fn traced(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    match traceparent() {
        Some(header) => request.header(TRACEPARENT, header),
        None => request,
    }
}

/// Returns the id of a request: the caller's if it is valid in a header and a log, otherwise the
/// platform's.
pub fn request_id(given: Option<&str>, platform: Option<&str>) -> String {
    let is_usable = |id: &&str| {
        !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given.filter(is_usable).or(platform.filter(is_usable)).map_or_else(|| Trace::new().id(), str::to_owned)
}

/// Runs a unit of work inside a span that all of its log lines carry, and exports the span.
pub async fn within<T>(trace: Trace, span: Span, work: impl Future<Output = T>) -> T {
    let is_recorded = EXPORT.get().is_some() && CIRCUIT.admits(Instant::now());
    if EXPORT.get().is_some() {
        let parent = if is_recorded { trace } else { trace.unrecorded() };
        // A span without its parent is still useful, so a failure must not affect the work.
        let _ = span.set_parent(parent.context());
    }
    let done = CURRENT.scope(trace, work.instrument(span.clone())).await;
    drop(span);
    if is_recorded {
        flush().await;
    }
    done
}

/// Exports the recorded spans now, because the platform may freeze the process after the response.
async fn flush() {
    let Some(export) = EXPORT.get() else { return };
    // One that takes longer goes on in its thread.
    let flushing = tokio::task::spawn_blocking(|| export.provider.force_flush());
    let is_sent = matches!(tokio::time::timeout(export.max_flush, flushing).await, Ok(Ok(Ok(()))));
    if is_sent {
        let dropped = CIRCUIT.close();
        if dropped > 0 {
            tracing::warn!(event = "spans_dropped", dropped, "the collector of spans answers again");
        }
    } else {
        CIRCUIT.open(Instant::now());
        tracing::warn!("the collector of spans is slow or down; spans are dropped for a minute");
    }
}

/// Starts logging to standard output, at the level of `RUST_LOG` or `info`, and exporting spans to
/// `OTEL_EXPORTER_OTLP_ENDPOINT` if it is set.
pub fn start(function: &'static str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_filter(filter);
    let spans = exporter(function).map(|provider| {
        let tracer = provider.tracer("cutover");
        let max_flush = std::env::var("CUTOVER_FLUSH_MS").ok().and_then(|text| text.parse().ok());
        let max_flush = max_flush.map_or(MAX_FLUSH, Duration::from_millis);
        let _ = EXPORT.set(Export { provider, max_flush });
        // Only our own spans: libraries would record every byte sent, including the export itself.
        let ours = tracing_subscriber::filter::filter_fn(|data| data.target().starts_with("cutover"));
        tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours)
    });
    // A second start in one process is harmless and changes nothing.
    let _ = tracing_subscriber::registry().with(lines).with(spans).try_init();
}

fn exporter(function: &'static str) -> Option<SdkTracerProvider> {
    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(|url| !url.is_empty())?;
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    // The blocking client starts a runtime of its own, which must not happen inside this one.
    let built = std::thread::spawn(move || {
        SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(url)
            .with_timeout(Duration::from_secs(2))
            .build()
    });
    let exporter = built.join().ok()?.ok()?;
    let resource = Resource::builder()
        .with_service_name(format!("cutover-{function}"))
        .with_attribute(opentelemetry::KeyValue::new("service.version", crate::VERSION))
        .build();
    Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{id}-b7ad6b7169203331-01");
        assert_eq!(Trace::read(&good).map(Trace::id).as_deref(), Some(id));
        // A later version may have more parts.
        assert!(Trace::read(&format!("01-{id}-b7ad6b7169203331-01-more")).is_some());
        for bad in [
            String::new(),
            format!("00-{id}-b7ad6b7169203331"),
            format!("00-{id}-b7ad6b7169203331-01-more"),
            format!("ff-{id}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{id}-0000000000000000-01"),
            "00-é-b7ad6b7169203331-01".to_owned(),
        ] {
            assert_eq!(Trace::read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_id_that_could_split_a_header_or_a_line_is_replaced() {
        assert_eq!(request_id(Some("mine-1"), Some("lambda")), "mine-1");
        for bad in ["", "two words", "a\r\nset-cookie: b", &"x".repeat(129)] {
            assert_eq!(request_id(Some(bad), Some("lambda")), "lambda", "{bad:?}");
        }
        assert_eq!(request_id(None, None).len(), 32);
    }

    #[tokio::test]
    async fn what_work_calls_belongs_to_its_trace() {
        assert_eq!(traceparent(), None);
        let trace = Trace::new();
        let header = within(trace, tracing::info_span!("work"), async { traceparent() }).await.unwrap();
        assert_eq!(Trace::read(&header).map(Trace::id), Some(trace.id()));
    }
}
