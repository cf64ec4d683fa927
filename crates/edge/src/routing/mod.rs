//! Finds the namespace of a request on a listener. No lookup depends on the number of namespaces.

mod hosts;
mod http;
mod rpc;

use std::{collections::HashMap, sync::Arc};

use ::http::{HeaderMap, Uri};

use super::documents::Documentation;
pub use http::{HttpBinding, HttpRoutes};
use prism_call::{Code, Error, Method, Namespace};
use prism_frontend::{mapping::Api, route::Routes};

/// The metadata that names the namespace of a gRPC call, if host and path do not.
pub const NAMESPACE_HEADER: &str = "x-prism-namespace";

/// One frontend of one namespace on one listener.
pub struct Binding {
    /// The host of the requests; `None`: any host.
    pub host: Option<String>,
    /// Starts with `/` and does not end with it. Empty: the root.
    pub base_path: String,
    /// The namespace of the calls.
    pub namespace: Arc<Namespace>,
    /// The protocol.
    pub frontend: Frontend,
    /// The documentation of the HTTP routes, if it is enabled.
    pub documentation: Option<Arc<Documentation>>,
}

/// A protocol binding.
#[derive(Clone)]
pub enum Frontend {
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// HTTP routes with JSON, from the annotations of a service.
    Rest(Arc<Routes>),
    /// HTTP routes of a definition.
    Mapped(Arc<Api>),
}

/// All bindings of one listener.
#[derive(Default)]
pub struct Bindings {
    /// The RPCs of all services of the listener, by path.
    methods: HashMap<String, Arc<Method>>,
    grpc: rpc::RpcTable,
    grpc_web: rpc::RpcTable,
    http: http::HttpTable,
}

impl Bindings {
    /// Builds the tables of these bindings.
    pub fn new(bindings: Vec<Binding>) -> Self {
        let mut tables = Self::default();
        for Binding { host, base_path, namespace, frontend, documentation } in bindings {
            let host = host.map(|host| host.to_ascii_lowercase());
            for method in &*namespace.methods {
                if !tables.methods.contains_key(&method.path) {
                    tables.methods.insert(method.path.clone(), method.clone());
                }
            }
            let routes = match frontend {
                Frontend::Grpc => {
                    tables.grpc.add(host, base_path, namespace);
                    continue;
                }
                Frontend::GrpcWeb => {
                    tables.grpc_web.add(host, base_path, namespace);
                    continue;
                }
                Frontend::Rest(routes) => HttpRoutes::Annotated(routes),
                Frontend::Mapped(api) => HttpRoutes::Mapped(api),
            };
            tables.http.add(host, base_path, namespace, routes, documentation);
        }
        tables
    }

    /// Finds the RPC and the namespace of a gRPC or gRPC-Web request.
    pub fn service(&self, web: bool, uri: &Uri, headers: &HeaderMap) -> Result<(&Arc<Method>, &Arc<Namespace>), Error> {
        let table = if web { &self.grpc_web } else { &self.grpc };
        let (base_path, rpc_path) = split_rpc(uri.path());
        let method = self.methods.get(rpc_path).ok_or_else(|| self.unknown_rpc(rpc_path))?;
        Ok((method, table.find(uri, base_path, headers, method)?))
    }

    /// Tells whether this is the path of an RPC of the listener.
    pub fn is_rpc(&self, path: &str) -> bool {
        self.methods.contains_key(split_rpc(path).1)
    }

    fn unknown_rpc(&self, path: &str) -> Error {
        let (service, rpc) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        if self.methods.values().any(|method| method.service == service) {
            Error::unknown_rpc(service, rpc)
        } else {
            Error::wire(Code::Unimplemented, "UNKNOWN_SERVICE", format!("no service {service} is served on this listener"))
        }
    }

    /// Returns the candidate bindings of a REST request, with the path below their base: first those of its host, and the longest base
    /// paths first.
    pub fn http<'a, 'b>(&'a self, uri: &'b Uri, headers: &HeaderMap) -> impl Iterator<Item = (&'a HttpBinding, &'b str)> + use<'a, 'b> {
        self.http.candidates(uri, headers)
    }

    /// Returns the full names of all gRPC services of the listener.
    pub fn services(&self) -> Vec<String> {
        self.grpc.services()
    }
}

/// `/base/pkg.Service/Rpc` → `/base`, `/pkg.Service/Rpc`
fn split_rpc(path: &str) -> (&str, &str) {
    let service_at = path.rfind('/').and_then(|rpc_at| path.get(..rpc_at)).and_then(|before| before.rfind('/')).unwrap_or(0);
    path.split_at(service_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_precedes_service_and_rpc() {
        assert_eq!(split_rpc("/a.B/C"), ("", "/a.B/C"));
        assert_eq!(split_rpc("/x/y/a.B/C"), ("/x/y", "/a.B/C"));
        assert_eq!(split_rpc("/C"), ("", "/C"));
        assert_eq!(split_rpc(""), ("", ""));
    }
}
