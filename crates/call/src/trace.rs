//! W3C trace context (Trace Context Level 1, section 3): read from the caller, passed on to remote handlers.

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace that a call belongs to, and this call's span in it.
#[derive(Clone, Debug)]
pub struct TraceContext {
    /// 16 bytes, never zero.
    pub trace_id: u128,
    /// This call's span, never zero.
    pub span_id: u64,
    /// The caller's span; `None`: the trace begins here.
    pub parent_id: Option<u64>,
    /// Whether the caller records the trace.
    pub sampled: bool,
    /// `tracestate`, passed on unread.
    pub state: Option<HeaderValue>,
}

impl TraceContext {
    /// A trace that begins here.
    pub fn new() -> Self {
        Self { trace_id: rand::random::<u128>().max(1), span_id: span_id(), parent_id: None, sampled: false, state: None }
    }

    /// The caller's trace with a new span, or a new trace if the header is missing or broken (section 3.2.2.5).
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let Some((trace_id, parent_id, flags)) = headers.get(TRACEPARENT).and_then(|value| parse(value.as_bytes())) else {
            return Self::new();
        };
        Self {
            trace_id,
            span_id: span_id(),
            parent_id: Some(parent_id),
            sampled: flags & 1 == 1,
            state: headers.get("tracestate").cloned(),
        }
    }

    /// `traceparent` for what this call calls.
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }

    /// Writes both headers.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.traceparent()) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(state) = &self.state {
            headers.insert("tracestate", state.clone());
        }
    }
}

impl Default for TraceContext {
    fn default() -> Self {
        Self::new()
    }
}

fn span_id() -> u64 {
    rand::random::<u64>().max(1)
}

/// `version-traceid-parentid-flags`; later versions may have more behind the flags.
fn parse(header: &[u8]) -> Option<(u128, u64, u8)> {
    let header = std::str::from_utf8(header).ok()?;
    let (known, rest) = (header.get(..55)?, header.get(55..)?);
    let mut parts = known.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (version.len(), trace.len(), parent.len(), flags.len()) != (2, 32, 16, 2) {
        return None;
    }
    if known.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')) {
        return None;
    }
    let shape = match version {
        "ff" => false,
        "00" => rest.is_empty(),
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let parent_id = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    shape.then_some((trace_id, parent_id, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_specification_allows_and_nothing_else() {
        let good = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parse(good), Some((0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, 1)));
        assert!(parse(b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what").is_some());
        for bad in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
