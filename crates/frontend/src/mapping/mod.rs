//! Compiled definitions: map HTTP requests to messages, and replies to HTTP responses. Does no I/O.
//!
//! [`definition`](super::definition) compiles them. A path of names copies a field. Only values that are not a path evaluate an
//! [`Expression`].

mod body;
mod check;
pub mod ecma_pattern;
mod error;
mod form;
mod forward;
mod input;
mod message;
mod opened;
mod pairs;
mod parameter;
#[cfg(test)]
mod parameter_tests;
mod raw_parameter;
pub mod rehearsal;
mod rendered;
mod request;
mod response;
mod scalar_text;
mod scope;
mod shared_schemas;
mod shown;
mod step;
mod streamed;
mod styled;
pub mod subschemas;
mod switch;
mod template;
mod text_type;
#[cfg(test)]
mod tests;
mod unique_json;
mod value;

use std::sync::Arc;

use bytes::Bytes;

pub use body::{Payload, required as body_required};
pub use check::RequestSchemas;
pub use error::{EmbeddedError, ErrorCase, ErrorCases, ErrorForm, ErrorLocation, Errors};
pub use form::FormFields;
pub use forward::{ForwardPlan, ForwardTarget, ForwardTargets};
pub use input::{BodyContent, BodyFormat, BodyTypes, RequestBody};
pub use message::{Fill, MessagePlan, RequestPlan};
pub use pairs::PairNames;
pub use parameter::{Parameter, ParameterFormat, ParameterLocation};
pub use raw_parameter::RawParameter;
pub use rendered::{Rendered, Status, is_json};
pub use request::{Parameters, ReceivedRequest, RequestHead};
pub use response::{Answer, Outcome, Refusal, ResponseCase, ResponsePlan};
pub use scope::{CallScope, ListItem, NamedValues};
pub use shared_schemas::SchemaComponents;
pub use step::{Step, StepAction, StepCall, StepReply};
pub use streamed::StreamedCall;
pub use styled::{ParameterStyle, StyledFormat};
pub use switch::Switch;
pub use template::{Translation, ValueSource, ValueTemplate, holds};
pub use text_type::{TextObject, TextType};
pub use value::{map, member, to_text};

use http::Method as Verb;

use super::{
    bind::Cursor,
    conditional::ConditionalRpc,
    expression::{Expression, Value},
    json::JsonStyle,
    message_types::{MessageId, MessageTypes},
    render::{Accept, EventFields},
    router::{NoRoute, RouteMatch, Router},
    template::PathTemplate,
};
use prism_call::{Error, Input, Method, Proof, RequestId, message_too_large};

/// Maximum size in bytes of the messages that are gathered into one response.
pub const MAX_GATHERED_BYTES: usize = 64 << 20;

/// An API, compiled for one binding.
#[derive(Debug)]
pub struct Api {
    /// Name of the definition.
    pub name: String,
    /// All message types.
    pub types: &'static MessageTypes,
    /// The operations, by method and path.
    pub routes: Router<Arc<Endpoint>>,
    /// How errors are rendered.
    pub errors: Errors,
    /// How messages are written as JSON.
    pub style: JsonStyle,
    /// Whether a request is refused if its `Accept` allows none of the response's media types.
    pub strict_accept: bool,
    /// Whether a trailing slash of a path is ignored.
    pub ignore_slash: bool,
    /// Maximum number of messages of a stream that are gathered into one response.
    pub max_gathered: usize,
    /// The settings of the binding.
    pub settings: Value,
    /// The path parameter that selects the namespace.
    pub namespace: Option<String>,
    /// The operations that serve forwarded requests.
    pub targets: ForwardTargets<Endpoint>,
}

/// An operation.
#[derive(Debug)]
pub struct Endpoint {
    /// Its `operationId`, or its method and path.
    pub name: String,
    /// Its parameters.
    pub parameters: Parameters,
    /// Its request body, if it has one.
    pub body: Option<RequestBody>,
    /// Chooses a part of the cases; `None`: all of them are candidates.
    pub switch: Option<Switch>,
    /// The cases. The first one whose condition holds is used.
    pub cases: Vec<EndpointCase>,
}

