//! Finds the binding and the route of a request.

use std::sync::Arc;

use http::{HeaderMap, Method, Response, Uri};

use super::{mapped, response};
use crate::{
    Body,
    routing::{Bindings, RestBinding, RestRoutes},
};
use prism_call::Error;
use prism_frontend::{
    mapping::{Api, Endpoint},
    problem,
    route::Route,
    router::{NoRoute, RouteMatch},
};

/// The route of a request.
pub enum Target<'b, 'p> {
    /// From the annotations of a service.
    Annotated { binding: &'b RestBinding, found: RouteMatch<'b, 'p, Arc<Route>>, path: &'p str },
    /// From a definition.
    Mapped { binding: &'b RestBinding, api: &'b Arc<Api>, found: RouteMatch<'b, 'p, Arc<Endpoint>>, path: &'p str },
}

/// The reason why no route matches.
pub struct Refusal<'b> {
    error: Error,
    /// The methods of the path, if it exists.
    allowed: Vec<Method>,
    /// The binding that refuses the request, if it is known.
    binding: Option<&'b RestBinding>,
}

/// Finds the route of a request. Several bindings may share a base path, for example two APIs at the root. The first binding with a
/// matching route wins.
pub fn find<'b, 'p>(bindings: &'b Bindings, method: &Method, uri: &'p Uri, headers: &HeaderMap) -> Result<Target<'b, 'p>, Refusal<'b>> {
    let mut refusal: Option<Refusal<'b>> = None;
    for (binding, path) in bindings.rest(uri, headers) {
        let missing = match &binding.routes {
            RestRoutes::Annotated(routes) => match routes.find(method, path) {
                Ok(found) => return Ok(Target::Annotated { binding, found, path }),
                Err(missing) => missing,
            },
            RestRoutes::Mapped(api) => {
                let path = path.strip_suffix('/').filter(|rest| api.ignore_slash && !rest.is_empty()).unwrap_or(path);
                match api.routes.find(method, path) {
                    Ok(found) => return Ok(Target::Mapped { binding, api, found, path }),
                    Err(missing) => missing,
                }
            }
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
    Err(refusal.unwrap_or_else(|| {
        let bases = bindings.rest_bases(uri, headers);
        Refusal { error: problem::unknown_base(method, uri.path(), &bases), allowed: Vec::new(), binding: None }
    }))
}

impl Refusal<'_> {
    /// Tells whether no route has the path, with any method.
    pub fn is_unknown_path(&self) -> bool {
        self.allowed.is_empty()
    }

    /// Returns the response.
    pub fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
        if !self.allowed.is_empty() && *method == Method::OPTIONS {
            return response::options(&self.allowed);
        }
        let mut response = match self.binding {
            Some(RestBinding { routes: RestRoutes::Mapped(api), namespace, .. }) => {
                mapped::refused(api, &namespace.name, (method, path), headers, &self.error)
            }
            _ => response::refused(headers, &self.error),
        };
        if !self.allowed.is_empty() {
            response::allow(response.headers_mut(), &self.allowed);
        }
        response
    }
}
