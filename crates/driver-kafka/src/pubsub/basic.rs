//! `pubsub_basic`

use async_trait::async_trait;

use super::{PubSub, bus_config, message};
use crate::codec::encode_attributes;
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
        let (bus, deadline) = (self.names.bus(), self.client.deadline(context));
        self.client.ensure(&deadline, &bus, bus_config).await?;
        self.client.append(&deadline, &bus, 0, topic.as_bytes(), &payload, encode_attributes(attributes)).await?;
        Ok(PublishResponse { receivers: None })
    }

    async fn subscribe(&self, context: &Context, request: SubscribeRequest) -> Result<Messages<SubscribeResponse>, Error> {
        check::topic("topic", &request.topic)?;
        self.subscribe_to(context, request.topic, Filter::All, request.subscription).await
    }

    async fn unsubscribe(&self, _: &Context, request: UnsubscribeRequest) -> Result<UnsubscribeResponse, Error> {
        check::name("subscription", &request.subscription)?;
        Ok(UnsubscribeResponse { found: self.hub.unsubscribe(&request.subscription) })
    }
}
