//! Routes: an HTTP method and a path template, compiled with the binding of requests and the rendering of replies of an RPC.

use std::sync::Arc;

use http::header;

use super::{
    bind::{BindOptions, Binding},
    conditional::ConditionalRpc,
    headers::HeaderFields,
    message_types::MessageTypes,
    render::{EventFields, RenderMessage, Rendering},
    router::Router,
    rule::{HttpRule, RuleBody},
    template::PathTemplate,
};
use prism_call::{Error, Method, StreamMessage};

/// An HTTP route to an RPC.
#[derive(Debug)]
pub struct Route {
    /// The RPC.
    pub method: Arc<Method>,
    /// The path template.
    pub template: PathTemplate,
    /// Builds the request message.
    pub binding: Binding,
    /// Renders replies.
    pub rendering: Rendering,
    /// The RPC that is called instead if a write has a precondition.
    pub conditional: Option<ConditionalRpc>,
    /// The headers that are fields of messages.
    pub headers: Option<HeaderFields>,
    /// Whether responses are about a content that is no JSON: they have it as their body, or answer HEAD.
    pub describes_content: bool,
}

/// The routes of an API.
pub type Routes = Router<Arc<Route>>;

impl Route {
    /// Compiles an HTTP rule of an RPC.
    pub fn compile(types: &'static MessageTypes, method: &Arc<Method>, rule: &HttpRule, options: BindOptions) -> Result<Self, String> {
        let find = |name: &str| types.find(name).ok_or_else(|| format!("{name} is not a known message type"));
        let input = find(method.descriptor.input().full_name())?;
        let output = find(method.descriptor.output().full_name())?;
        if method.client_streaming && rule.body == RuleBody::None {
            return Err("the RPC takes a stream of messages, so the rule needs a `body`".to_owned());
        }
        let headers = HeaderFields::compile(types, method)?;
        let header_fields = headers.as_ref().map(HeaderFields::request_fields).unwrap_or_default();
        let binding = Binding::compile(types, input, rule, method.client_streaming, options)?.with_header_fields(header_fields);
        let rendering = Rendering::compile(types, output, method.server_streaming, rule.response_body.as_deref())?;
        let conditional = ConditionalRpc::compile(types, method)?;
        let describes_content = rendering.is_raw() || rule.method == Some(http::Method::HEAD);
        let template = rule.template.clone();
        Ok(Self { method: method.clone(), template, binding, rendering, conditional, headers, describes_content })
    }
}

impl Route {
    /// Whether responses have an `ETag`.
    pub fn is_tagged(&self) -> bool {
        self.rendering.has_revision() || self.headers.as_ref().is_some_and(|headers| headers.writes(&header::ETAG))
    }
}

impl RenderMessage for Route {
    fn json(&self, message: &StreamMessage, out: &mut Vec<u8>) -> Result<(), Error> {
        RenderMessage::json(&self.rendering, message, out)
    }

    fn event(&self) -> Option<&EventFields> {
        self.rendering.event()
    }
}

/// Compiles the HTTP rules of RPCs: `google.api.http` annotations, and the rules of interfaces. On failure, returns all problems.
pub fn annotated(methods: &[Arc<Method>], options: BindOptions) -> Result<Routes, Vec<String>> {
    let (mut routes, mut problems) = (Routes::default(), Vec::new());
    let types = MessageTypes::of_methods(methods);
    for method in methods {
        let rules = match HttpRule::of(method) {
            Ok(rules) => rules,
            Err(problem) => {
                problems.push(format!("{}: {problem}", method.path));
                continue;
            }
        };
        for rule in rules {
            let added = Route::compile(types, method, &rule, options).and_then(|route| {
                routes.insert(rule.method.clone(), rule.template.clone(), Arc::new(route)).map_err(|shadowed| shadowed.to_string())
            });
            if let Err(problem) = added {
                problems.push(format!("{} at {}: {problem}", method.path, rule.template));
            }
        }
    }
    if problems.is_empty() { Ok(routes) } else { Err(problems) }
}
