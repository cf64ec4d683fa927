//! Routes: a method and a path that lead to an RPC, compiled for all that a request will ask of them.

use std::sync::Arc;

use super::{
    bind::{Binding, Settings},
    precondition::Twin,
    render::{RenderMessage, Rendering},
    router::Router,
    rule::{Body, Rule},
    schema::Schema,
    template::Template,
};
use prism_call::{Error, Method, proto};

/// One way to an RPC.
#[derive(Debug)]
pub struct Route {
    /// The RPC.
    pub method: Arc<Method>,
    /// The path.
    pub template: Template,
    /// How a request becomes a message.
    pub binding: Binding,
    /// How a reply becomes a response.
    pub rendering: Rendering,
    /// Whether `If-Match` and `If-None-Match` are checked here, or refused where they can't be; else they mean nothing here.
    pub preconditions: bool,
    /// The RPC that a write with a precondition goes to.
    pub twin: Option<Twin>,
}

/// The routes of an API.
pub type Routes = Router<Arc<Route>>;

impl Route {
    /// Compiles a rule for an RPC.
    pub fn compile(schema: &'static Schema, method: &Arc<Method>, rule: &Rule, settings: Settings) -> Result<Self, String> {
        let find = |name: &str| schema.find(name).ok_or_else(|| format!("{name} is no known message"));
        let input = find(method.descriptor.input().full_name())?;
        let output = find(method.descriptor.output().full_name())?;
        if method.client_streaming && rule.body == Body::None {
            return Err("it takes a stream of messages, so a body must hold them".to_owned());
        }
        let binding = Binding::compile(schema, input, rule, method.client_streaming, settings)?;
        let rendering = Rendering::compile(schema, output, method.server_streaming, rule.response_body.as_deref())?;
        let twin = Twin::compile(schema, method, rule.response_body.as_deref())?;
        Ok(Self { method: method.clone(), template: rule.template.clone(), binding, rendering, preconditions: true, twin })
    }
}

impl RenderMessage for Route {
    fn json(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.rendering.json(message, out)
    }

    fn cursor<'b>(&self, message: &'b [u8]) -> Option<&'b str> {
        self.rendering.cursor(message)
    }
}

/// The routes that a service's annotations describe, or everything that is wrong with them.
pub fn annotated(service: &str, settings: Settings) -> Result<Routes, Vec<String>> {
    let (mut routes, mut problems) = (Routes::default(), Vec::new());
    for method in Method::of_service(proto::descriptors(), service).unwrap_or_default() {
        let rules = match Rule::of(&method.descriptor) {
            Ok(rules) => rules,
            Err(problem) => {
                problems.push(format!("{}: {problem}", method.path));
                continue;
            }
        };
        for rule in rules {
            let added = Route::compile(Schema::all(), &method, &rule, settings).and_then(|route| {
                routes.insert(rule.method.clone(), rule.template.clone(), Arc::new(route)).map_err(|shadowed| shadowed.to_string())
            });
            if let Err(problem) = added {
                problems.push(format!("{} at {}: {problem}", method.path, rule.template));
            }
        }
    }
    if problems.is_empty() { Ok(routes) } else { Err(problems) }
}
