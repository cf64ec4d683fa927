//! `pubsub_filtering`

use async_trait::async_trait;

use super::PubSub;
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        Message, PubSubFiltering, PublishWithAttributesRequest, PublishWithAttributesResponse, SubscribeFilteredRequest,
        SubscribeFilteredResponse,
    },
};
use prism_driver::{check, pubsub::Filter};

#[async_trait]
impl PubSubFiltering for PubSub {
    async fn publish_with_attributes(
        &self,
        _: &Context,
        request: PublishWithAttributesRequest,
    ) -> Result<PublishWithAttributesResponse, Error> {
        let PublishWithAttributesRequest { topic, payload, attributes } = request;
        check::required_attributes(&attributes)?;
        self.0.check_message(&topic, &payload, &attributes)?;
        let receivers = self.0.publish(Message { topic, payload, attributes, ..Message::default() })?;
        Ok(PublishWithAttributesResponse { receivers: Some(receivers) })
    }

    async fn subscribe_filtered(
        &self,
        _: &Context,
        request: SubscribeFilteredRequest,
    ) -> Result<Messages<SubscribeFilteredResponse>, Error> {
        check::topic("topic", &request.topic)?;
        self.0.clone().subscribe(request.topic, request.subscription, Filter::from_conditions(request.conditions)?)
    }
}
