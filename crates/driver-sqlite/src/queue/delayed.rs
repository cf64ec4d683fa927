//! `queue_delayed`

use async_trait::async_trait;

use super::{
    Queues,
    rows::{self, NewMessage},
};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        EnqueueDelayedRequest, EnqueueDelayedResponse, GetScheduledCountRequest, GetScheduledCountResponse, QueueDelayed,
    },
};
use prism_driver::{check, queue::delivery_time, time};

#[async_trait]
impl QueueDelayed for Queues {
    async fn enqueue_delayed(&self, _: &Context, request: EnqueueDelayedRequest) -> Result<EnqueueDelayedResponse, Error> {
        let due = delivery_time(request.schedule.as_ref())?;
        let new = NewMessage::new(self.keyspace.limits(), request.queue, request.payload, request.attributes)?.with_due(due);
        let message_id = self.keyspace.write(move |tx, keyspace| new.insert(tx, keyspace)).await?;
        Ok(EnqueueDelayedResponse { message_id, deliver_time: Some(time::timestamp(due)) })
    }

    async fn get_scheduled_count(&self, _: &Context, request: GetScheduledCountRequest) -> Result<GetScheduledCountResponse, Error> {
        check::name("queue", &request.queue)?;
        self.process_due().await?;
        let [_, _, count] = self.keyspace.read(move |connection, keyspace| rows::count(connection, keyspace, &request.queue)).await?;
        Ok(GetScheduledCountResponse { count })
    }
}
