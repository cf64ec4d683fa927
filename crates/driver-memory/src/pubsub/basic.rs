//! `pubsub_basic`

use async_trait::async_trait;

use super::PubSub;
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        Message, PubSubBasic, PublishRequest, PublishResponse, SubscribeRequest, SubscribeResponse, UnsubscribeRequest, UnsubscribeResponse,
    },
};
use prism_driver::{check, pubsub::Filter};

#[async_trait]
impl PubSubBasic for PubSub {
    async fn publish(&self, _: &Context, request: PublishRequest) -> Result<PublishResponse, Error> {
        let PublishRequest { topic, payload, attributes } = request;
        self.0.check_message(&topic, &payload, &attributes)?;
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
