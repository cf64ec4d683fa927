//! The access log: one line for each finished call, written through `tracing` with the target `prism::access`.

use std::time::Duration;

use super::{Code, Context, Error, Method};

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
    pub(super) fn write(self, context: &Context, method: &Method, code: Code, took: Duration, error: Option<&Error>) {
        let is_server_fault = matches!(code, Code::Unknown | Code::Internal | Code::Unavailable | Code::DataLoss | Code::DeadlineExceeded);
        let is_logged = match self {
            Self::Off => false,
            Self::Errors => is_server_fault,
            Self::All => true,
        };
        if !is_logged {
            return;
        }
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "prism::access",
                    namespace = %context.namespace,
                    method = %method.name,
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
}
