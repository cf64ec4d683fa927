//! The access log: one line for a call that has ended, through `tracing` with the target `prism::access`.

use std::time::Duration;

use super::{Code, Context, Error, Method};

/// Which calls the access log tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// None.
    Off,
    /// Those that failed for a reason of ours or a backend's, not of the client's.
    #[default]
    Errors,
    /// All.
    All,
}

impl AccessLog {
    pub(super) fn write(self, context: &Context, method: &Method, code: Code, took: Duration, error: Option<&Error>) {
        let ours = matches!(code, Code::Unknown | Code::Internal | Code::Unavailable | Code::DataLoss | Code::DeadlineExceeded);
        let wanted = match self {
            Self::Off => false,
            Self::Errors => ours,
            Self::All => true,
        };
        if !wanted {
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
        if ours {
            line!(warn);
        } else {
            line!(info);
        }
    }
}
