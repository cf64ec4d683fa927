//! The RPCs of the four pub/sub interfaces.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Event, Filter, Hub};
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        Message, PubSubBasic, PubSubFiltering, PubSubOrdering, PubSubWildcards, PublishOrderedRequest, PublishOrderedResponse,
        PublishRequest, PublishResponse, PublishWithAttributesRequest, PublishWithAttributesResponse, SubscribeFilteredRequest,
        SubscribeFilteredResponse, SubscribeOrderedRequest, SubscribeOrderedResponse, SubscribePatternRequest, SubscribePatternResponse,
        SubscribeRequest, SubscribeResponse, UnsubscribeRequest, UnsubscribeResponse, subscribe_filtered_response,
        subscribe_ordered_response, subscribe_pattern_response, subscribe_response,
    },
};
use prism_driver::check;

/// The interfaces over a [`Hub`]; their streams keep it alive.
pub struct PubSub(pub Arc<Hub>);

/// The four kinds of event streams differ in nothing but their names.
macro_rules! events {
    ($($response:ident in $module:ident;)*) => {
        $(impl From<Event> for $response {
            fn from(event: Event) -> Self {
                Self {
                    event: Some(match event {
                        Event::Subscribed(subscribed) => $module::Event::Subscribed(subscribed),
                        Event::Message(message) => $module::Event::Message(message),
                        Event::Gap(gap) => $module::Event::Gap(gap),
                    }),
                }
            }
        })*
    };
}

events! {
    SubscribeResponse in subscribe_response;
    SubscribePatternResponse in subscribe_pattern_response;
    SubscribeFilteredResponse in subscribe_filtered_response;
    SubscribeOrderedResponse in subscribe_ordered_response;
}

#[async_trait]
impl PubSubBasic for PubSub {
    async fn publish(&self, _: &Context, request: PublishRequest) -> Result<PublishResponse, Error> {
        let PublishRequest { topic, payload, attributes } = request;
        self.0.check(&topic, &payload, &attributes)?;
        let receivers = self.0.publish(Message { topic, payload, attributes, ..Message::default() })?;
        Ok(PublishResponse { receivers: Some(receivers) })
    }

    async fn subscribe(&self, _: &Context, request: SubscribeRequest) -> Result<Messages<SubscribeResponse>, Error> {
        check::topic("topic", &request.topic)?;
        self.0.clone().subscribe(request.topic, request.subscription, Filter::All)
    }

    async fn unsubscribe(&self, _: &Context, request: UnsubscribeRequest) -> Result<UnsubscribeResponse, Error> {
        check::name("subscription", &request.subscription)?;
        Ok(UnsubscribeResponse { found: self.0.unsubscribe(&request.subscription) })
    }
}

#[async_trait]
impl PubSubWildcards for PubSub {
    async fn subscribe_pattern(&self, _: &Context, request: SubscribePatternRequest) -> Result<Messages<SubscribePatternResponse>, Error> {
        check::pattern("pattern", &request.pattern)?;
        self.0.clone().subscribe(request.pattern, request.subscription, Filter::All)
    }
}

#[async_trait]
impl PubSubFiltering for PubSub {
    async fn publish_with_attributes(
        &self,
        _: &Context,
        request: PublishWithAttributesRequest,
    ) -> Result<PublishWithAttributesResponse, Error> {
        let PublishWithAttributesRequest { topic, payload, attributes } = request;
        if attributes.is_empty() {
            return Err(Error::invalid("attributes", "must have at least one item; Publish takes messages without")
                .with_reason("INVALID_ATTRIBUTES"));
        }
        self.0.check(&topic, &payload, &attributes)?;
        let receivers = self.0.publish(Message { topic, payload, attributes, ..Message::default() })?;
        Ok(PublishWithAttributesResponse { receivers: Some(receivers) })
    }

    async fn subscribe_filtered(
        &self,
        _: &Context,
        request: SubscribeFilteredRequest,
    ) -> Result<Messages<SubscribeFilteredResponse>, Error> {
        check::topic("topic", &request.topic)?;
        self.0.clone().subscribe(request.topic, request.subscription, Filter::attributes(request.conditions)?)
    }
}

#[async_trait]
impl PubSubOrdering for PubSub {
    async fn publish_ordered(&self, _: &Context, request: PublishOrderedRequest) -> Result<PublishOrderedResponse, Error> {
        let PublishOrderedRequest { topic, ordering_key, payload, attributes } = request;
        if ordering_key.is_empty() {
            return Err(Error::invalid("ordering_key", "must not be empty"));
        }
        line(&ordering_key)?;
        self.0.check(&topic, &payload, &attributes)?;
        let sequence = self.0.publish_ordered(Message { topic, payload, attributes, ..Message::default() }, ordering_key)?;
        Ok(PublishOrderedResponse { sequence })
    }

    async fn subscribe_ordered(&self, _: &Context, request: SubscribeOrderedRequest) -> Result<Messages<SubscribeOrderedResponse>, Error> {
        check::topic("topic", &request.topic)?;
        line(&request.ordering_key)?;
        let filter = Filter::Ordered((!request.ordering_key.is_empty()).then_some(request.ordering_key));
        self.0.clone().subscribe(request.topic, request.subscription, filter)
    }
}

fn line(ordering_key: &str) -> Result<(), Error> {
    if ordering_key.len() > 256 {
        return Err(Error::invalid("ordering_key", "must have at most 256 bytes"));
    }
    Ok(())
}
