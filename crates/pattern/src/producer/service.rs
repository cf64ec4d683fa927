//! The RPCs, in the order of the service.

use async_trait::async_trait;

use super::{Producer, publish, upload};
use crate::messaging::{model::Model, payloads::PayloadWriter};
use prism_call::{
    Context, Error, Messages,
    proto::patterns::producer::v1::{
        Delivery, GetCapabilitiesRequest, GetCapabilitiesResponse, OutgoingMessage, Producer as Service, PublishBatchRequest,
        PublishBatchResponse, PublishPayloadRequest, PublishPayloadResponse, PublishRequest, PublishResponse, PublishStreamRequest,
        PublishStreamResponse,
        delivery::{Guarantee, Model as DeliveryModel},
    },
};

#[async_trait]
impl Service for Producer {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()), delivery: Some(self.delivery()) })
    }

    async fn publish(&self, context: &Context, request: PublishRequest) -> Result<PublishResponse, Error> {
        let PublishRequest { topic, payload, key, headers, id, delay, deliver_time, priority } = request;
        let message = OutgoingMessage { payload, key, headers, id, delay, deliver_time, priority };
        publish::publish(self, context, topic, message).await
    }

    async fn publish_payload(&self, context: &Context, requests: Messages<PublishPayloadRequest>) -> Result<PublishPayloadResponse, Error> {
        let PublishResponse { id, offset, duplicate } = upload::publish_payload(self, context, requests).await?;
        Ok(PublishPayloadResponse { id, offset, duplicate })
    }

    async fn publish_batch(&self, context: &Context, request: PublishBatchRequest) -> Result<PublishBatchResponse, Error> {
        publish::publish_batch(self, context, request).await
    }

    async fn publish_stream(&self, context: &Context, requests: Messages<PublishStreamRequest>) -> Result<PublishStreamResponse, Error> {
        publish::publish_stream(self, context, requests).await
    }
}

impl Producer {
    fn delivery(&self) -> Delivery {
        let (model, guarantee, order) = match self.model {
            Model::Stream => {
                (DeliveryModel::Stream, Guarantee::AtLeastOnce, "messages of a topic arrive in the order in which they were published")
            }
            Model::Queue => (
                DeliveryModel::Queue,
                Guarantee::AtLeastOnce,
                "messages of the same priority arrive in the order in which they became ready; consumers work side by side",
            ),
            Model::PubSub => (
                DeliveryModel::Pubsub,
                Guarantee::AtMostOnce,
                "messages that one gateway publishes to a topic one after the other arrive in this order",
            ),
        };
        let payloads = self.payloads.as_ref();
        Delivery {
            model: model.into(),
            guarantee: guarantee.into(),
            deduplication: self.ids.is_some(),
            order: order.to_owned(),
            payload_threshold: payloads.map(PayloadWriter::threshold).unwrap_or_default(),
            max_payload_bytes: payloads.map(PayloadWriter::max_size).unwrap_or_default(),
        }
    }
}
