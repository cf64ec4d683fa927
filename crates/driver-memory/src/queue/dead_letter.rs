//! `queue_dead_letter`

use async_trait::async_trait;

use super::{
    Queues,
    messages::{DeadLetterTarget, ReadyPosition},
};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        ConfigureDeadLetterRequest, ConfigureDeadLetterResponse, DeadLetterConfig, GetDeadLetterQueueRequest, GetDeadLetterQueueResponse,
        QueueDeadLetter, RedriveRequest, RedriveResponse,
    },
};
use prism_driver::{
    check,
    queue::{DEAD_LETTER_SOURCE, dead_letter_not_configured, delivery_attempts},
    time,
};

#[async_trait]
impl QueueDeadLetter for Queues {
    async fn configure_dead_letter(&self, _: &Context, request: ConfigureDeadLetterRequest) -> Result<ConfigureDeadLetterResponse, Error> {
        let max_attempts = delivery_attempts(&request)?;
        let ConfigureDeadLetterRequest { queue, dead_letter_queue, .. } = request;
        let target = (!dead_letter_queue.is_empty()).then(|| DeadLetterTarget { queue: dead_letter_queue.into(), max_attempts });
        let mut state = self.state(time::now())?;
        self.shared.reserve(target.as_ref().map_or(0, DeadLetterTarget::size))?;
        state.set_dead_letter(&queue, target);
        Ok(ConfigureDeadLetterResponse {})
    }

    async fn get_dead_letter_queue(&self, _: &Context, request: GetDeadLetterQueueRequest) -> Result<GetDeadLetterQueueResponse, Error> {
        check::name("queue", &request.queue)?;
        let now = time::now();
        let mut state = self.state(now)?;
        let Some(target) = state.queues.get(&*request.queue).and_then(|queue| queue.dead_letter.as_ref()) else {
            return Ok(GetDeadLetterQueueResponse::default());
        };
        let queue = target.queue.clone();
        let config = DeadLetterConfig { dead_letter_queue: queue.to_string(), max_delivery_attempts: target.max_attempts };
        let depth = state.queue_at(&queue, now).map_or(0, |queue| queue.ready.len() as u64);
        Ok(GetDeadLetterQueueResponse { config: Some(config), depth })
    }

    async fn redrive(&self, _: &Context, request: RedriveRequest) -> Result<RedriveResponse, Error> {
        check::name("queue", &request.queue)?;
        let now = time::now();
        let mut state = self.state(now)?;
        let target = state.queues.get(&*request.queue).and_then(|queue| queue.dead_letter.as_ref());
        let Some(from) = target.map(|target| target.queue.clone()) else {
            return Err(dead_letter_not_configured(&request.queue));
        };
        let Some(dead) = state.queue_at(&from, now) else { return Ok(RedriveResponse::default()) };
        let failed_here = |source: Option<&String>| source.is_some_and(|source| *source == request.queue);
        let mut positions: Vec<ReadyPosition> = dead
            .ready
            .iter()
            .filter(|(_, message)| failed_here(message.attributes.get(DEAD_LETTER_SOURCE)))
            .map(|(position, _)| *position)
            .collect();
        positions.sort_unstable_by_key(|(_, sequence)| *sequence);
        if request.limit > 0 {
            positions.truncate(request.limit as usize);
        }
        let mut moved = 0;
        for position in positions {
            let Some(mut message) = state.queues.get_mut(&from).and_then(|dead| dead.ready.remove(&position)) else { continue };
            let before = message.size();
            message.attributes.remove(DEAD_LETTER_SOURCE);
            message.attempts = 0;
            self.shared.release(before - message.size());
            state.make_ready(&request.queue, message, None, now);
            moved += 1;
        }
        Ok(RedriveResponse { moved })
    }
}
