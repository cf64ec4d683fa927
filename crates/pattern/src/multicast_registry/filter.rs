//! Filters over registrations: CEL, evaluated by the gateway.

use std::sync::LazyLock;

use prism_call::Error;
use prism_frontend::{
    expression::{Expression, Scope, Type, Value, Variables, value::from_field},
    message_types::{Field, MessageId, MessageTypes},
};

const RECORD: &str = "prism.multicast.v1.RegistrationRecord";
/// Greatest length of a filter in bytes. The proto states it.
const MAX_FILTER_BYTES: usize = 4096;

/// The variables of filters.
static SCOPE: LazyLock<Scope> = LazyLock::new(|| {
    Scope::new().with("identity", Type::String).with("metadata", Type::map(Type::Dyn)).with("tags", Type::list(Type::String))
});

/// A compiled filter.
pub struct Filter {
    /// Absent: it matches all.
    expression: Option<Expression>,
    types: &'static MessageTypes,
    record: MessageId,
}

impl Filter {
    /// Compiles a filter of a request. An empty one matches all.
    ///
    /// Errors: `INVALID_ARGUMENT INVALID_FILTER`.
    pub fn compile(text: &str) -> Result<Self, Error> {
        let invalid = |problem: String| Error::invalid("filter", problem).with_reason("INVALID_FILTER");
        let types = MessageTypes::all();
        let record = types.find(RECORD).ok_or_else(|| Error::internal("the contracts lack the record of a registration"))?;
        if text.trim().is_empty() {
            return Ok(Self { expression: None, types, record });
        }
        if text.len() > MAX_FILTER_BYTES {
            return Err(invalid(format!("has {} bytes; at most {MAX_FILTER_BYTES} are allowed", text.len())));
        }
        let expression = Expression::compile(text, types, &SCOPE).map_err(invalid)?;
        if !matches!(expression.type_of(), Type::Bool | Type::Dyn) {
            return Err(invalid("must be true or false, as `metadata.region == \"eu\"`".to_owned()));
        }
        Ok(Self { expression: Some(expression), types, record })
    }

    /// Whether a registration matches. One that lacks what the filter names does not.
    pub fn matches(&self, identity: &str, record: &[u8]) -> bool {
        let Some(expression) = &self.expression else { return true };
        matches!(expression.evaluate(&Registered { filter: self, identity, record }), Ok(Value::Bool(true)))
    }
}

/// The variables of one registration.
struct Registered<'r> {
    filter: &'r Filter,
    identity: &'r str,
    record: &'r [u8],
}

impl Variables for Registered<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        if name == "identity" {
            return Some(Value::from(self.identity));
        }
        let Filter { types, record, .. } = self.filter;
        let field: &Field = types.message(*record).fields.iter().find(|field| field.name == name)?;
        from_field(types, *record, field, self.record).ok().flatten()
    }
}
