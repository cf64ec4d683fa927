//! Finds the HTTP routes of a request by its base path.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, Uri};

use super::{Place, hosts::Hosts};
use crate::documents::Documentation;
use prism_call::Namespace;
use prism_frontend::{mapping::Api, route::Routes};

/// HTTP routes under a base path.
pub struct HttpBinding {
    /// Starts with `/` and does not end with it. Empty: the root.
    pub base_path: Arc<str>,
    /// The namespace of the calls.
    pub namespace: Arc<Namespace>,
    /// Further namespaces that a path parameter can select, by name.
    others: HashMap<Arc<str>, Arc<Namespace>>,
    /// The routes, below the base path.
    pub routes: HttpRoutes,
    /// The documentation pages below the base path. Routes take precedence.
    pub documentation: Option<Arc<Documentation>>,
}

/// The routes of an API.
#[derive(Clone)]
pub enum HttpRoutes {
    /// From the annotations of a service.
    Annotated(Arc<Routes>),
    /// From a definition.
    Mapped(Arc<Api>),
}

/// The HTTP routes of a listener.
#[derive(Default)]
pub struct HttpTable {
    hosts: Hosts<HostTable>,
}

/// The HTTP routes of one host.
#[derive(Default)]
struct HostTable {
    /// By base path. Several APIs may share one.
    bases: HashMap<Arc<str>, Vec<HttpBinding>>,
    /// Number of segments of the longest base path.
    depth: usize,
}

impl HttpBinding {
    /// Returns the namespace of that name, if a path parameter can select it.
    pub fn select_namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        if *self.namespace.name == *name { Some(&self.namespace) } else { self.others.get(name) }
    }

    /// Tells whether a namespace can share this binding, because a path parameter of the definition selects the namespace.
    fn can_share(&self, routes: &HttpRoutes) -> bool {
        match (&self.routes, routes) {
            (HttpRoutes::Mapped(one), HttpRoutes::Mapped(other)) => one.namespace.is_some() && one.name == other.name,
            _ => false,
        }
    }
}

impl HttpTable {
    /// Adds the routes of a namespace.
    pub fn add(&mut self, place: Place, routes: HttpRoutes) {
        let Place { host, base_path, namespace, documentation } = place;
        let table = self.hosts.entry(host);
        table.depth = table.depth.max(base_path.matches('/').count());
        let base_path: Arc<str> = base_path.into();
        let bindings = table.bases.entry(base_path.clone()).or_default();
        match bindings.iter_mut().find(|known| known.can_share(&routes)) {
            Some(known) => drop(known.others.insert(namespace.name.clone(), namespace)),
            None => bindings.push(HttpBinding { base_path, namespace, others: HashMap::new(), routes, documentation }),
        }
    }

    /// Returns the candidates for a request, with the path below their base: first those of its host, and the longest base paths first.
    pub fn candidates<'a, 'b>(
        &'a self,
        uri: &'b Uri,
        headers: &HeaderMap,
    ) -> impl Iterator<Item = (&'a HttpBinding, &'b str)> + use<'a, 'b> {
        let path = uri.path();
        self.hosts.candidates(uri, headers).flat_map(move |table| {
            prefixes(path, table.depth)
                .flat_map(move |(base, below)| table.bases.get(base).into_iter().flatten().map(move |found| (found, below)))
        })
    }
}

/// Splits a path after each of its first `depth` segments, the longest prefix first. The rest begins with `/`.
fn prefixes(path: &str, depth: usize) -> impl Iterator<Item = (&str, &str)> {
    let mut end = path.match_indices('/').map(|(at, _)| at).chain([path.len()]).nth(depth).unwrap_or(path.len());
    let mut is_done = false;
    std::iter::from_fn(move || {
        if is_done {
            return None;
        }
        let (base, below) = path.split_at(end);
        is_done = base.is_empty();
        end = base.rfind('/').unwrap_or(0);
        Some((base, if below.is_empty() { "/" } else { below }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_after_segments() {
        let all = |path, depth| prefixes(path, depth).collect::<Vec<_>>();
        assert_eq!(all("/a/b/c", 2), [("/a/b", "/c"), ("/a", "/b/c"), ("", "/a/b/c")]);
        assert_eq!(all("/a/b", 2), [("/a/b", "/"), ("/a", "/b"), ("", "/a/b")]);
        assert_eq!(all("/a/", 5), [("/a/", "/"), ("/a", "/"), ("", "/a/")]);
        assert_eq!(all("/a/b", 0), [("", "/a/b")]);
        assert_eq!(all("*", 3), [("*", "/"), ("", "*")]);
        assert_eq!(all("", 1), [("", "/")]);
    }
}
