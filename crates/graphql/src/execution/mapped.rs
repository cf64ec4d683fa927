//! Calls of the root fields of definitions, and their results.

use std::sync::Arc;

use async_graphql::{Positioned, Value as GraphqlValue, parser::types::InputValueDefinition};
use bytes::Bytes;
use futures::TryStreamExt as _;

use super::{FieldContext, FieldRpc, RpcCaller, StreamPurpose, selected::SelectedType};
use crate::defined::{ARGUMENTS, FieldMapping, SchemaTypes, object_value};
use prism_call::{Code, Error, Messages};
use prism_frontend::{
    expression::{SharedValue, Value},
    mapping::{CallScope, Errors, MAX_GATHERED_BYTES, NamedValues, Parameters, holds},
};

/// Maximum messages of a stream that become one result.
const MAX_GATHERED: usize = 10_000;

/// What a message of a subscription is for its client.
pub enum MappedEvent {
    /// None of its events.
    Skipped,
    /// An event with this result.
    Result(Option<Value>),
}

/// A root field of a request.
pub struct MappedCall {
    /// Its mapping.
    pub mapping: Arc<FieldMapping>,
    /// What is selected of its result.
    pub selected: SelectedType,
    /// The arguments, as the result of a step has its name.
    arguments: Arc<[(String, SharedValue)]>,
}

impl MappedCall {
    /// Creates the call of a field with these arguments.
    pub fn new(
        types: &SchemaTypes,
        mapping: &Arc<FieldMapping>,
        given: &[(async_graphql::Name, GraphqlValue)],
        selected: SelectedType,
    ) -> Self {
        let fields: &[Positioned<InputValueDefinition>] = &mapping.defined.arguments;
        let value = object_value(types, fields, |name| given.iter().find(|(known, _)| known == name).map(|(_, value)| value));
        Self { mapping: mapping.clone(), selected, arguments: [(ARGUMENTS.to_owned(), SharedValue::new(value))].into() }
    }

    /// Calls the RPC, and returns the result; `None`: it is absent.
    pub async fn read(&self, rpc: FieldRpc<'_>, limit: usize, caller: &dyn RpcCaller) -> Result<Option<Value>, Error> {
        let context = caller.context();
        let replied = async {
            let message = self.message(&context)?;
            if self.mapping.method.server_streaming {
                let messages = caller.open(rpc, message, StreamPurpose::Page).await?;
                Ok::<_, Error>(Replied::All(gather(messages, limit.min(MAX_GATHERED_BYTES)).await?))
            } else {
                Ok(Replied::One(caller.call(rpc, message).await?))
            }
        };
        match replied.await {
            Ok(Replied::One(reply)) => self.result(&context, Some(&reply), None),
            Ok(Replied::All(replies)) => self.result(&context, None, Some(&replies)),
            Err(error) if self.mapping.null_if.iter().any(|reason| reason == error.reason()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the stream of a subscription.
    pub async fn open(&self, rpc: FieldRpc<'_>, caller: &dyn RpcCaller) -> Result<Messages<Bytes>, Error> {
        let message = self.message(&caller.context())?;
        caller.open(rpc, message, StreamPurpose::Subscription).await
    }

    /// Returns what a message of a subscription is for its client.
    pub fn event(&self, context: &FieldContext, reply: &Bytes) -> Result<MappedEvent, Error> {
        if let Some(when) = &self.mapping.when {
            let named = NamedValues::new(&self.mapping.named);
            let scope = self.scope(context, &named, Some(reply), None);
            if !holds(when, &scope)? {
                return Ok(MappedEvent::Skipped);
            }
        }
        self.result(context, Some(reply), None).map(MappedEvent::Result)
    }

    fn message(&self, context: &FieldContext) -> Result<Bytes, Error> {
        let named = NamedValues::new(&self.mapping.named);
        self.mapping.request.message(&self.scope(context, &named, None, None))
    }

    fn result(&self, context: &FieldContext, reply: Option<&Bytes>, replies: Option<&[Bytes]>) -> Result<Option<Value>, Error> {
        let named = NamedValues::new(&self.mapping.named);
        self.mapping.result.value(&self.scope(context, &named, reply, replies))
    }

    fn scope<'a>(
        &'a self,
        context: &'a FieldContext,
        named: &'a NamedValues<'a>,
        reply: Option<&'a Bytes>,
        replies: Option<&'a [Bytes]>,
    ) -> CallScope<'a> {
        let FieldMapping { messages, output, .. } = *self.mapping;
        CallScope {
            proof: context.proof,
            types: messages,
            parameters: Parameters::none(),
            received: None,
            namespace: &context.namespace,
            request_id: Some(&context.request_id),
            settings: &Value::Null,
            reply: reply.map(|reply| (output, &**reply)),
            shared: reply,
            replies: replies.map(|replies| (output, replies)),
            item: None,
            error: None,
            errors: (Errors::none(), None),
            named: Some(named),
            results: Some(&self.arguments),
        }
    }
}

/// What an RPC has replied.
enum Replied {
    One(Bytes),
    All(Vec<Bytes>),
}

/// Collects the messages of a stream.
async fn gather(mut messages: Messages<Bytes>, limit: usize) -> Result<Vec<Bytes>, Error> {
    let (mut all, mut bytes) = (Vec::new(), 0_usize);
    while let Some(message) = messages.try_next().await? {
        bytes = bytes.saturating_add(message.len());
        if all.len() >= MAX_GATHERED || bytes > limit {
            let message = format!("the result has more than {MAX_GATHERED} items or {limit} bytes; ask for a smaller part of it");
            return Err(Error::new(Code::ResourceExhausted, "RESPONSE_TOO_LARGE", message));
        }
        all.push(message);
    }
    Ok(all)
}
