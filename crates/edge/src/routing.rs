//! Finds the namespace of a request on a listener.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, Uri};

use super::rest::{Documentation, Routes};
use prism_call::{Code, Error, Method, Namespace};
use prism_frontend::mapping::Api;

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
    pub documentation: Option<Documentation>,
}

/// A protocol binding.
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
    grpc: ServiceTable,
    grpc_web: ServiceTable,
    rest: Hosts<RestBinding>,
}

/// Bindings by host.
struct Hosts<T> {
    /// Bindings for any host.
    any: Vec<T>,
    /// Bindings for one host; usually empty.
    own: HashMap<String, Vec<T>>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { any: Vec::new(), own: HashMap::new() }
    }
}

impl<T> Hosts<T> {
    /// Returns the bindings for this host, or for any host.
    fn entry(&mut self, host: Option<String>) -> &mut Vec<T> {
        match host {
            Some(host) => self.own.entry(host).or_default(),
            None => &mut self.any,
        }
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.own.values().flatten().chain(&self.any)
    }

    /// Returns the bindings for the host of a request, then those for any host.
    fn candidates(&self, uri: &Uri, headers: &HeaderMap) -> impl Iterator<Item = &Vec<T>> + use<'_, T> {
        let own = if self.own.is_empty() { None } else { host(uri, headers).and_then(|host| self.own.get(&host.to_ascii_lowercase())) };
        own.into_iter().chain([&self.any])
    }
}

/// HTTP routes under a base path.
pub struct RestBinding {
    /// Starts with `/` and does not end with it. Empty: the root.
    pub base_path: String,
    /// The namespace of the calls.
    pub namespace: Arc<Namespace>,
    /// Further namespaces that a path parameter can select.
    pub others: Vec<Arc<Namespace>>,
    /// The routes, below the base path.
    pub routes: RestRoutes,
    /// The documentation pages below the base path. Routes take precedence.
    pub documentation: Option<Documentation>,
}

/// The routes of an API.
#[derive(Clone)]
pub enum RestRoutes {
    /// From the annotations of a service.
    Annotated(Arc<Routes>),
    /// From a definition.
    Mapped(Arc<Api>),
}

impl RestBinding {
    /// Returns the namespace of that name, if a path parameter can select it.
    pub fn select_namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        std::iter::once(&self.namespace).chain(&self.others).find(|namespace| &*namespace.name == name)
    }

    /// Tells whether a namespace can share this binding, because a path parameter of the definition selects the namespace.
    fn can_share(&self, base_path: &str, routes: &RestRoutes) -> bool {
        match (&self.routes, routes) {
            (RestRoutes::Mapped(one), RestRoutes::Mapped(other)) => {
                one.namespace.is_some() && one.name == other.name && self.base_path == base_path
            }
            _ => false,
        }
    }
}

/// The namespaces that are reached by the path of a gRPC service.
#[derive(Default)]
struct ServiceTable {
    hosts: Hosts<(String, Arc<Namespace>)>,
}

impl Bindings {
    /// Builds the tables of these bindings.
    pub fn new(bindings: Vec<Binding>) -> Self {
        let mut table = Self::default();
        for Binding { host, base_path, namespace, frontend, documentation } in bindings {
            let host = host.map(|host| host.to_ascii_lowercase());
            for method in &namespace.methods {
                table.methods.entry(method.path.clone()).or_insert_with(|| method.clone());
            }
            match frontend {
                Frontend::Grpc => table.grpc.hosts.entry(host).push((base_path, namespace)),
                Frontend::GrpcWeb => table.grpc_web.hosts.entry(host).push((base_path, namespace)),
                Frontend::Rest(routes) => {
                    table.add(
                        host,
                        RestBinding { base_path, namespace, others: Vec::new(), routes: RestRoutes::Annotated(routes), documentation },
                    );
                }
                Frontend::Mapped(api) => {
                    table.add(
                        host,
                        RestBinding { base_path, namespace, others: Vec::new(), routes: RestRoutes::Mapped(api), documentation },
                    );
                }
            }
        }
        for bindings in table.rest.own.values_mut().chain([&mut table.rest.any]) {
            // The longest matching base path wins.
            bindings.sort_by_key(|binding| std::cmp::Reverse(binding.base_path.len()));
        }
        table
    }

    fn add(&mut self, host: Option<String>, binding: RestBinding) {
        let bindings = self.rest.entry(host);
        match bindings.iter_mut().find(|known| known.can_share(&binding.base_path, &binding.routes)) {
            Some(known) => known.others.push(binding.namespace),
            None => bindings.push(binding),
        }
    }

