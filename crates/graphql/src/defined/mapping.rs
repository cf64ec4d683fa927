//! The mapping of a root field.

use std::sync::Arc;

use async_graphql::parser::types::FieldDefinition;

use prism_call::Method;
use prism_frontend::{
    expression::Expression,
    mapping::{MessagePlan, ValueTemplate},
    message_types::{MessageId, MessageTypes},
};

/// The name of the arguments in expressions.
pub const ARGUMENTS: &str = "args";

/// The mapping of a root field.
#[derive(Debug)]
pub struct FieldMapping {
    /// Its place in the schema: name, arguments and type.
    pub defined: FieldDefinition,
    /// The RPC.
    pub method: Arc<Method>,
    /// The type of its replies.
    pub output: MessageId,
    /// Builds the request message.
    pub request: MessagePlan,
    /// Named values (`let`).
    pub named: Vec<(String, ValueTemplate)>,
    /// Which messages of a stream are results of a subscription; `None`: all.
    pub when: Option<Expression>,
    /// The result.
    pub result: ValueTemplate,
    /// Reasons of errors for which the field is `null` without an error.
    pub null_if: Vec<String>,
    /// The types of messages.
    pub messages: &'static MessageTypes,
}