/// What an operation does if a condition holds.
#[derive(Debug)]
pub struct EndpointCase {
    /// The condition; none: always.
    pub when: Option<Condition>,
    /// Named values (`let`).
    pub named: Vec<(String, ValueTemplate)>,
    /// The action.
    pub action: Action,
}

/// A condition.
#[derive(Debug)]
pub enum Condition {
    /// The request has the parameter with this index.
    Given(usize),
    /// An expression is true.
    Expression(Box<Expression>, String),
}

/// What is done.
#[derive(Debug)]
pub enum Action {
    /// Calls an RPC.
    Call(Box<CallPlan>),
    /// Refuses the request.
    Refuse(Refusal),
    /// Responds without a call.
    Answer(ResponsePlan),
    /// Serves the request as requests of another operation.
    Forward(Box<ForwardPlan>),
}

/// A call and the mapping of its reply.
#[derive(Debug)]
pub struct CallPlan {
    /// The steps before the call.
    pub first: Vec<Step>,
    /// The condition on the reply under which the steps and the call run again.
    pub again: Option<Expression>,
    /// The RPC.
    pub method: Arc<Method>,
    /// The type of its replies.
    pub output: MessageId,
    /// Builds the request messages.
    pub request: RequestPlan,
    /// Maps the reply to a response.
    pub response: ResponsePlan,
    /// Special cases for errors.
    pub errors: ErrorCases,
    /// Whether a stream of replies is gathered into one response.
    pub gathers: bool,
    /// Whether the body is read item by item, because each of its items becomes a message and nothing else uses it.
    pub reads_items: bool,
    /// The RPC that is called instead if a write has a precondition.
    pub conditional: Option<ConditionalRpc>,
    /// The field of the request from which an interrupted stream of events resumes.
    pub cursor: Option<Cursor>,
    /// The fields of a reply that become the id and the name of an event.
    pub event: EventFields,
}

impl Endpoint {
    /// Returns the RPC, if all calls of the operation are of one.
    pub fn only_method(&self) -> Option<&Arc<Method>> {
        if self.cases.iter().any(|case| matches!(case.action, Action::Forward(_))) {
            return None;
        }
        let mut methods = self.cases.iter().filter_map(|case| case.action.call().map(|plan| &plan.method));
        let first = methods.next()?;
        methods.all(|method| Arc::ptr_eq(method, first) || method.path == first.path).then_some(first)
    }

    /// Returns the rules for errors before the case is known: those of the last case.
    pub fn default_errors(&self) -> Option<&ErrorCases> {
        self.cases.last()?.action.call().map(|plan| &plan.errors)
    }

    /// Whether the body must be read to choose the case.
    pub fn chooses_by_body(&self) -> bool {
        let switches = self.switch.as_ref().is_some_and(Switch::reads_body);
        switches
            || self.cases.iter().any(|case| match &case.when {
                Some(Condition::Expression(expression, _)) => {
                    let named = |(name, template): &(String, ValueTemplate)| expression.reads(name) && template.reads_body();
                    expression.reads("body") || case.named.iter().any(named)
                }
                _ => !matches!(case.action, Action::Call(_)) && self.body.is_some(),
            })
    }

    /// Returns the format of the body, or `None` if the operation has no body.
    pub fn reading(&self, content_type: Option<&str>) -> Result<Option<BodyFormat>, Error> {
        self.body.as_ref().map(|body| body.reading(content_type)).transpose()
    }

    /// Reads the body of a request, if the operation has one.
    pub fn set_body(&self, received: &mut ReceivedRequest<'_>, content_type: Option<&str>, bytes: Bytes) -> Result<(), Error> {
        let Some(body) = &self.body else { return Ok(()) };
        let reading = body.reading(content_type)?;
        // A request without a body has no media type to check. It has no text, but empty bytes.
        if bytes.is_empty() && content_type.is_none() && reading != BodyFormat::Bytes {
            return if body.required { Err(body_required()) } else { Ok(()) };
        }
        received.payload = body.payload(reading, bytes, &self.parameters.checks)?;
        Ok(())
    }

