//! `pubsub_basic`

use async_trait::async_trait;

use super::{PubSub, message};
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        PubSubBasic, PublishRequest, PublishResponse, SubscribeRequest, SubscribeResponse, UnsubscribeRequest, UnsubscribeResponse,
    },
};
use prism_driver::{check, pubsub::Filter};

#[async_trait]
impl PubSubBasic for PubSub {
    async fn publish(&self, context: &Context, request: PublishRequest) -> Result<PublishResponse, Error> {
        let PublishRequest { topic, payload, attributes } = request;
        message::check(&self.limits, &topic, &payload, &attributes)?;
        let (headers, payload) = message::encode(attributes, payload);
        self.client.publish(&self.client.deadline(context), self.subject("p", &topic), headers, payload).await?;
        Ok(PublishResponse { receivers: None })
    }

    async fn subscribe(&self, context: &Context, request: SubscribeRequest) -> Result<Messages<SubscribeResponse>, Error> {
        check::topic("topic", &request.topic)?;
        self.subscribe_to(context, "*", &request.topic, Filter::All, request.subscription).await
    }

    async fn unsubscribe(&self, _: &Context, request: UnsubscribeRequest) -> Result<UnsubscribeResponse, Error> {
        check::name("subscription", &request.subscription)?;
        Ok(UnsubscribeResponse { found: self.hub.unsubscribe(&self.subscription_name(&request.subscription)) })
    }
}
