//! GraphQL: a schema from the descriptors of RPCs, and the execution of requests as calls of these RPCs. It has no transport.
//!
//! `async-graphql` parses documents, validates them, answers introspection and writes the schema as text. Execution is our own
//! (`execution/`): it compiles a selection to a plan, calls the RPC of each root field through [`RpcCaller`], and writes the reply from protobuf
//! bytes to JSON text, only the selected fields. So a failed field is `null` with a path, as the specification asks for, a field that is
//! selected twice is called once, and large replies are never held as a tree of values.

mod defined;
mod document;
mod execution;
mod input;
mod limits;
mod model;
mod request;
mod schema;
mod settings;
mod trusted;

#[cfg(test)]
mod tests;

pub use execution::{Executed, FieldContext, FieldRpc, PreparedOperation, RpcCaller, StreamPurpose};
pub use limits::GraphqlLimits;
pub use model::OperationKind;
pub use request::{GraphqlRequest, RequestError};
pub use schema::{GatewayNamespace, GraphqlDefinition, GraphqlSchema};
pub use settings::GraphqlSettings;
pub use trusted::{DocumentName, TrustedDocuments};
