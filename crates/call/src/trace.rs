//! W3C trace context (Trace Context Level 1, section 3), as OpenTelemetry reads and writes it.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Length of `traceparent` in version 00, the only one that is specified.
const TRACEPARENT_LENGTH: usize = 55;

/// The trace that a call belongs to, and the span of this call in it.
#[derive(Clone, Debug)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// Starts a trace.
    pub fn new() -> Self {
        Self(SpanContext::new(
            TraceId::from(rand::random::<u128>().max(1)),
            new_span_id(),
            TraceFlags::NOT_SAMPLED,
            false,
            TraceState::NONE,
        ))
    }

    /// Continues the caller's trace with a new span. Starts a trace if the header is missing or invalid (section 3.2.2.5).
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let Some(parent) = remote_parent(headers) else { return Self::new() };
        Self(SpanContext::new(parent.trace_id(), new_span_id(), parent.trace_flags(), false, parent.trace_state().clone()))
    }

    /// Uses the context of a span that was already started.
    pub(super) fn from_span(span: SpanContext) -> Self {
        Self(span)
    }

    /// Returns the id of the trace; it is shown as 32 hexadecimal digits.
    pub fn trace_id(&self) -> TraceId {
        self.0.trace_id()
    }

    /// Returns the id of this call's span; it is shown as 16 hexadecimal digits.
    pub fn span_id(&self) -> SpanId {
        self.0.span_id()
    }

    /// Writes `traceparent`, and `tracestate` if there is one, for a call that this call makes.
    pub fn inject(&self, headers: &mut HeaderMap) {
        let context = Context::new().with_remote_span_context(self.0.clone());
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    }
}

impl Default for TraceContext {
    fn default() -> Self {
        Self::new()
    }
}

fn new_span_id() -> SpanId {
    SpanId::from(rand::random::<u64>().max(1))
}

/// Returns the caller's span. Calls without a valid `traceparent`, which are most, never reach the propagator: it allocates.
pub(super) fn remote_parent(headers: &HeaderMap) -> Option<SpanContext> {
    let traceparent = headers.get(TRACEPARENT)?;
    if !is_well_formed(traceparent.as_bytes()) {
        return None;
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let span = context.span();
    let parent = span.span_context();
    parent.is_valid().then(|| parent.clone())
}

/// Checks the form that the specification prescribes: the propagator accepts shorter fields, signs and trailing dashes too.
fn is_well_formed(traceparent: &[u8]) -> bool {
    let Some((fields, rest)) = traceparent.split_at_checked(TRACEPARENT_LENGTH) else { return false };
    let in_form = fields.iter().enumerate().all(|(index, byte)| match index {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    // Later versions may append fields.
    in_form && (rest.is_empty() || rest[0] == b'-' && !fields.starts_with(b"00"))
}

struct HeaderExtractor<'a>(&'a HeaderMap);

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeaderInjector<'a>(&'a mut HeaderMap);

impl Injector for HeaderInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        // The propagator writes an empty `tracestate` where there is none.
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(key.as_bytes()), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn headers(traceparent: &str, tracestate: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, traceparent.parse().expect("a header"));
        if let Some(state) = tracestate {
            headers.insert("tracestate", state.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn a_valid_traceparent_is_continued() {
        for (flags, more) in [("01", ""), ("00", ""), ("ff", "")] {
            let given = headers(&format!("00-{TRACE}-00f067aa0ba902b7-{flags}{more}"), Some("vendor=1,other=a:b"));
            let context = TraceContext::from_headers(&given);
            assert_eq!(context.trace_id().to_string(), TRACE);
            assert_ne!(context.span_id().to_string(), "00f067aa0ba902b7");
            let mut sent = HeaderMap::new();
            context.inject(&mut sent);
            // Flags beside `sampled` are cleared, as section 3.2.2.5.2 asks of those who don't know them.
            let sampled = if flags == "00" { "00" } else { "01" };
            assert_eq!(sent["traceparent"], format!("00-{TRACE}-{}-{sampled}", context.span_id()));
            assert_eq!(sent["tracestate"], "vendor=1,other=a:b");
        }
        assert!(remote_parent(&headers(&format!("cc-{TRACE}-00f067aa0ba902b7-01-what"), None)).is_some(), "a later version");
    }

    #[test]
    fn an_invalid_traceparent_starts_a_trace() {
        for invalid in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-1-1-01",
            "",
        ] {
            let given = headers(invalid, Some("vendor=1"));
            assert!(remote_parent(&given).is_none(), "{invalid}");
            let mut sent = HeaderMap::new();
            TraceContext::from_headers(&given).inject(&mut sent);
            assert_eq!((sent.len(), sent["traceparent"].len()), (1, TRACEPARENT_LENGTH), "{sent:?}");
        }
    }
}
