//! Dry runs: shows how a definition maps a request and a reply, without a call. For authors of definitions.

use bytes::Bytes;
use http::{HeaderMap, Method, header};

use super::{
    Action, Api, CallPlan, CallScope, Endpoint, EndpointCase, NamedValues, Parameters, ReceivedRequest, Rendered, RequestHead, StepReply,
};
use crate::{expression::SharedValue, json, problem, render::Accept, router::NoRoute};
use prism_call::{Error, Proof};

/// The request of a dry run.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path below the base path.
    pub path: String,
    /// The text after `?`.
    pub query: Option<String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The assumed result of the RPC.
#[derive(Debug)]
pub enum Outcome {
    /// Messages as JSON.
    Replies(Vec<String>),
    /// An error.
    Error(Error),
}

/// The result of a dry run.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// The operation that matches the request.
    pub operation: Option<String>,
    /// The number of the case, starting at 1, if the operation has several.
    pub case: Option<usize>,
    /// The RPC that is called, such as `Retrieve`.
    pub rpc: Option<String>,
    /// The operation to which the request is forwarded.
    pub forwarded: Option<String>,
    /// The request messages as JSON, or the bodies of the forwarded requests.
    pub messages: Vec<String>,
    /// The response to the assumed result, or the response without a call.
    pub response: Option<Rendered>,
}

/// There is no request.
const PROOF: Proof = Proof::rehearsal();

impl Api {
    /// Maps a request, and the assumed result of its call. An error means that the dry run itself is invalid, for example its reply.
    pub fn rehearse(&self, namespace: &str, request: &Request, outcome: Option<Outcome>) -> Result<Rehearsal, String> {
        let mut told = Rehearsal::default();
        let (found, path) = match self.find(&request.method, &request.path) {
            Ok(found) => found,
            Err(missing) => {
                let error = match missing {
                    NoRoute::Path => problem::unknown_route(&request.method, &request.path),
                    NoRoute::Method(allowed) => problem::method_not_allowed(&request.method, &request.path, &allowed),
                };
                told.response = Some(self.errors.render(&error, None, &self.scope(PROOF, Parameters::none(), None, namespace, None)));
                return Ok(told);
            }
        };
        let endpoint = &**found.value;
        told.operation = Some(endpoint.name.clone());
        let parts = RequestHead { method: &request.method, path, query: request.query.as_deref(), headers: &request.headers };
        let received = endpoint.parameters.read(PROOF, found.template, parts).and_then(|mut received| {
            let content_type = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            endpoint.set_body(&mut received, content_type, request.body.clone())?;
            Ok(received)
        });
        let scope = |received| self.scope(PROOF, &endpoint.parameters, received, namespace, None);
        let chosen = match &received {
            Ok(received) => endpoint.choose(&scope(Some(received))).map(|case| (received, case)).map_err(|error| (error, Some(received))),
            Err(_) => Err((Error::internal("the request can't be read"), None)),
        };
        let (received, case) = match (chosen, &received) {
            (Ok(chosen), _) => chosen,
            (Err(_), Err(error)) => {
                told.response = Some(self.errors.render(error, None, &scope(None)));
                return Ok(told);
            }
            (Err((error, received)), _) => {
                told.response = Some(self.errors.render(&error, None, &scope(received)));
                return Ok(told);
            }
        };
        told.case =
            endpoint.cases.iter().position(|other| std::ptr::eq(other, case)).map(|place| place + 1).filter(|_| endpoint.cases.len() > 1);
        self.perform(endpoint, case, received, namespace, outcome, &mut told)?;
        Ok(told)
    }

