//! `pubsub_basic`

use async_trait::async_trait;

use super::PubSub;
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
        let message = self.new_message(request.topic, request.payload, request.attributes)?;
        self.send(context, &message).await?;
        Ok(PublishResponse { receivers: None })
    }

    async fn subscribe(&self, context: &Context, request: SubscribeRequest) -> Result<Messages<SubscribeResponse>, Error> {
        check::topic("topic", &request.topic)?;
        self.subscribe_to(context, &request.topic, Filter::All, request.subscription).await
    }

    async fn unsubscribe(&self, context: &Context, request: UnsubscribeRequest) -> Result<UnsubscribeResponse, Error> {
        check::name("subscription", &request.subscription)?;
        let keyspace = self.keyspace.id(context).await?;
        Ok(UnsubscribeResponse { found: self.keyspace.notifications.unsubscribe(keyspace, &request.subscription) })
    }
}
