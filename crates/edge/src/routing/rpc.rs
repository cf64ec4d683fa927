//! Finds the RPC and the namespace of a request to the path of an RPC.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, HeaderValue, Uri};

use super::{NAMESPACE_HEADER, Place, hosts::Hosts};
use prism_call::{Code, Error, Method, Namespace};

/// The RPCs of all services of a listener, over any protocol.
#[derive(Default)]
pub struct Rpcs {
    by_path: HashMap<String, Arc<Method>>,
}

impl Rpcs {
    /// Adds the RPCs of a namespace.
    pub fn add(&mut self, namespace: &Namespace) {
        let is_known = |method: &Arc<Method>| self.by_path.get(&method.path).is_some_and(|known| Arc::ptr_eq(known, method));
        // All namespaces of a pattern share its RPCs, so the last one of the list tells whether all of them are known.
        if namespace.methods.last().is_some_and(is_known) {
            return;
        }
        for method in &*namespace.methods {
            if !self.by_path.contains_key(&method.path) {
                self.by_path.insert(method.path.clone(), method.clone());
            }
        }
    }

    /// Returns the RPC of a path, which may begin with a base path.
    pub fn find(&self, path: &str) -> Option<&Arc<Method>> {
        self.by_path.get(split_rpc(path).1)
    }

    fn unknown_rpc(&self, path: &str) -> Error {
        let (service, rpc) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        if self.by_path.values().any(|method| method.service == service) {
            Error::unknown_rpc(service, rpc)
        } else {
            Error::wire(Code::Unimplemented, "UNKNOWN_SERVICE", format!("no service {service} is served on this listener"))
        }
    }
}

/// `/base/pkg.Service/Rpc` → `/base`, `/pkg.Service/Rpc`
fn split_rpc(path: &str) -> (&str, &str) {
    let service_at = path.rfind('/').and_then(|rpc_at| path.get(..rpc_at)).and_then(|before| before.rfind('/')).unwrap_or(0);
    path.split_at(service_at)
}

/// The namespaces whose RPCs are served over one protocol.
#[derive(Default)]
pub struct RpcTable {
    hosts: Hosts<HostTable>,
}

/// The namespaces of one host.
#[derive(Default)]
struct HostTable {
    names: HashMap<Arc<str>, Arc<Namespace>>,
    base_paths: HashMap<String, Arc<Namespace>>,
    services: HashMap<String, Service>,
}

/// The namespaces of one service.
struct Service {
    first: Arc<Namespace>,
    has_others: bool,
    /// The namespace `default`.
    default: Option<Arc<Namespace>>,
}

impl RpcTable {
    /// Adds a namespace.
    pub fn add(&mut self, place: Place) {
        let Place { host, base_path, namespace, .. } = place;
        let table = self.hosts.entry(host);
        for name in std::iter::once(namespace.service.as_str()).chain(namespace.interface_services.iter().copied()) {
            let service = table
                .services
                .entry(name.to_owned())
                .and_modify(|service| service.has_others |= service.first.name != namespace.name)
                .or_insert_with(|| Service { first: namespace.clone(), has_others: false, default: None });
            if &*namespace.name == "default" {
                service.default = Some(namespace.clone());
            }
        }
        if !base_path.is_empty() {
            table.base_paths.entry(base_path).or_insert_with(|| namespace.clone());
        }
        table.names.entry(namespace.name.clone()).or_insert(namespace);
    }

    /// Returns the full names of all services.
    pub fn services(&self) -> Vec<String> {
        let mut names: Vec<_> = self.hosts.all().flat_map(|table| table.services.keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Finds the RPC and the namespace of a request.
    pub fn find<'a>(&'a self, rpcs: &'a Rpcs, uri: &Uri, headers: &HeaderMap) -> Result<(&'a Arc<Method>, &'a Arc<Namespace>), Error> {
        let (base_path, rpc_path) = split_rpc(uri.path());
        let method = rpcs.by_path.get(rpc_path).ok_or_else(|| rpcs.unknown_rpc(rpc_path))?;
        let name = headers.get(NAMESPACE_HEADER).map(HeaderValue::as_bytes);
        Ok((method, self.namespace(uri, base_path, headers, name, method)?))
    }

    /// Finds the RPC and the namespace of a call on a connection. `method` is `package.Service/Rpc`, or only `Rpc` if the namespace is known.
    pub fn find_call<'a>(
        &'a self,
        rpcs: &'a Rpcs,
        scope: &ConnectionScope,
        namespace: Option<&str>,
        method: &str,
    ) -> Result<(&'a Arc<Method>, &'a Arc<Namespace>), Error> {
        let ConnectionScope { uri, headers, base_path } = scope;
        let method = method.trim_start_matches('/');
        if method.contains('/') {
            let path = format!("/{method}");
            let method = rpcs.by_path.get(&path).ok_or_else(|| rpcs.unknown_rpc(&path))?;
            return Ok((method, self.namespace(uri, base_path, headers, namespace.map(str::as_bytes), method)?));
        }
        let found = self
            .named(uri, base_path, headers, namespace.map(str::as_bytes))?
            .ok_or_else(|| Error::invalid("method", "must be package.Service/Rpc, or the call must name its namespace"))?;
        let own = found.methods.iter().find(|known| known.service == found.service && known.name == method);
        Ok((own.ok_or_else(|| Error::unknown_rpc(&found.service, method))?, found))
    }