    /// Chooses the case for a request.
    pub fn choose(&self, scope: &CallScope<'_>) -> Result<&EndpointCase, Error> {
        let range = match &self.switch {
            None => 0..self.cases.len(),
            Some(switch) => switch.range(scope)?,
        };
        for case in self.cases.get(range).unwrap_or_default() {
            let holds = match &case.when {
                None => true,
                Some(Condition::Given(place)) => scope.received.is_some_and(|received| matches!(received.given.get(*place), Some(Some(_)))),
                Some(Condition::Expression(expression, _)) => {
                    let named = NamedValues::new(&case.named);
                    holds(expression, &CallScope { named: Some(&named), ..*scope })?
                }
            };
            if holds {
                return Ok(case);
            }
        }
        Err(Error::internal(format!("no case of {} in the definition matches this request", self.name)))
    }
}

impl Action {
    /// Returns the call, if it is one.
    pub fn call(&self) -> Option<&CallPlan> {
        match self {
            Self::Call(plan) => Some(plan),
            Self::Refuse(_) | Self::Answer(_) | Self::Forward(_) => None,
        }
    }
}

impl CallPlan {
    /// Whether it may make more than one call.
    pub fn has_several_calls(&self) -> bool {
        !self.first.is_empty() || self.again.is_some()
    }

    /// Builds the input of the call.
    pub fn input(&self, scope: &CallScope<'_>, limit: usize) -> Result<Input, Error> {
        if let (RequestPlan::One(plan), false) = (&self.request, self.method.client_streaming) {
            let message = plan.message(scope)?;
            return if message.len() > limit { Err(message_too_large(limit)) } else { Ok(Input::One(message)) };
        }
        let mut messages = self.request.messages(scope)?;
        if messages.iter().any(|message| message.len() > limit) {
            return Err(message_too_large(limit));
        }
        if self.method.client_streaming {
            return Ok(Input::Stream(Box::pin(futures::stream::iter(messages.into_iter().map(Ok)))));
        }
        messages.pop().map(Input::One).ok_or_else(|| Error::internal("the definition maps this request to no message"))
    }
}

impl Api {
    /// Returns each operation once, with its path in the document.
    pub fn operations(&self) -> impl Iterator<Item = (Option<&Verb>, &PathTemplate, &Arc<Endpoint>)> {
        self.routes.routes().filter(|(_, template, endpoint)| {
            let Parameters { variables, of_prefix, .. } = &endpoint.parameters;
            template.variables().len() + of_prefix == variables.len()
        })
    }

    /// Finds the operation of a request. Returns it with the path that it matches, which may lack the `/` at the end of the request's path.
    pub fn find<'p>(&self, method: &Verb, path: &'p str) -> Result<(RouteMatch<'_, 'p, Arc<Endpoint>>, &'p str), NoRoute> {
        let exactly = self.routes.find(method, path).map(|found| (found, path));
        let shorter = path.strip_suffix('/').filter(|rest| self.ignore_slash && !rest.is_empty());
        match (exactly, shorter) {
            // A path with another method is better than none.
            (Err(missing), Some(shorter)) => match self.routes.find(method, shorter) {
                Ok(found) => Ok((found, shorter)),
                Err(NoRoute::Path) => Err(missing),
                Err(other) => Err(if missing == NoRoute::Path { other } else { missing }),
            },
            (found, _) => found,
        }
    }

    /// Creates the scope in which the values of a call are evaluated.
    pub fn scope<'a>(
        &'a self,
        proof: Proof,
        parameters: &'a Parameters,
        received: Option<&'a ReceivedRequest<'a>>,
        namespace: &'a str,
        request_id: Option<&'a RequestId>,
    ) -> CallScope<'a> {
        CallScope {
            proof,
            types: self.types,
            parameters,
            received,
            namespace,
            request_id,
            settings: &self.settings,
            reply: None,
            shared: None,
            replies: None,
            item: None,
            error: None,
            errors: (&self.errors, None),
            named: None,
            results: None,
        }
    }

    /// Maps a reply to a response, or to an error if the definition says so.
    pub fn respond(&self, plan: &ResponsePlan, scope: &CallScope<'_>, accept: &Accept<'_>) -> Result<Rendered, Error> {
        match plan.choose(scope)? {
            Outcome::Answer(answer) => answer.render(scope, accept, self.style),
            Outcome::Error(refusal) => Err(refusal.error(scope)),
        }
    }
}
