//! `pubsub_ordering`: the last message of each line is stored, with its number. A publisher replaces it by compare-and-set, and JetStream
//! publishes copies in the order in which it stored them.

use async_trait::async_trait;

use super::{
    PubSub,
    message::{self, SEQUENCE},
};
use crate::{
    error,
    names::{token, topic_tokens},
    table::Conflicts,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        PubSubOrdering, PublishOrderedRequest, PublishOrderedResponse, SubscribeOrderedRequest, SubscribeOrderedResponse,
    },
};
use prism_driver::{
    check,
    pubsub::{Filter, check_ordering_key},
};

/// Seconds after which a line is forgotten to which nothing was published: 25 hours.
const FORGET_AFTER: &str = "90000";

#[async_trait]
impl PubSubOrdering for PubSub {
    async fn publish_ordered(&self, context: &Context, request: PublishOrderedRequest) -> Result<PublishOrderedResponse, Error> {
        let PublishOrderedRequest { topic, ordering_key, payload, attributes } = request;
        message::check(&self.limits, &topic, &payload, &attributes)?;
        if ordering_key.is_empty() {
            return Err(Error::invalid("ordering_key", "must not be empty"));
        }
        check_ordering_key(&ordering_key)?;
        let tokens = format!("k{}.{}", token(&ordering_key), topic_tokens(&topic));
        let deadline = self.client.deadline(context);
        // Publishers of this gateway take turns, so that they don't compete with each other.
        let _guard = self.documents.lock(&deadline, &tokens).await?;
        let (mut headers, payload) = message::encode(attributes, payload);
        headers.insert("Nats-TTL", FORGET_AFTER);
        let mut conflicts = Conflicts::default();
        loop {
            let last = self.lines.get(&deadline, &tokens).await?;
            let number = match &last {
                Some(stored) => stored.number(SEQUENCE)?.ok_or_else(error::foreign_message)?,
                None => 0,
            };
            headers.insert(SEQUENCE, (number + 1).to_string());
            let replaced = last.map_or(0, |stored| stored.sequence);
            if self.lines.put(&deadline, &tokens, replaced, headers.clone(), payload.clone()).await?.is_some() {
                return Ok(PublishOrderedResponse { sequence: number + 1 });
            }
            conflicts.pause(&deadline).await?;
        }
    }

    async fn subscribe_ordered(
        &self,
        context: &Context,
        request: SubscribeOrderedRequest,
    ) -> Result<Messages<SubscribeOrderedResponse>, Error> {
        check::topic("topic", &request.topic)?;
        check_ordering_key(&request.ordering_key)?;
        let kind = if request.ordering_key.is_empty() { "*".to_owned() } else { format!("k{}", token(&request.ordering_key)) };
        self.subscribe_to(context, &kind, &request.topic, Filter::Ordered(None), request.subscription).await
    }
}
