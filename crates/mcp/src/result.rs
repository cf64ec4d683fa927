//! Errors: those of calls are results, so that the model reads them; those of the protocol are errors of JSON-RPC.

use std::fmt::Write as _;

use rmcp::model::{CallToolResult, ContentBlock, ErrorCode, ErrorData};
use serde_json::json;

use crate::advice::advice;
use prism_call::{Code, Error, RequestId};

/// Returns the result of a call that failed: what is wrong, where, and what to do next. `writes`: the call may have changed data.
pub fn tool_error(error: &Error, writes: bool, request_id: &RequestId) -> CallToolResult {
    let mut text = error.code().name().to_owned();
    if !error.reason().is_empty() {
        let _ = write!(text, " ({})", error.reason());
    }
    let _ = write!(text, ": {}", error.message());
    for violation in error.violations() {
        let _ = write!(text, "\n- {}: {}", violation.field, violation.description);
    }
    let _ = write!(text, "\n\nWhat to do: {}", advice(error, writes));
    if matches!(error.code(), Code::Unknown | Code::Internal | Code::DataLoss) {
        let _ = write!(text, " The id of the request is {request_id}.");
    }
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// Returns an error of the gateway as an error of JSON-RPC.
pub fn error_data(error: &Error) -> ErrorData {
    let code = match error.code() {
        Code::InvalidArgument => ErrorCode::INVALID_PARAMS,
        Code::NotFound => ErrorCode::RESOURCE_NOT_FOUND,
        _ => ErrorCode::INTERNAL_ERROR,
    };
    let data = json!({"code": error.code().name(), "reason": error.reason()});
    ErrorData::new(code, error.message().to_owned(), Some(data))
}
