//! `pubsub_filtering`: each gateway filters the messages of its subscriptions.

use async_trait::async_trait;

use super::PubSub;
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        PubSubFiltering, PublishWithAttributesRequest, PublishWithAttributesResponse, SubscribeFilteredRequest, SubscribeFilteredResponse,
    },
};
use prism_driver::{check, pubsub::Filter};

#[async_trait]
impl PubSubFiltering for PubSub {
    async fn publish_with_attributes(
        &self,
        context: &Context,
        request: PublishWithAttributesRequest,
    ) -> Result<PublishWithAttributesResponse, Error> {
        check::required_attributes(&request.attributes)?;
        let message = self.new_message(request.topic, request.payload, request.attributes)?;
        self.send(context, &message).await?;
        Ok(PublishWithAttributesResponse { receivers: None })
    }

    async fn subscribe_filtered(
        &self,
        context: &Context,
        request: SubscribeFilteredRequest,
    ) -> Result<Messages<SubscribeFilteredResponse>, Error> {
        check::topic("topic", &request.topic)?;
        let filter = Filter::from_conditions(request.conditions)?;
        self.subscribe_to(context, &request.topic, filter, request.subscription).await
    }
}
