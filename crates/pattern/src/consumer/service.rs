//! The RPCs, in the order of the service.

use async_trait::async_trait;
use futures::StreamExt as _;

use super::{Consumer, FilterFields, MAX_MESSAGES, ReceiveOptions, Source, consume, lease, payload, shared::SubscriptionItem, subscribe};
use crate::messaging::{
    dead_letters::{DEFAULT_LISTED, MAX_LISTED, check_discarded},
    delays, names,
};
use prism_call::{
    Context, Error, Messages,
    proto::patterns::consumer::v1::{
        AckRequest, AckResponse, ConsumeRequest, ConsumeResponse, Consumer as Service, DiscardDeadMessagesRequest,
        DiscardDeadMessagesResponse, ExtendRequest, ExtendResponse, GetCapabilitiesRequest, GetCapabilitiesResponse, GetGroupRequest,
        GetGroupResponse, ListDeadMessagesRequest, ListDeadMessagesResponse, NackRequest, NackResponse, ReadPayloadRequest,
        ReadPayloadResponse, ReceiveRequest, ReceiveResponse, RedriveDeadMessagesRequest, RedriveDeadMessagesResponse, SeekRequest,
        SeekResponse, SubscribeRequest, SubscribeResponse,
    },
};
use prism_slot::check;

#[async_trait]
impl Service for Consumer {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()) })
    }

    async fn receive(&self, context: &Context, request: ReceiveRequest) -> Result<ReceiveResponse, Error> {
        let start = request.start();
        let ReceiveRequest { topic, group, limit, wait, lease_duration, filter, discard_unmatched, .. } = request;
        let group = self.check_group(&topic, group)?;
        let filter = self.filter(&FilterFields { path: "", filter: &filter, discard_unmatched })?;
        let options = ReceiveOptions {
            topic,
            group,
            limit: check::limit("limit", limit, 1, MAX_MESSAGES)?,
            wait: delays::wait(context, wait.as_ref())?,
            lease: self.lease_time(lease_duration.as_ref())?,
            start,
            auto_ack: false,
            filter,
        };
        let messages = self.source.receive(context, &options).await?;
        Ok(ReceiveResponse { messages: payload::fetch_all(self.payloads.as_deref(), context, &options.topic, messages).await? })
    }

    async fn subscribe(&self, context: &Context, request: SubscribeRequest) -> Result<Messages<SubscribeResponse>, Error> {
        let items = subscribe::subscribe(self, context, request).await?;
        Ok(Box::pin(items.map(|item| item.map(SubscriptionItem::into_response))))
    }

    async fn consume(&self, context: &Context, requests: Messages<ConsumeRequest>) -> Result<Messages<ConsumeResponse>, Error> {
        consume::consume(self, context, requests).await
    }

    async fn read_payload(&self, context: &Context, request: ReadPayloadRequest) -> Result<Messages<ReadPayloadResponse>, Error> {
        payload::read_payload(self, context, request).await
    }

    async fn ack(&self, context: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        let AckRequest { topic, group, leases } = request;
        let group = self.check_group(&topic, group)?;
        Ok(AckResponse { acknowledged: self.source.ack(context, &topic, &group, &leases).await? })
    }

    async fn nack(&self, context: &Context, request: NackRequest) -> Result<NackResponse, Error> {
        let NackRequest { topic, group, lease, delay } = request;
        let group = self.check_group(&topic, group)?;
        let retry_time = self.source.nack(context, (&topic, &group, &lease), delay.as_ref()).await?;
        Ok(NackResponse { dead: retry_time.is_none(), retry_time })
    }

    async fn extend(&self, context: &Context, request: ExtendRequest) -> Result<ExtendResponse, Error> {
        let ExtendRequest { topic, group, lease, lease_duration } = request;
        let group = self.check_group(&topic, group)?;
        let duration = self.lease_time(lease_duration.as_ref())?;
        let lease = lease::decode("lease", &topic, &group, &lease)?;
        let lease_expire_time = match &*self.source {
            Source::Stream { groups, .. } => groups.extend(context, &topic, &group, &lease, duration).await?,
            Source::Queue(queues) => queues.extend(context, lease, duration).await?,
            Source::Live(_) => return Err(self.unavailable("Extend")),
        };
        Ok(ExtendResponse { lease_expire_time })
    }

    async fn seek(&self, context: &Context, request: SeekRequest) -> Result<SeekResponse, Error> {
        let SeekRequest { topic, group, place } = request;
        names::topic(&topic)?;
        let Source::Stream { groups, .. } = &*self.source else { return Err(self.unavailable("Seek")) };
        let group = names::group(group)?;
        Ok(SeekResponse { next_offset: groups.seek(context, SeekRequest { topic, group, place }).await? })
    }

    async fn get_group(&self, context: &Context, request: GetGroupRequest) -> Result<GetGroupResponse, Error> {
        let GetGroupRequest { topic, group } = request;
        let group = self.check_group(&topic, group)?;
        match &*self.source {
            Source::Stream { groups, .. } => groups.describe(context, &topic, &group).await,
            Source::Queue(queues) => queues.describe(context, &topic).await,
            Source::Live(_) => Err(self.unavailable("GetGroup")),
        }
    }

    async fn list_dead_messages(&self, context: &Context, request: ListDeadMessagesRequest) -> Result<ListDeadMessagesResponse, Error> {
        let ListDeadMessagesRequest { topic, group, limit } = request;
        let group = self.check_group(&topic, group)?;
        let limit = check::limit("limit", limit, DEFAULT_LISTED, MAX_LISTED)?;
        let messages = match &*self.source {
            Source::Stream { groups, .. } => groups.list_dead(context, &topic, &group, limit).await?,
            Source::Queue(queues) => queues.list_dead(context, &topic, limit).await?,
            Source::Live(_) => return Err(self.unavailable("ListDeadMessages")),
        };
        Ok(ListDeadMessagesResponse { messages: payload::fetch_all(self.payloads.as_deref(), context, &topic, messages).await? })
    }

    async fn redrive_dead_messages(
        &self,
        context: &Context,
        request: RedriveDeadMessagesRequest,
    ) -> Result<RedriveDeadMessagesResponse, Error> {
        let RedriveDeadMessagesRequest { topic, group, limit } = request;
        let group = self.check_group(&topic, group)?;
        let moved = match &*self.source {
            Source::Stream { groups, .. } => groups.redrive_dead(context, &topic, &group, limit).await?,
            Source::Queue(queues) => queues.redrive_dead(context, topic, limit).await?,
            Source::Live(_) => return Err(self.unavailable("RedriveDeadMessages")),
        };
        Ok(RedriveDeadMessagesResponse { moved })
    }

    async fn discard_dead_messages(
        &self,
        context: &Context,
        request: DiscardDeadMessagesRequest,
    ) -> Result<DiscardDeadMessagesResponse, Error> {
        let DiscardDeadMessagesRequest { topic, group, limit } = request;
        let group = self.check_group(&topic, group)?;
        check_discarded(limit)?;
        let discarded = match &*self.source {
            Source::Stream { groups, .. } => groups.discard_dead(context, &topic, &group, limit).await?,
            Source::Queue(queues) => queues.discard_dead(context, &topic, limit).await?,
            Source::Live(_) => return Err(self.unavailable("DiscardDeadMessages")),
        };
        Ok(DiscardDeadMessagesResponse { discarded })
    }
}
