//! Mappings of a definition at work: from an HTTP request to a message, and from a reply to an HTTP response, without any I/O.
//!
//! [`definition`](super::definition) compiles them. A path of names is a copy of a field; only what a path can't say runs an
//! [`Expression`].

mod check;
mod error;
mod message;
mod opened;
pub mod rehearsal;
mod request;
mod response;
mod scope;
mod shown;
mod template;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use bytes::Bytes;

pub use check::{Checks, Components};
pub use error::{Case as ErrorCase, Cases as ErrorCases, Errors, Form as ErrorForm, Place as ErrorPlace, Status, Told};
pub use message::{Fill, MessagePlan, RequestPlan};
pub use request::{Given, Parameters, Parts, Payload, Received, required as body_required};
pub use response::{Answer, Outcome, Refusal, Rendered, ResponseCase, ResponsePlan, is_json};
pub use scope::{Item, Named, Scope};
pub use template::{Source, Template, Translation, holds};
pub use value::to_text;

use http::Method as Verb;

use super::{
    definition::{Body, Reading},
    expression::{Expression, Value},
    json::Style,
    render::{Accept, RenderMessage},
    router::Router,
    schema::{MessageId, Schema},
    template::Template as PathTemplate,
};
use prism_call::{Error, Input, Method, RequestId, message_too_large};

/// Most bytes of messages that are gathered into one response.
pub const MAX_GATHERED_BYTES: usize = 64 << 20;

/// An API as one binding serves it: routes, and how it tells errors.
#[derive(Debug)]
pub struct Api {
    /// The definition's name.
    pub name: String,
    /// All message types.
    pub schema: &'static Schema,
    /// Operations by method and path.
    pub routes: Router<Arc<Endpoint>>,
    /// How errors are told.
    pub errors: Errors,
    /// How messages are written in JSON.
    pub style: Style,
    /// Whether a request is refused that accepts none of the response's types.
    pub strict_accept: bool,
    /// Whether a path with a slash at its end is the one without.
    pub ignore_slash: bool,
    /// Most messages of a stream that are gathered into one response.
    pub max_gathered: usize,
    /// What the binding decided.
    pub settings: Value,
    /// The path parameter that chooses the namespace.
    pub namespace: Option<String>,
}

/// An operation.
#[derive(Debug)]
pub struct Endpoint {
    /// Its `operationId`, or method and path.
    pub name: String,
    /// Its parameters.
    pub parameters: Parameters,
    /// The body that it takes.
    pub body: Option<Body>,
    /// The first whose condition holds is taken.
    pub cases: Vec<EndpointCase>,
}

/// What an operation does if a condition holds.
#[derive(Debug)]
pub struct EndpointCase {
    /// The condition; none: always.
    pub when: Option<Condition>,
    /// Values with names of their own.
    pub named: Vec<(String, Template)>,
    /// What is done.
    pub action: Action,
}

/// A condition.
#[derive(Debug)]
pub enum Condition {
    /// A parameter is there.
    Given(usize),
    /// An expression holds.
    Expression(Box<Expression>, String),
}

/// What is done.
#[derive(Debug)]
pub enum Action {
    /// An RPC is called.
    Call(Box<CallPlan>),
    /// The request is refused.
    Refuse(Refusal),
    /// It is answered without a call.
    Answer(ResponsePlan),
}

/// A call and what becomes of its reply.
#[derive(Debug)]
pub struct CallPlan {
    /// The RPC.
    pub method: Arc<Method>,
    /// The type of its replies.
    pub output: MessageId,
    /// The messages of the request.
    pub request: RequestPlan,
    /// What a reply becomes.
    pub response: ResponsePlan,
    /// What is different for some errors.
    pub errors: ErrorCases,
    /// Whether a stream of replies becomes one response.
    pub gathers: bool,
}

impl Endpoint {
    /// Whether a body has to be read before it is known what to do.
    pub fn chooses_by_body(&self) -> bool {
        self.cases.iter().any(|case| match &case.when {
            Some(Condition::Expression(expression, _)) => {
                let named = |(name, template): &(String, Template)| expression.reads(name) && template.reads_body();
                expression.reads("body") || case.named.iter().any(named)
            }
            _ => !matches!(case.action, Action::Call(_)) && self.body.is_some(),
        })
    }

    /// How a request's body is read; none: there is none to read.
    pub fn reading(&self, content_type: Option<&str>) -> Result<Option<Reading>, Error> {
        self.body.as_ref().map(|body| body.reading(content_type)).transpose()
    }

