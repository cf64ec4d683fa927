//! The span of a call for OpenTelemetry, where an exporter is configured.

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use super::{Code, Error, Target, TraceContext, context, trace};

/// Starts a server span for each call. The provider decides which are sampled, and exports them.
pub struct Tracer(SdkTracer);

impl Tracer {
    /// Creates a tracer whose spans go to this provider.
    pub fn new(provider: &SdkTracerProvider) -> Self {
        Self(provider.tracer("prism"))
    }

    /// Starts the span of a call, below the caller's span if there is one. A span that is not sampled has ids, and no data.
    pub(super) fn start(&self, headers: &HeaderMap) -> (TraceContext, Option<CallSpan>) {
        let context = trace::remote_parent(headers).map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        // Named when it ends, so that calls which are not sampled do not allocate.
        let span = self.0.build_with_context(SpanBuilder::from_name("").with_kind(SpanKind::Server), &context);
        if !span.span_context().is_valid() {
            // The provider was shut down.
            return (TraceContext::from_headers(headers), None);
        }
        let context = TraceContext::from_span(span.span_context().clone());
        (context, span.is_recording().then(|| CallSpan(Box::new(span))))
    }
}

/// A sampled span of a call that has not ended.
pub(super) struct CallSpan(Box<Span>);

impl CallSpan {
    /// Ends the span. The attributes follow OpenTelemetry's semantic conventions for RPC.
    pub(super) fn end(mut self, context: &context::Context, target: &Target, code: Code, error: Option<&Error>) {
        let span = &mut self.0;
        if let Target::Rpc(method) = target {
            span.update_name(method.path.trim_start_matches('/').to_owned());
            // Every call is of a gRPC service, whatever its protocol is.
            span.set_attribute(KeyValue::new("rpc.system", "grpc"));
            span.set_attribute(KeyValue::new("rpc.service", method.service.clone()));
            span.set_attribute(KeyValue::new("rpc.method", method.name.clone()));
        } else {
            span.update_name(target.name().to_owned());
        }
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code.number())));
        span.set_attribute(KeyValue::new("prism.namespace", context.namespace.clone()));
        span.set_attribute(KeyValue::new("prism.protocol", context.protocol.name()));
        span.set_attribute(KeyValue::new("prism.request_id", context.request_id.to_string()));
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("prism.error.reason", error.reason().to_owned()));
        }
        if is_server_error(code) {
            span.set_attribute(KeyValue::new("error.type", code.name()));
            span.set_status(Status::error(error.map_or("", Error::reason).to_owned()));
        }
        span.end();
    }
}

/// Tells the codes that make a server span an error; the others are the client's (semantic conventions for gRPC).
fn is_server_error(code: Code) -> bool {
    matches!(code, Code::Unknown | Code::DeadlineExceeded | Code::Unimplemented | Code::Internal | Code::Unavailable | Code::DataLoss)
}
