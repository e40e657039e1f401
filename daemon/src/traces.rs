//! Calls as spans of OpenTelemetry, sent to a collector over OTLP: where they go, which of them, and whose child each is.
//!
//! A call's trace is that of its `traceparent`, and stands on every timeline entry it leads to, whether or not spans
//! are sent.

use followupd_domain::decision::TraceId;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId as WireTraceId, TraceState, TracerProvider,
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Tracer};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

/// Where spans go, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct To {
    /// The collector, such as `http://127.0.0.1:4318`.
    pub(crate) endpoint: String,
    /// Of a hundred calls that begin a trace so many are sent; others do as their caller does.
    pub(crate) percent: u8,
}

/// The way to the collector; spans gather and go out together.
#[derive(Clone, Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Opens the way. That nobody listens there is found out later, and logged.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub(crate) fn open(to: &To) -> Result<Traces, String> {
        let endpoint = format!("{}/v1/traces", to.endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build();
        let sampler = Sampler::TraceIdRatioBased(f64::from(to.percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter.map_err(|error| error.to_string())?)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(
                Resource::builder()
                    .with_service_name("followupd")
                    .with_attribute(opentelemetry::KeyValue::new(
                        "service.version",
                        env!("CARGO_PKG_VERSION"),
                    ))
                    .build(),
            )
            .build();
        Ok(Traces(provider))
    }

    /// What turns our spans into theirs.
    pub(crate) fn layer<S>(&self) -> OpenTelemetryLayer<S, Tracer>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("followupd")).with_location(false)
    }

    /// Sends what has gathered. Blocks for some seconds where the collector does not answer.
    pub(crate) fn end(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans were not taken by the collector");
        }
    }
}

/// What a `traceparent` says (W3C Trace Context, §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// The trace.
    pub(crate) trace: TraceId,
    /// The caller's span.
    pub(crate) span: u64,
    /// Its flags; the lowest bit: it is recorded.
    pub(crate) flags: u8,
}

/// Makes a span the child of its caller's.
pub(crate) fn join(span: &Span, parent: Parent) {
    let (trace, id) = (WireTraceId::from(parent.trace.0), SpanId::from(parent.span));
    let flags = TraceFlags::new(parent.flags);
    let parent = SpanContext::new(trace, id, flags, true, TraceState::default());
    // Where no spans are sent there is nobody to tell.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// The trace a span has begun; `None` where no spans are sent.
pub(crate) fn begun(span: &Span) -> Option<TraceId> {
    let context = span.context();
    let trace = context.span().span_context().trace_id();
    (trace != WireTraceId::INVALID).then(|| TraceId(u128::from_be_bytes(trace.to_bytes())))
}
