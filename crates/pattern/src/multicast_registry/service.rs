//! The RPCs, in the order of the service.

use async_trait::async_trait;

use super::{MulticastRegistry, delivery::Delivery, identity, multicast, receive, sweep};
use crate::messaging::dead_letters::{DEFAULT_LISTED, MAX_LISTED};
use prism_call::{
    Context, Error, Messages,
    proto::patterns::multicast_registry::v1::{
        AckRequest, AckResponse, Delivery as DeliveryFacts, DeregisterRequest, DeregisterResponse, DiscardDeadMessagesRequest,
        DiscardDeadMessagesResponse, EnumerateRequest, EnumerateResponse, GetCapabilitiesRequest, GetCapabilitiesResponse,
        GetIdentityRequest, GetIdentityResponse, HeartbeatRequest, HeartbeatResponse, ListDeadMessagesRequest, ListDeadMessagesResponse,
        MulticastRegistry as Service, MulticastRequest, MulticastResponse, ReceiveRequest, ReceiveResponse, RegisterRequest,
        RegisterResponse,
        delivery::{Filter, Guarantee, Model},
    },
};
use prism_slot::check;

#[async_trait]
impl Service for MulticastRegistry {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()), delivery: Some(self.describe_delivery()) })
    }

    async fn register(&self, context: &Context, request: RegisterRequest) -> Result<RegisterResponse, Error> {
        let with_mailbox = self.delivery.mailboxes().is_some();
        Ok(RegisterResponse { identity: Some(self.registrations.register(context, request, with_mailbox).await?) })
    }

    async fn heartbeat(&self, context: &Context, request: HeartbeatRequest) -> Result<HeartbeatResponse, Error> {
        Ok(HeartbeatResponse { expire_time: self.registrations.renew(context, &request.identity).await? })
    }

    async fn get_identity(&self, context: &Context, request: GetIdentityRequest) -> Result<GetIdentityResponse, Error> {
        Ok(GetIdentityResponse { identity: Some(self.registrations.get(context, request.identity).await?) })
    }

    async fn enumerate(&self, context: &Context, request: EnumerateRequest) -> Result<Messages<EnumerateResponse>, Error> {
        multicast::enumerate(self, context, request).await
    }

    async fn multicast(&self, context: &Context, request: MulticastRequest) -> Result<Messages<MulticastResponse>, Error> {
        multicast::multicast(self, context, request).await
    }

    async fn receive(&self, context: &Context, request: ReceiveRequest) -> Result<Messages<ReceiveResponse>, Error> {
        receive::receive(self, context, request).await
    }

    async fn ack(&self, context: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        let AckRequest { identity, leases } = request;
        identity::check_identity(&identity)?;
        Ok(AckResponse { acknowledged: self.mailboxes("Ack")?.ack(context, &identity, &leases).await? })
    }

    async fn deregister(&self, context: &Context, request: DeregisterRequest) -> Result<DeregisterResponse, Error> {
        let identity = request.identity;
        identity::check_identity(&identity)?;
        let deregistered = self.registrations.remove(context, &identity).await?;
        let dead = match self.delivery.mailboxes() {
            // A sweep forgets the queue later.
            Some(mailboxes) => sweep::set_aside_all(&self.registrations, mailboxes, context, &identity).await?,
            None => 0,
        };
        Ok(DeregisterResponse { deregistered, dead })
    }

    async fn list_dead_messages(&self, context: &Context, request: ListDeadMessagesRequest) -> Result<ListDeadMessagesResponse, Error> {
        let limit = check::limit("limit", request.limit, DEFAULT_LISTED, MAX_LISTED)?;
        Ok(ListDeadMessagesResponse { messages: self.mailboxes("ListDeadMessages")?.list_dead(context, limit).await? })
    }

    async fn discard_dead_messages(
        &self,
        context: &Context,
        request: DiscardDeadMessagesRequest,
    ) -> Result<DiscardDeadMessagesResponse, Error> {
        let discarded = self.mailboxes("DiscardDeadMessages")?.discard_dead(context, request.limit).await?;
        Ok(DiscardDeadMessagesResponse { discarded })
    }
}

impl MulticastRegistry {
    fn describe_delivery(&self) -> DeliveryFacts {
        let (model, guarantee) = match &*self.delivery {
            Delivery::Live(_) => (Model::Pubsub, Guarantee::AtMostOnce),
            Delivery::Durable { .. } => (Model::Durable, Guarantee::AtLeastOnce),
            Delivery::Queues(_) => (Model::Queue, Guarantee::AtLeastOnce),
            Delivery::Stream { .. } => (Model::Stream, Guarantee::AtLeastOnce),
        };
        DeliveryFacts {
            model: model.into(),
            guarantee: guarantee.into(),
            filter: Filter::Emulated.into(),
            max_concurrent_deliveries: *self.settings.concurrency,
        }
    }
}
