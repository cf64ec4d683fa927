//! The access log: one line for each finished call, written through `tracing` with the target `prism::access`.

use std::time::Duration;

use super::{Code, Context, Error, ListenerRequest, Target};

/// Selects the calls that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// No calls.
    Off,
    /// Calls that failed because of Prism or a backend, not because of the client.
    #[default]
    Errors,
    /// All calls.
    All,
}

impl AccessLog {
    pub(super) fn write(self, context: &Context, target: &Target, code: Code, took: Duration, error: Option<&Error>) {
        let is_server_fault = is_server_fault(code, error);
        if !self.includes(is_server_fault) {
            return;
        }
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "prism::access",
                    namespace = %context.namespace,
                    method = target.name(),
                    protocol = context.protocol.name(),
                    code = code.name(),
                    reason = error.map(Error::reason),
                    error = error.map(tracing::field::debug),
                    duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                    principal = %context.principal.subject,
                    request_id = %context.request_id,
                    trace_id = %context.trace.trace_id(),
                    "call"
                )
            };
        }
        if is_server_fault {
            line!(warn);
        } else {
            line!(info);
        }
    }

    /// Writes a request that its listener answered. Method and path are the client's, and are written escaped.
    pub(super) fn write_listener_request(self, request: &ListenerRequest<'_>, code: Code, took: Duration, error: Option<&Error>) {
        if !self.includes(is_server_fault(code, error)) {
            return;
        }
        tracing::info!(
            target: "prism::access",
            listener = %request.peer.listener,
            kind = request.target.name(),
            method = %request.line.0,
            path = ?request.line.1,
            code = code.name(),
            reason = error.map(Error::reason),
            duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            request_id = %request.request_id,
            "request without a namespace"
        );
    }

    fn includes(self, is_server_fault: bool) -> bool {
        match self {
            Self::Off => false,
            Self::Errors => is_server_fault,
            Self::All => true,
        }
    }
}

fn is_server_fault(code: Code, error: Option<&Error>) -> bool {
    !error.is_some_and(Error::is_caused_by_client)
        && matches!(code, Code::Unknown | Code::Internal | Code::Unavailable | Code::DataLoss | Code::DeadlineExceeded)
}