    /// Takes the body of a request.
    pub fn set_body(&self, received: &mut Received<'_>, reading: Option<Reading>, bytes: Bytes) -> Result<(), Error> {
        if let (Some(body), Some(reading)) = (&self.body, reading) {
            received.payload = body.payload(reading, bytes, &self.parameters.checks)?;
        }
        Ok(())
    }

    /// The case that a request falls under.
    pub fn choose(&self, scope: &Scope<'_>) -> Result<&EndpointCase, Error> {
        for case in &self.cases {
            let holds = match &case.when {
                None => true,
                Some(Condition::Given(place)) => scope.received.is_some_and(|received| matches!(received.given.get(*place), Some(Some(_)))),
                Some(Condition::Expression(expression, _)) => {
                    let named = Named::new(&case.named);
                    holds(expression, &Scope { named: Some(&named), ..*scope })?
                }
            };
            if holds {
                return Ok(case);
            }
        }
        Err(Error::internal(format!("the definition has no case of {} for this request", self.name)))
    }
}

impl CallPlan {
    /// What goes into the call.
    pub fn input(&self, scope: &Scope<'_>, limit: usize) -> Result<Input, Error> {
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
        messages.pop().map(Input::One).ok_or_else(|| Error::internal("the definition makes no message of this request"))
    }
}

/// Maps each message of a stream that is answered with one by one.
pub struct EachReply {
    /// The API.
    pub api: Arc<Api>,
    /// The operation.
    pub endpoint: Arc<Endpoint>,
    /// Place of the case.
    pub case: usize,
    /// The request.
    pub received: Received<'static>,
    /// The namespace.
    pub namespace: Arc<str>,
    /// What the call is named by.
    pub request_id: RequestId,
}

impl RenderMessage for EachReply {
    fn json(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(case) = self.endpoint.cases.get(self.case) else { return Ok(()) };
        let Action::Call(plan) = &case.action else { return Ok(()) };
        let named = Named::new(&case.named);
        let scope = Scope {
            schema: self.api.schema,
            parameters: &self.endpoint.parameters,
            received: Some(&self.received),
            namespace: &self.namespace,
            request_id: Some(&self.request_id),
            settings: &self.api.settings,
            reply: Some((plan.output, message)),
            shared: None,
            replies: None,
            item: None,
            error: None,
            errors: (&self.api.errors, Some(&plan.errors)),
            named: Some(&named),
        };
        match plan.response.choose(&scope)? {
            Outcome::Answer(Answer { body: Some(template), .. }) => template.json(&scope, self.api.style, out).map(drop),
            Outcome::Answer(_) => Ok(()),
            Outcome::Error(refusal) => Err(refusal.error(&scope)),
        }
    }

    fn cursor<'b>(&self, message: &'b [u8]) -> Option<&'b str> {
        let Some(Action::Call(plan)) = self.endpoint.cases.get(self.case).map(|case| &case.action) else { return None };
        let known = self.api.schema.message(plan.output);
        let number = known.fields[known.by_name("cursor")?].number;
        match super::wire::last(message, number) {
            Ok(Some(super::wire::Value::Bytes(cursor))) => std::str::from_utf8(cursor).ok().filter(|cursor| !cursor.is_empty()),
            _ => None,
        }
    }
}

impl Api {
    /// The operations, each once, with the path that the document has for it.
    pub fn operations(&self) -> impl Iterator<Item = (Option<&Verb>, &PathTemplate, &Arc<Endpoint>)> {
        self.routes.routes().filter(|(_, template, endpoint)| {
            let Parameters { variables, of_prefix, .. } = &endpoint.parameters;
            template.variables().len() + of_prefix == variables.len()
        })
    }

    /// What mappings see of a call.
    pub fn scope<'a>(
        &'a self,
        parameters: &'a Parameters,
        received: Option<&'a Received<'a>>,
        namespace: &'a str,
        request_id: Option<&'a RequestId>,
    ) -> Scope<'a> {
        Scope {
            schema: self.schema,
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
        }
    }

    /// The response of a reply, or the error that the definition makes of it.
    pub fn respond(&self, plan: &ResponsePlan, scope: &Scope<'_>, accept: &Accept<'_>) -> Result<Rendered, Error> {
        match plan.choose(scope)? {
            Outcome::Answer(answer) => answer.render(scope, accept, self.style),
            Outcome::Error(refusal) => Err(refusal.error(scope)),
        }
    }
}
