//! Maps the messages of streams one by one, while they arrive.

use std::sync::Arc;

use bytes::Bytes;

use super::{Action, Answer, Api, CallPlan, CallScope, Endpoint, ListItem, NamedValues, Outcome, ReceivedRequest, RequestPlan};
use crate::{
    bind::Item,
    render::{EventFields, RenderMessage},
};
use prism_call::{Error, Proof, RequestId, StreamMessage, message_too_large};

/// A call with a stream. It owns everything that its values use.
pub struct StreamedCall {
    /// The API.
    pub api: Arc<Api>,
    /// The operation.
    pub endpoint: Arc<Endpoint>,
    /// Index of the case.
    pub case: usize,
    /// The request.
    pub received: ReceivedRequest<'static>,
    /// The namespace.
    pub namespace: Arc<str>,
    /// Id of the call; `None` while the request is built.
    pub request_id: Option<RequestId>,
    /// Proves that the request was admitted.
    pub proof: Proof,
}

impl StreamedCall {
    fn plan(&self) -> Option<&CallPlan> {
        let Action::Call(plan) = &self.endpoint.cases.get(self.case)?.action else { return None };
        Some(plan)
    }

    /// Evaluates values of the call.
    fn evaluate<T>(&self, work: impl FnOnce(&CallPlan, &CallScope<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let (Some(case), Some(plan)) = (self.endpoint.cases.get(self.case), self.plan()) else {
            return Err(Error::internal("the case of the route calls no RPC"));
        };
        let named = NamedValues::new(&case.named);
        let scope = self.api.scope(self.proof, &self.endpoint.parameters, Some(&self.received), &self.namespace, self.request_id.as_ref());
        work(plan, &CallScope { errors: (&self.api.errors, Some(&plan.errors)), named: Some(&named), ..scope })
    }

    /// Builds the message of one item of the body.
    pub fn message(&self, item: &Item, limit: usize) -> Result<Bytes, Error> {
        let Some(body) = &self.endpoint.body else { return Err(Error::internal("the operation has no body")) };
        let value = body.item(item, &self.endpoint.parameters.checks)?;
        self.evaluate(|plan, scope| {
            let RequestPlan::Each(_, message) = &plan.request else { return Err(Error::internal("the request is not a stream")) };
            let message = message.message(&scope.with_item(ListItem::Value(&value), item.index))?;
            if message.len() > limit { Err(message_too_large(limit)) } else { Ok(message) }
        })
    }
}

impl RenderMessage for StreamedCall {
    fn json(&self, message: &StreamMessage, out: &mut Vec<u8>) -> Result<(), Error> {
        self.evaluate(|plan, scope| {
            let scope = CallScope { reply: Some((plan.output, &message[..])), ..*scope };
            match plan.response.choose(&scope)? {
                Outcome::Answer(Answer { body: Some(template), .. }) => template.json(&scope, self.api.style, out).map(drop),
                Outcome::Answer(_) => Ok(()),
                Outcome::Error(refusal) => Err(refusal.error(&scope)),
            }
        })
    }

    fn event(&self) -> Option<&EventFields> {
        self.plan().map(|plan| &plan.event)
    }
}