    /// Finds the RPC and the namespace of a gRPC or gRPC-Web request.
    pub fn service(&self, web: bool, uri: &Uri, headers: &HeaderMap) -> Result<(Arc<Method>, Arc<Namespace>), Error> {
        let table = if web { &self.grpc_web } else { &self.grpc };
        let (base_path, rpc_path) = split_rpc(uri.path());
        let method = self.methods.get(rpc_path).ok_or_else(|| self.unknown_rpc(rpc_path))?;
        let namespace = table.find(uri, base_path, headers, method)?;
        Ok((method.clone(), namespace))
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
    pub fn rest<'a, 'b>(&'a self, uri: &'b Uri, headers: &HeaderMap) -> impl Iterator<Item = (&'a RestBinding, &'b str)> + use<'a, 'b> {
        let path = uri.path();
        self.rest.candidates(uri, headers).flatten().filter_map(move |binding| {
            let below = path.strip_prefix(binding.base_path.as_str())?;
            match below {
                "" => Some((binding, "/")),
                _ => below.starts_with('/').then_some((binding, below)),
            }
        })
    }

    /// Returns the base paths of REST for the host of a request.
    pub fn rest_bases(&self, uri: &Uri, headers: &HeaderMap) -> Vec<&str> {
        let mut bases: Vec<_> = self.rest.candidates(uri, headers).flatten().map(|binding| binding.base_path.as_str()).collect();
        bases.sort_unstable();
        bases.dedup();
        bases
    }

    /// Returns the full names of all gRPC services of the listener.
    pub fn services(&self) -> Vec<String> {
        let mut names: Vec<_> = self.grpc.hosts.all().map(|(_, namespace)| namespace.service.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl ServiceTable {
    /// Finds the namespace by, in this order: the header, the base path, a host of the namespace, the only namespace with the service,
    /// and the name `default`.
    fn find(&self, uri: &Uri, base_path: &str, headers: &HeaderMap, method: &Method) -> Result<Arc<Namespace>, Error> {
        if let Some(name) = headers.get(NAMESPACE_HEADER) {
            return self
                .all(uri, headers)
                .find(|(_, namespace)| namespace.name.as_bytes() == name.as_bytes())
                .map(|(_, namespace)| namespace.clone())
                .ok_or_else(|| self.unknown_namespace(uri, headers, &String::from_utf8_lossy(name.as_bytes())))
                .and_then(|namespace| serves(namespace, method));
        }
        if !base_path.is_empty() {
            return self
                .all(uri, headers)
                .find(|(base, _)| base == base_path)
                .map(|(_, namespace)| namespace.clone())
                .ok_or_else(|| self.unknown_namespace(uri, headers, base_path.trim_start_matches('/')))
                .and_then(|namespace| serves(namespace, method));
        }
        for bindings in self.hosts.candidates(uri, headers) {
            let mut fitting = bindings.iter().map(|(_, namespace)| namespace).filter(|namespace| namespace.service == method.service);
            let Some(first) = fitting.next() else { continue };
            if fitting.next().is_none() {
                return Ok(first.clone());
            }
            if let Some((_, default)) =
                bindings.iter().find(|(_, namespace)| &*namespace.name == "default" && namespace.service == method.service)
            {
                return Ok(default.clone());
            }
            return Err(self.namespace_required(uri, headers, method));
        }
        Err(Error::new(
            Code::Unimplemented,
            "SERVICE_NOT_SERVED",
            format!("no namespace on this listener serves {} over this protocol; check the `frontends` of the namespace", method.service),
        ))
    }

    fn all(&self, uri: &Uri, headers: &HeaderMap) -> impl Iterator<Item = &(String, Arc<Namespace>)> + use<'_> {
        self.hosts.candidates(uri, headers).flatten()
    }

    fn names(&self, uri: &Uri, headers: &HeaderMap, fits: impl Fn(&Namespace) -> bool) -> String {
        let mut names: Vec<_> =
            self.all(uri, headers).filter(|(_, namespace)| fits(namespace)).map(|(_, namespace)| &*namespace.name).collect();
        names.sort_unstable();
        names.join(", ")
    }

    fn unknown_namespace(&self, uri: &Uri, headers: &HeaderMap, name: &str) -> Error {
        let names = self.names(uri, headers, |_| true);
        let message = if names.is_empty() {
            format!("no namespace of this listener is served over this protocol; check the `frontends` of the namespace {name}")
        } else {
            format!("there is no namespace {name} on this listener; there are: {names}")
        };
        Error::new(Code::NotFound, "NAMESPACE_NOT_FOUND", message)
    }

    fn namespace_required(&self, uri: &Uri, headers: &HeaderMap, method: &Method) -> Error {
        let names = self.names(uri, headers, |namespace| namespace.service == method.service);
        Error::new(
            Code::InvalidArgument,
            "NAMESPACE_REQUIRED",
            format!("several namespaces serve {}; name one in the metadata {NAMESPACE_HEADER}: {names}", method.service),
        )
        .with_violation(NAMESPACE_HEADER, format!("must be one of {names}"))
    }
}

fn serves(namespace: Arc<Namespace>, method: &Method) -> Result<Arc<Namespace>, Error> {
    if namespace.service == method.service {
        return Ok(namespace);
    }
    Err(Error::new(
        Code::Unimplemented,
        "SERVICE_NOT_SERVED",
        format!("the namespace {} has the pattern {}; it serves {}", namespace.name, namespace.pattern, namespace.service),
    ))
}

/// `/base/pkg.Service/Rpc` → `/base`, `/pkg.Service/Rpc`
fn split_rpc(path: &str) -> (&str, &str) {
    let service_at = path.rfind('/').and_then(|rpc_at| path.get(..rpc_at)).and_then(|before| before.rfind('/')).unwrap_or(0);
    path.split_at(service_at)
}

/// Returns the host without its port.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let authority = uri.host().or_else(|| headers.get(http::header::HOST).and_then(|value| value.to_str().ok()))?;
    // An IPv6 address keeps its brackets: [::1]:8980.
    match authority.rfind(']') {
        Some(end) => authority.get(..=end),
        None => authority.split(':').next(),
    }
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

    #[test]
    fn hosts_are_returned_without_the_port() {
        let headers = HeaderMap::from_iter([(http::header::HOST, "[::1]:8980".parse().unwrap())]);
        assert_eq!(host(&Uri::from_static("/a"), &headers), Some("[::1]"));
        assert_eq!(host(&Uri::from_static("http://api.example.com:80/a"), &headers), Some("api.example.com"));
    }
}
