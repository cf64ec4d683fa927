//! Tables that find the namespace of a request on a listener. No lookup depends on the number of namespaces.

mod hosts;
mod http;
mod rpc;

use std::sync::Arc;

use super::documents::Documentation;
use prism_call::Namespace;

pub use hosts::Hosts;
pub use http::{HttpBinding, HttpRoutes, HttpTable};
pub use rpc::{ConnectionScope, RpcTable, Rpcs};

/// The metadata that names the namespace of a call of an RPC, if host and path do not.
pub const NAMESPACE_HEADER: &str = "x-prism-namespace";

/// Where a namespace is served.
pub struct Place {
    /// The host of the requests, in lower case; `None`: any host.
    pub host: Option<String>,
    /// Starts with `/` and does not end with it. Empty: the root.
    pub base_path: String,
    /// The namespace of the calls.
    pub namespace: Arc<Namespace>,
    /// The documentation, if it is enabled.
    pub documentation: Option<Arc<Documentation>>,
}
