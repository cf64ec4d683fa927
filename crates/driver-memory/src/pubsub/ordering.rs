//! `pubsub_ordering`

use async_trait::async_trait;

use super::PubSub;
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        Message, PubSubOrdering, PublishOrderedRequest, PublishOrderedResponse, SubscribeOrderedRequest, SubscribeOrderedResponse,
    },
};
use prism_driver::{
    check,
    pubsub::{Filter, check_ordering_key},
};

#[async_trait]
impl PubSubOrdering for PubSub {
    async fn publish_ordered(&self, _: &Context, request: PublishOrderedRequest) -> Result<PublishOrderedResponse, Error> {
        let PublishOrderedRequest { topic, ordering_key, payload, attributes } = request;
        if ordering_key.is_empty() {
            return Err(Error::invalid("ordering_key", "must not be empty"));
        }
        check_ordering_key(&ordering_key)?;
        self.0.check_message(&topic, &payload, &attributes)?;
        let sequence = self.0.publish_ordered(Message { topic, payload, attributes, ..Message::default() }, ordering_key)?;
        Ok(PublishOrderedResponse { sequence })
    }

    async fn subscribe_ordered(&self, _: &Context, request: SubscribeOrderedRequest) -> Result<Messages<SubscribeOrderedResponse>, Error> {
        check::topic("topic", &request.topic)?;
        check_ordering_key(&request.ordering_key)?;
        let filter = Filter::Ordered((!request.ordering_key.is_empty()).then_some(request.ordering_key));
        self.0.clone().subscribe(request.topic, request.subscription, filter)
    }
}
