//! Filters over registrations: CEL, evaluated by the gateway.

use std::sync::LazyLock;

use crate::filter::RequestFilter;
use prism_call::Error;
use prism_frontend::{
    expression::{Scope, Type, Value, Variables, value::from_field},
    message_types::{Field, MessageId, MessageTypes},
};

const RECORD: &str = "prism.multicast.v1.RegistrationRecord";

/// The variables of filters.
static SCOPE: LazyLock<Scope> = LazyLock::new(|| {
    Scope::new().with("identity", Type::String).with("metadata", Type::map(Type::Dyn)).with("tags", Type::list(Type::String))
});

/// A compiled filter.
pub struct Filter {
    /// Absent: it matches all.
    expression: Option<RequestFilter>,
    types: &'static MessageTypes,
    record: MessageId,
}

impl Filter {
    /// Compiles a filter of a request. An empty one matches all.
    ///
    /// Errors: `INVALID_ARGUMENT INVALID_FILTER`.
    pub fn compile(text: &str) -> Result<Self, Error> {
        let types = MessageTypes::all();
        let record = types.find(RECORD).ok_or_else(|| Error::internal("the contracts lack the record of a registration"))?;
        Ok(Self { expression: RequestFilter::compile("filter", text, &SCOPE, "metadata.region == \"eu\"")?, types, record })
    }

    /// Whether a registration matches. One that lacks what the filter names does not.
    pub fn matches(&self, identity: &str, record: &[u8]) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.matches(&Registered { filter: self, identity, record }))
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
