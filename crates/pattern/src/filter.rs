//! Filters of requests: CEL, compiled when a call begins and evaluated by the gateway.

use prism_call::Error;
use prism_frontend::{
    expression::{Expression, Scope, Type, Value, Variables},
    message_types::MessageTypes,
};

/// Greatest length of a filter in bytes. The protos state it.
const MAX_FILTER_BYTES: usize = 4096;

/// A compiled filter.
#[derive(Debug)]
pub struct RequestFilter(Expression);

impl RequestFilter {
    /// Compiles the filter in this field of a request. Returns `None` for an empty one, which matches everything.
    ///
    /// Errors: `INVALID_ARGUMENT INVALID_FILTER`.
    pub fn compile(field: &str, text: &str, scope: &Scope, example: &str) -> Result<Option<Self>, Error> {
        let invalid = |problem: String| Error::invalid(field, problem).with_reason("INVALID_FILTER");
        if text.trim().is_empty() {
            return Ok(None);
        }
        if text.len() > MAX_FILTER_BYTES {
            return Err(invalid(format!("has {} bytes; at most {MAX_FILTER_BYTES} are allowed", text.len())));
        }
        let expression = Expression::compile(text, MessageTypes::all(), scope).map_err(invalid)?;
        if !matches!(expression.type_of(), Type::Bool | Type::Dyn) {
            return Err(invalid(format!("must be true or false, as `{example}`")));
        }
        Ok(Some(Self(expression)))
    }

    /// Returns whether the filter matches. If it asks for what is not there, it does not.
    pub fn matches(&self, variables: &dyn Variables) -> bool {
        matches!(self.0.evaluate(variables), Ok(Value::Bool(true)))
    }
}
