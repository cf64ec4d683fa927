//! `queue_delayed`: JetStream keeps a scheduled message and stores it in the queue at its time.

use async_trait::async_trait;

use super::{Queues, message};
use crate::error;
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        EnqueueDelayedRequest, EnqueueDelayedResponse, GetScheduledCountRequest, GetScheduledCountResponse, QueueDelayed,
    },
};
use prism_driver::{
    check, id,
    queue::{check_message, delivery_time},
    time,
};

#[async_trait]
impl QueueDelayed for Queues {
    async fn enqueue_delayed(&self, context: &Context, request: EnqueueDelayedRequest) -> Result<EnqueueDelayedResponse, Error> {
        let EnqueueDelayedRequest { queue, payload, attributes, schedule } = request;
        check_message(&self.limits, &queue, &payload, &attributes)?;
        let at = delivery_time(schedule.as_ref())?;
        let (log, deadline) = (self.log(&queue), self.client.deadline(context));
        let message_id = id::random_text();
        let (headers, payload) = message::encode(&message_id, attributes, payload);
        let deliver_time = time::timestamp(at);
        if at <= time::now() {
            log.append(&deadline, headers, payload, None).await?;
        } else {
            let headers = message::schedule(headers, at, log.subject());
            let stored = log.store(&deadline, &self.schedule_subject(&queue, &message_id), headers, payload).await?;
            stored.map_err(|error| error::map_api_error(&error))?;
        }
        Ok(EnqueueDelayedResponse { message_id, deliver_time: Some(deliver_time) })
    }

    async fn get_scheduled_count(&self, context: &Context, request: GetScheduledCountRequest) -> Result<GetScheduledCountResponse, Error> {
        check::name("queue", &request.queue)?;
        Ok(GetScheduledCountResponse { count: self.depth(&self.client.deadline(context), &request.queue).await?.scheduled })
    }
}
