//! MCP, the Model Context Protocol: the tools of a namespace from the descriptors of its RPCs, their arguments and results, and the messages of
//! the protocol. It has no transport, and makes no calls.
//!
//! `rmcp` has the types of messages and results, and the revisions of the protocol. Its transport is not used: it has sessions and
//! tasks of its own, and would call tools outside of the pipeline.

mod advice;
mod collect;
mod instructions;
mod message;
mod names;
mod resource;
mod result;
mod revision;
mod rpc_messages;
mod schema;
mod settings;
mod text_bytes;
mod tool;

#[cfg(test)]
mod tests;

pub use rmcp::model as protocol;

pub use collect::ResultLimits;
pub use instructions::instructions;
pub use message::{McpBody, McpFault, McpMessage, McpRequest};
pub use names::unknown_rpcs;
pub use resource::{ResourceRpc, ResourceSet, has_resources, has_subscriptions, resource_error};
pub use result::{error_data, tool_error};
pub use revision::{HeaderNames, RequestRevision, SUPPORTED, check_headers, check_revision, initialize_revision};
pub use rpc_messages::RpcMessages;
pub use settings::{McpSettings, ToolSettings};
pub use tool::{McpTool, ToolSet};