    fn perform(
        &self,
        endpoint: &Endpoint,
        case: &EndpointCase,
        received: &ReceivedRequest<'_>,
        namespace: &str,
        outcome: Option<Outcome>,
        told: &mut Rehearsal,
    ) -> Result<(), String> {
        let named = NamedValues::new(&case.named);
        let scope = CallScope { named: Some(&named), ..self.scope(PROOF, &endpoint.parameters, Some(received), namespace, None) };
        let accept = Accept::of(None);
        match &case.action {
            Action::Refuse(refusal) => told.response = Some(self.errors.render(&refusal.error(&scope), None, &scope)),
            Action::Answer(plan) => {
                let rendered = self.respond(plan, &scope, &accept);
                told.response = Some(rendered.unwrap_or_else(|error| self.errors.render(&error, None, &scope)));
            }
            Action::Forward(plan) => match plan.bodies(&scope) {
                Ok(bodies) => {
                    told.forwarded = Some(plan.to.clone());
                    told.messages = bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
                }
                Err(error) => told.response = Some(self.errors.render(&error, None, &scope)),
            },
            Action::Call(plan) => {
                let scope = CallScope { errors: (&self.errors, Some(&plan.errors)), ..scope };
                told.rpc = Some(plan.method.label.clone());
                let results = match self.assumed_results(plan, &scope) {
                    Ok(results) => results,
                    Err(error) => {
                        told.response = Some(self.errors.render(&error, Some(&plan.errors), &scope));
                        return Ok(());
                    }
                };
                // Values that were made for the steps did not know their results.
                let named = NamedValues::new(&case.named);
                let scope = CallScope { results: Some(&results), named: Some(&named), ..scope };
                match plan.request.messages(&scope) {
                    Ok(messages) => told.messages = self.shown(plan, &messages)?,
                    Err(error) => {
                        told.response = Some(self.errors.render(&error, Some(&plan.errors), &scope));
                        return Ok(());
                    }
                }
                told.response = match outcome {
                    None => None,
                    Some(Outcome::Error(error)) => Some(self.errors.render(&error, Some(&plan.errors), &scope)),
                    Some(Outcome::Replies(replies)) => Some(self.replied(plan, &scope, &replies)?),
                };
            }
        }
        Ok(())
    }

    /// Returns the results of the steps, if every reply is empty.
    fn assumed_results(&self, plan: &CallPlan, scope: &CallScope<'_>) -> Result<Vec<(String, SharedValue)>, Error> {
        let mut results = Vec::with_capacity(plan.first.len());
        for step in &plan.first {
            let requests = step.requests(&CallScope { results: Some(&results), ..*scope })?;
            let replies: Vec<StepReply> = requests.iter().map(|_| StepReply::Skipped).collect();
            let result = step.result(self.types, &replies)?;
            results.push((step.name.clone(), SharedValue::new(result)));
        }
        Ok(results)
    }

    fn shown(&self, plan: &CallPlan, messages: &[Bytes]) -> Result<Vec<String>, String> {
        let id = self.types.find(plan.method.descriptor.input().full_name()).ok_or("the type of the request is unknown")?;
        let show = |message: &Bytes| {
            let mut out = Vec::new();
            let style = json::JsonStyle { zeros: json::ZeroValues::Omit, ..json::JsonStyle::default() };
            json::encode_value_as(self.types, id, message, style, &mut out).map_err(|error| error.to_string())?;
            Ok(String::from_utf8_lossy(&out).into_owned())
        };
        messages.iter().map(show).collect()
    }

    fn replied(&self, plan: &CallPlan, scope: &CallScope<'_>, replies: &[String]) -> Result<Rendered, String> {
        let encode = |reply: &String| {
            crate::bind::message_from_json(self.types, plan.output, reply.as_bytes())
                .map_err(|error| format!("the reply is not a {}: {error}", self.types.message(plan.output).name))
        };
        let messages: Vec<Bytes> = replies.iter().map(encode).collect::<Result<_, _>>()?;
        let accept = Accept::of(None);
        let rendered = if plan.gathers {
            self.respond(&plan.response, &CallScope { replies: Some((plan.output, &messages)), ..*scope }, &accept)
        } else {
            let first = messages.first().ok_or("a reply is needed, such as --reply '{}'")?;
            self.respond(&plan.response, &CallScope { reply: Some((plan.output, first)), ..*scope }, &accept)
        };
        Ok(rendered.unwrap_or_else(|error| self.errors.render(&error, Some(&plan.errors), scope)))
    }
}
