//! Finds the namespace of a gRPC or gRPC-Web call.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, Uri};

use super::{NAMESPACE_HEADER, hosts::Hosts};
use prism_call::{Code, Error, Method, Namespace};

/// The namespaces that are served over one protocol.
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
    pub fn add(&mut self, host: Option<String>, base_path: String, namespace: Arc<Namespace>) {
        let table = self.hosts.entry(host);
        let service = table
            .services
            .entry(namespace.service.clone())
            .and_modify(|service| service.has_others |= service.first.name != namespace.name)
            .or_insert_with(|| Service { first: namespace.clone(), has_others: false, default: None });
        if &*namespace.name == "default" {
            service.default = Some(namespace.clone());
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

    /// Finds the namespace by, in this order: the header, the base path, a host of the namespace, the only namespace with the service,
    /// and the name `default`.
    pub fn find(&self, uri: &Uri, base_path: &str, headers: &HeaderMap, method: &Method) -> Result<&Arc<Namespace>, Error> {
        if let Some(name) = headers.get(NAMESPACE_HEADER) {
            let found = name.to_str().ok().and_then(|name| self.hosts.candidates(uri, headers).find_map(|table| table.names.get(name)));
            let found = found.ok_or_else(|| unknown_namespace(&String::from_utf8_lossy(name.as_bytes())))?;
            return check_service(found, method);
        }
        if !base_path.is_empty() {
            let found = self.hosts.candidates(uri, headers).find_map(|table| table.base_paths.get(base_path));
            let found = found.ok_or_else(|| unknown_namespace(base_path.trim_start_matches('/')))?;
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

/// Refuses a namespace whose pattern has another service.
fn check_service<'n>(namespace: &'n Arc<Namespace>, method: &Method) -> Result<&'n Arc<Namespace>, Error> {
    if namespace.service == method.service {
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