    /// Tells whether connections can be made at a base path. Empty: the root, which is for all namespaces.
    pub fn serves(&self, uri: &Uri, headers: &HeaderMap, base_path: &str) -> bool {
        let mut tables = self.hosts.candidates(uri, headers);
        tables.any(|table| if base_path.is_empty() { !table.names.is_empty() } else { table.base_paths.contains_key(base_path) })
    }

    /// Finds the namespace that a name or a base path tells. Returns `None` if there is neither.
    fn named(&self, uri: &Uri, base_path: &str, headers: &HeaderMap, name: Option<&[u8]>) -> Result<Option<&Arc<Namespace>>, Error> {
        if let Some(name) = name {
            let text = std::str::from_utf8(name).ok();
            let found = text.and_then(|name| self.hosts.candidates(uri, headers).find_map(|table| table.names.get(name)));
            return found.map(Some).ok_or_else(|| unknown_namespace(&String::from_utf8_lossy(name)));
        }
        if base_path.is_empty() {
            return Ok(None);
        }
        let found = self.hosts.candidates(uri, headers).find_map(|table| table.base_paths.get(base_path));
        found.map(Some).ok_or_else(|| unknown_namespace(base_path.trim_start_matches('/')))
    }

    /// Finds the namespace by, in this order: the header, the base path, a host of the namespace, the only namespace with the service,
    /// and the name `default`.
    fn namespace(
        &self,
        uri: &Uri,
        base_path: &str,
        headers: &HeaderMap,
        name: Option<&[u8]>,
        method: &Method,
    ) -> Result<&Arc<Namespace>, Error> {
        if let Some(found) = self.named(uri, base_path, headers, name)? {
            return check_service(found, method);
        }
        for table in self.hosts.candidates(uri, headers) {
            let Some(service) = table.services.get(&method.service) else { continue };
            if !service.has_others {
                return Ok(&service.first);
            }
            return service.default.as_ref().ok_or_else(|| namespace_required(method));
        }
        Err(Error::new(
            Code::Unimplemented,
            "SERVICE_NOT_SERVED",
            format!("no namespace on this listener serves {} over this protocol; check the `frontends` of the namespace", method.service),
        ))
    }
}

/// What all calls of a connection have in common.
pub struct ConnectionScope {
    /// The URI of the handshake, whose host counts.
    pub uri: Uri,
    /// The header `host` of the handshake.
    pub headers: HeaderMap,
    /// The base path of the handshake.
    pub base_path: String,
}

/// Refuses a namespace whose pattern has another service.
fn check_service<'n>(namespace: &'n Arc<Namespace>, method: &Method) -> Result<&'n Arc<Namespace>, Error> {
    if namespace.has(method) {
        return Ok(namespace);
    }
    Err(Error::new(
        Code::Unimplemented,
        "SERVICE_NOT_SERVED",
        format!("the namespace {} has the pattern {}; it serves {}", namespace.name, namespace.pattern, namespace.service),
    ))
}

/// The error does not list the namespaces: they may be many, and secret.
fn unknown_namespace(name: &str) -> Error {
    let message =
        format!("no namespace {name} is served over this protocol on this listener; check the name, and the `frontends` of the namespace");
    Error::new(Code::NotFound, "NAMESPACE_NOT_FOUND", message)
}

fn namespace_required(method: &Method) -> Error {
    let message = format!("several namespaces serve {}; name one in the metadata {NAMESPACE_HEADER}", method.service);
    Error::new(Code::InvalidArgument, "NAMESPACE_REQUIRED", message)
        .with_violation(NAMESPACE_HEADER, "must be the name of a namespace of this service")
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
