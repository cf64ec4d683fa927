//! Finds the binding and the route of a request.

use std::sync::Arc;

use http::{HeaderMap, Method, Uri, request::Parts};

use super::{mapped, response};
use crate::{
    request::{Response, Serving},
    routing::{HttpBinding, HttpRoutes, HttpTable},
};
use prism_call::{Error, ListenerTarget};
use prism_frontend::{
    mapping::{Api, Endpoint},
    problem,
    route::Route,
    router::{NoRoute, RouteMatch},
};

/// The route of a request.
pub enum RouteTarget<'b, 'p> {
    /// From the annotations of a service.
    Annotated { binding: &'b HttpBinding, found: RouteMatch<'b, 'p, Arc<Route>>, path: &'p str },
    /// From a definition.
    Mapped { binding: &'b HttpBinding, api: &'b Arc<Api>, found: RouteMatch<'b, 'p, Arc<Endpoint>>, path: &'p str },
}

/// The reason why no route matches.
pub struct Refusal<'b> {
    error: Error,
    /// The methods of the path, if it exists.
    allowed: Vec<Method>,
    /// The binding that refuses the request, if it is known.
    binding: Option<&'b HttpBinding>,
}

/// Finds the route of a request. Several bindings may share a base path, for example two APIs at the root. The first binding with a
/// matching route wins.
pub fn find<'b, 'p>(table: &'b HttpTable, method: &Method, uri: &'p Uri, headers: &HeaderMap) -> Result<RouteTarget<'b, 'p>, Refusal<'b>> {
    let mut refusal: Option<Refusal<'b>> = None;
    for (binding, path) in table.candidates(uri, headers) {
        let missing = match &binding.routes {
            HttpRoutes::Annotated(routes) => match routes.find(method, path) {
                Ok(found) => return Ok(RouteTarget::Annotated { binding, found, path }),
                Err(missing) => missing,
            },
            HttpRoutes::Mapped(api) => match api.find(method, path) {
                Ok((found, path)) => return Ok(RouteTarget::Mapped { binding, api, found, path }),
                Err(missing) => missing,
            },
        };
        let better = refusal.as_ref().is_none_or(|known| known.allowed.is_empty());
        match missing {
            NoRoute::Path if refusal.is_none() => {
                let error = problem::unknown_route(method, uri.path());
                refusal = Some(Refusal { error, allowed: Vec::new(), binding: Some(binding) });
            }
            NoRoute::Method(allowed) if better => {
                let error = problem::method_not_allowed(method, uri.path(), &allowed);
                refusal = Some(Refusal { error, allowed, binding: Some(binding) });
            }
            _ => {}
        }
    }
    Err(refusal.unwrap_or_else(|| Refusal { error: problem::unknown_base(method, uri.path()), allowed: Vec::new(), binding: None }))
}

impl Refusal<'_> {
    /// Tells whether no route has the path, with any method.
    pub fn is_unknown_path(&self) -> bool {
        self.allowed.is_empty()
    }

    /// Returns the response.
    pub fn respond(&self, serving: Serving<'_>, parts: &Parts) -> Response {
        if !self.allowed.is_empty() && parts.method == Method::OPTIONS {
            return serving.answer_as(ListenerTarget::Options, parts).finish(None, response::options(&self.allowed));
        }
        let request = serving.answer_as(ListenerTarget::NoRoute, parts);
        let mut response = match self.binding {
            Some(HttpBinding { routes: HttpRoutes::Mapped(api), namespace, .. }) => {
                mapped::refused(api, &namespace.name, (&parts.method, parts.uri.path()), request.proof(), request.request_id(), &self.error)
            }
            _ => response::failed(request.request_id(), &self.error),
        };
        if !self.allowed.is_empty() {
            response::allow(response.headers_mut(), &self.allowed);
        }
        request.finish(Some(&self.error), response)
    }
}
