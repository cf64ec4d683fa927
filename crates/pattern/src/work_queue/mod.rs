//! WorkQueue: jobs with leases, retries and dead letters, over the slots `jobs` and `results`.
//!
//! The queue of the backend has the jobs. The gateway has no state except for the names of queues whose dead-letter queue it has configured.
//! The slot `results` has one record for each job: it makes ids unique, and has the progress and the result.

mod dead;
mod lease;
mod record;
mod service;
mod settings;
mod submit;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use lru::LruCache;

use self::{record::Records, settings::WorkQueueSettings};
use super::{NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings, required_interface};
use prism_call::{
    Context, Error, Handler, Input, Method, Reply,
    proto::{
        models::queue::v1::{ConfigureDeadLetterRequest, QueueBasic, QueueDeadLetter, QueueDelayed, QueuePriority, QueueVisibility},
        patterns::work_queue::v1::dispatch_work_queue,
    },
};
use prism_settings::settings_schema;
use prism_slot::Limits;

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "work-queue",
    version: "v1",
    service: "prism.patterns.work_queue.v1.WorkQueueService",
    interface_services: &[],
    schema: settings_schema::<WorkQueueSettings>,
    check: check_settings::<WorkQueueSettings>,
    open_handler: |slots, environment| Box::pin(async { WorkQueue::open(slots, environment) }),
};

/// The attribute with the id of a job. Names with its prefix are reserved.
const ID_ATTRIBUTE: &str = "prism-job-id";
const RESERVED_PREFIX: &str = "prism-";
/// Most attributes of a job. The pattern and the dead-letter queue add their own.
const MAX_ATTRIBUTES: usize = 60;
/// Longest name of a queue, and longest id of a job.
const MAX_NAME_BYTES: u64 = 128;
/// Most jobs of one Take.
const MAX_JOBS: u32 = 100;
/// Queues that are known to have a dead-letter queue. Others are configured again, which changes nothing.
const KNOWN_QUEUES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// The pattern in one namespace.
pub struct WorkQueue {
    basic: Arc<dyn QueueBasic>,
    visibility: Arc<dyn QueueVisibility>,
    dead_letter: Arc<dyn QueueDeadLetter>,
    priority: Option<Arc<dyn QueuePriority>>,
    delayed: Option<Arc<dyn QueueDelayed>>,
    /// Present if the slot `results` is filled.
    records: Option<Records>,
    settings: WorkQueueSettings,
    configured: Mutex<LruCache<String, ()>>,
    /// Name of the backend in the slot `jobs`, for error messages.
    backend: String,
    limits: Limits,
    capabilities: NamespaceCapabilities,
}

impl WorkQueue {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: WorkQueueSettings = environment.settings()?;
        let jobs = slots.required("jobs")?;
        let records = slots.optional("results").map(|slot| Records::new(&slot, *settings.retention)).transpose()?;
        let limits = Limits { max_key_bytes: MAX_NAME_BYTES, max_value_bytes: jobs.limits.max_value_bytes, max_batch_items: MAX_JOBS };
        Ok(Arc::new(Self {
            basic: required_interface(&jobs, "queue_basic", jobs.interfaces.queue_basic.clone())?,
            visibility: required_interface(&jobs, "queue_visibility", jobs.interfaces.queue_visibility.clone())?,
            dead_letter: required_interface(&jobs, "queue_dead_letter", jobs.interfaces.queue_dead_letter.clone())?,
            priority: jobs.interfaces.queue_priority,
            delayed: jobs.interfaces.queue_delayed,
            records,
            settings,
            configured: Mutex::new(LruCache::new(KNOWN_QUEUES)),
            backend: jobs.backend,
            limits,
            capabilities: slots.capabilities(&limits, 0, environment),
        }))
    }

    /// Sets the dead-letter queue of a queue, once for each queue that the gateway knows.
    async fn configure(&self, context: &Context, queue: &str) -> Result<(), Error> {
        if self.configured().get(queue).is_some() {
            return Ok(());
        }
        let request = ConfigureDeadLetterRequest {
            queue: queue.to_owned(),
            dead_letter_queue: dead::queue_of(queue),
            max_delivery_attempts: *self.settings.max_attempts,
        };
        self.dead_letter.configure_dead_letter(context, request).await?;
        self.configured().put(queue.to_owned(), ());
        Ok(())
    }

    fn configured(&self) -> std::sync::MutexGuard<'_, LruCache<String, ()>> {
        self.configured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the records, or the error `UNIMPLEMENTED CAPABILITY_UNAVAILABLE` for the field or RPC that needs them.
    fn records(&self, what: &str) -> Result<&Records, Error> {
        self.records.as_ref().ok_or_else(|| {
            let message = format!("{what} needs a backend in the slot `results` of this namespace, which is empty");
            Error::new(prism_call::Code::Unimplemented, "CAPABILITY_UNAVAILABLE", message).with("interface", "keyvalue_cas")
        })
    }
}

#[async_trait]
impl Handler for WorkQueue {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        Ok(dispatch_work_queue(self, context, &method.name, input).await?.into())
    }
}

/// Checks the name of a queue: 1 to 128 letters, digits, `.`, `_` and `-`. So the names of dead-letter queues, which have a `:`, are free.
fn check_queue(queue: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if queue.is_empty() || queue.len() as u64 > MAX_NAME_BYTES || !queue.bytes().all(allowed) {
        return Err(Error::invalid("queue", "must have 1 to 128 letters, digits, `.`, `_` and `-`").with_reason("INVALID_NAME"));
    }
    Ok(())
}

/// Checks a text that GetJob returns: the progress, or the reason of a failure.
fn check_text(field: &str, text: &str) -> Result<(), Error> {
    if text.len() > 1024 {
        return Err(Error::invalid(field, format!("has {} bytes; at most 1024 are allowed", text.len())));
    }
    Ok(())
}
