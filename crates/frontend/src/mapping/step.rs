//! The steps of a case before its RPC (`first`): calls whose replies later values use, and refusals.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    MAX_GATHERED_BYTES,
    message::MessagePlan,
    response::Refusal,
    scope::CallScope,
    template::{ValueSource, holds},
};
use crate::{
    expression::{self, Expression, Value},
    message_types::{MessageId, MessageTypes},
};
use prism_call::{Code, Error, Method};

/// Maximum number of calls that one step makes, and of requests that one `forward` makes.
pub const MAX_EACH: usize = 1000;

/// A step.
#[derive(Debug)]
pub struct Step {
    /// The name of its result in expressions.
    pub name: String,
    /// The list for whose items the step is repeated, with its text.
    pub each: Option<(ValueSource, String)>,
    /// The condition; without it, the step always runs.
    pub when: Option<Expression>,
    /// What it does.
    pub action: StepAction,
}

/// What a step does.
#[derive(Debug)]
pub enum StepAction {
    /// Calls an RPC.
    Call(Box<StepCall>),
    /// Refuses the request.
    Refuse(Refusal),
}

/// The call of a step.
#[derive(Debug)]
pub struct StepCall {
    /// The RPC.
    pub method: Arc<Method>,
    /// The type of its replies.
    pub output: MessageId,
    /// Builds the request message.
    pub request: MessagePlan,
}

/// The reply to one call of a step.
#[derive(Debug)]
pub enum StepReply {
    /// The condition was false.
    Skipped,
    /// One message.
    One(Bytes),
    /// The messages of a stream.
    Many(Vec<Bytes>),
}

impl Step {
    /// Builds the request messages, one for each call; `None`: the call is skipped. Returns the error if the step refuses the request.
    pub fn requests(&self, scope: &CallScope<'_>) -> Result<Vec<Option<Bytes>>, Error> {
        let (mut requests, mut left) = (Vec::new(), MAX_GATHERED_BYTES);
        let mut add = |scope: CallScope<'_>| {
            if requests.len() == MAX_EACH {
                return Err(too_many());
            }
            let runs = self.when.as_ref().map_or(Ok(true), |when| holds(when, &scope))?;
            let request = match &self.action {
                _ if !runs => None,
                StepAction::Call(call) => Some(call.request.message(&scope)?),
                StepAction::Refuse(refusal) => return Err(refusal.error(&scope)),
            };
            left = left.checked_sub(request.as_ref().map_or(0, Bytes::len)).ok_or_else(too_large)?;
            requests.push(request);
            Ok(())
        };
        match &self.each {
            None => add(*scope)?,
            Some((list, _)) => list.each(scope, &mut add)?,
        }
        Ok(requests)
    }

    /// Returns the result: the reply as a value, or a list of them if the step is repeated. The reply of a skipped call is empty.
    pub fn result(&self, types: &MessageTypes, replies: &[StepReply]) -> Result<Value, Error> {
        let StepAction::Call(call) = &self.action else { return Ok(Value::Null) };
        let message = |bytes: &[u8]| {
            expression::value::from_message(types, call.output, bytes)
                .map_err(|_| Error::internal("the reply is not a message of its type"))
        };
        let one = |reply: &StepReply| match reply {
            StepReply::Skipped if call.method.server_streaming => Ok(Value::List(Vec::new().into())),
            StepReply::Skipped => message(&[]),
            StepReply::One(bytes) => message(bytes),
            StepReply::Many(all) => Ok(Value::List(all.iter().map(|bytes| message(bytes)).collect::<Result<Vec<_>, _>>()?.into())),
        };
        match (&self.each, replies) {
            (Some(_), replies) => Ok(Value::List(replies.iter().map(one).collect::<Result<Vec<_>, _>>()?.into())),
            (None, [reply]) => one(reply),
            (None, _) => Err(Error::internal("a step has one reply")),
        }
    }
}

/// Returns the error for calls that have too many bytes together.
pub fn too_large() -> Error {
    let message = format!("the request asks for calls with more than {MAX_GATHERED_BYTES} bytes; send fewer or smaller items");
    Error::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", message)
}

/// Returns the error for a list with too many items.
pub fn too_many() -> Error {
    Error::new(Code::InvalidArgument, "TOO_MANY_ITEMS", format!("the request asks for more than {MAX_EACH} calls; send fewer items"))
}
