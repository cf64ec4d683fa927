//! `pubsub_basic`

use async_trait::async_trait;
use prost::Message as _;

use super::PubSub;
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        Message, PubSubBasic, PublishRequest, PublishResponse, SubscribeRequest, SubscribeResponse, UnsubscribeRequest, UnsubscribeResponse,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl PubSubBasic for PubSub {
    async fn publish(&self, context: &Context, request: PublishRequest) -> Result<PublishResponse, Error> {
        let PublishRequest { topic, payload, attributes } = request;
        check::topic("topic", &topic)?;
        check::value(&self.limits, "payload", &payload)?;
        check::attributes(&attributes)?;
        let publish_time = Some(time::timestamp(time::now()));
        let message = Message { payload, attributes, publish_time, ..Message::default() };
        let command = redis::cmd("PUBLISH").arg(self.keys.named("topic", &topic)).arg(message.encode_to_vec()).take();
        self.client.run::<u64>(context, &command).await?;
        Ok(PublishResponse { receivers: None })
    }

    async fn subscribe(&self, context: &Context, request: SubscribeRequest) -> Result<Messages<SubscribeResponse>, Error> {
        check::topic("topic", &request.topic)?;
        self.subscribe_to(context, &request.topic, request.subscription).await
    }

    async fn unsubscribe(&self, _: &Context, request: UnsubscribeRequest) -> Result<UnsubscribeResponse, Error> {
        check::name("subscription", &request.subscription)?;
        Ok(UnsubscribeResponse { found: self.hub.unsubscribe(&self.keys.named("subscription", &request.subscription)) })
    }
}
