//! `queue_dead_letter`

use async_trait::async_trait;

use super::{
    Queues,
    state::{DeadLetter, Place, SOURCE},
};
use prism_call::{
    Code, Context, Error,
    proto::models::queue::v1::{
        ConfigureDeadLetterRequest, ConfigureDeadLetterResponse, DeadLetterConfig, GetDeadLetterQueueRequest, GetDeadLetterQueueResponse,
        QueueDeadLetter, RedriveRequest, RedriveResponse,
    },
};
use prism_driver::{check, time};

/// Deliveries after which a message has failed when the request does not say.
const DEFAULT_ATTEMPTS: u32 = 5;
const MAX_ATTEMPTS: u32 = 1000;

#[async_trait]
impl QueueDeadLetter for Queues {
    async fn configure_dead_letter(&self, _: &Context, request: ConfigureDeadLetterRequest) -> Result<ConfigureDeadLetterResponse, Error> {
        let ConfigureDeadLetterRequest { queue, dead_letter_queue, max_delivery_attempts } = request;
        check::name("queue", &queue)?;
        check::optional_name("dead_letter_queue", &dead_letter_queue)?;
        if queue == dead_letter_queue {
            return Err(Error::invalid("dead_letter_queue", "must be another queue than the one whose messages fail"));
        }
        let max_attempts = check::limit("max_delivery_attempts", max_delivery_attempts, DEFAULT_ATTEMPTS, MAX_ATTEMPTS)?;
        let dead_letter = (!dead_letter_queue.is_empty()).then(|| DeadLetter { queue: dead_letter_queue.into(), max_attempts });
        let mut state = self.state(time::now())?;
        self.shared.reserve(dead_letter.as_ref().map_or(0, DeadLetter::size))?;
        state.set_dead_letter(&queue, dead_letter);
        Ok(ConfigureDeadLetterResponse {})
    }

    async fn get_dead_letter_queue(&self, _: &Context, request: GetDeadLetterQueueRequest) -> Result<GetDeadLetterQueueResponse, Error> {
        check::name("queue", &request.queue)?;
        let now = time::now();
        let mut state = self.state(now)?;
        let Some(set) = state.queues.get(&*request.queue).and_then(|queue| queue.dead_letter.as_ref()) else {
            return Ok(GetDeadLetterQueueResponse::default());
        };
        let target = set.queue.clone();
        let config = DeadLetterConfig { dead_letter_queue: target.to_string(), max_delivery_attempts: set.max_attempts };
        let depth = state.settled(&target, now).map_or(0, |queue| queue.ready.len() as u64);
        Ok(GetDeadLetterQueueResponse { config: Some(config), depth })
    }

    async fn redrive(&self, _: &Context, request: RedriveRequest) -> Result<RedriveResponse, Error> {
        check::name("queue", &request.queue)?;
        let now = time::now();
        let mut state = self.state(now)?;
        let set = state.queues.get(&*request.queue).and_then(|queue| queue.dead_letter.as_ref());
        let Some(from) = set.map(|set| set.queue.clone()) else {
            return Err(Error::new(
                Code::FailedPrecondition,
                "DEAD_LETTER_NOT_CONFIGURED",
                format!("the queue {:?} has no dead-letter queue; set one with ConfigureDeadLetter", request.queue),
            ));
        };
        let Some(dead) = state.settled(&from, now) else { return Ok(RedriveResponse::default()) };
        let came_from_here = |source: Option<&String>| source.is_some_and(|source| *source == request.queue);
        let mut places: Vec<Place> =
            dead.ready.iter().filter(|(_, message)| came_from_here(message.attributes.get(SOURCE))).map(|(place, _)| *place).collect();
        places.sort_unstable_by_key(|(_, place)| *place);
        if request.limit > 0 {
            places.truncate(request.limit as usize);
        }
        let mut moved = 0;
        for place in places {
            let Some(mut message) = state.queues.get_mut(&from).and_then(|dead| dead.ready.remove(&place)) else { continue };
            let before = message.size();
            message.attributes.remove(SOURCE);
            message.attempts = 0;
            self.shared.release(before - message.size());
            state.ready(&request.queue, message, None, now);
            moved += 1;
        }
        Ok(RedriveResponse { moved })
    }
}
