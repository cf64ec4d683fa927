//! WorkQueue: jobs with leases, retries and dead letters, over the slots `jobs` and `results`.
//!
//! The queue of the backend has the jobs. The gateway has no state except for the names of queues whose dead-letter queue it has set.
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

use std::sync::Arc;

use async_trait::async_trait;

use self::{record::Records, settings::WorkQueueSettings};
use super::{
    NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings, empty_slot,
    messaging::{dead_letters::DeadLetters, names, queue_writer::QueueWriter},
    required_interface,
};
use prism_call::{
    Context, Error, Handler, Input, Method, Reply,
    proto::{models::queue::v1::QueueVisibility, patterns::work_queue::v1::dispatch_work_queue},
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

/// The attribute with the id of a job.
const ID_ATTRIBUTE: &str = "prism-job-id";
/// Longest name of a queue.
const MAX_NAME_BYTES: u64 = 128;
/// Most jobs of one Take.
const MAX_JOBS: u32 = 100;

/// The pattern in one namespace.
pub struct WorkQueue {
    writer: QueueWriter,
    visibility: Arc<dyn QueueVisibility>,
    dead_letters: DeadLetters,
    /// Present if the slot `results` is filled.
    records: Option<Records>,
    settings: WorkQueueSettings,
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
        let max_value_bytes = jobs.limits.max_value_bytes.min(environment.limits.max_message_bytes as u64);
        let limits = Limits { max_key_bytes: MAX_NAME_BYTES, max_value_bytes, max_batch_items: MAX_JOBS };
        Ok(Arc::new(Self {
            writer: QueueWriter::new(&jobs)?,
            visibility: required_interface(&jobs, "queue_visibility", jobs.interfaces.queue_visibility.clone())?,
            dead_letters: DeadLetters::new(
                required_interface(&jobs, "queue_dead_letter", jobs.interfaces.queue_dead_letter.clone())?,
                *settings.max_attempts,
            ),
            records,
            settings,
            backend: jobs.backend,
            limits,
            capabilities: slots.capabilities(&limits, 0, environment),
        }))
    }

    /// Returns the records, or the error `UNIMPLEMENTED CAPABILITY_UNAVAILABLE` for the field or RPC that needs them.
    fn records(&self, what: &str) -> Result<&Records, Error> {
        self.records.as_ref().ok_or_else(|| empty_slot(what, "results", "keyvalue_cas"))
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
    names::plain("queue", queue, MAX_NAME_BYTES)
}

/// Checks a text that GetJob returns: the progress, or the reason of a failure.
fn check_text(field: &str, text: &str) -> Result<(), Error> {
    if text.len() > 1024 {
        return Err(Error::invalid(field, format!("has {} bytes; at most 1024 are allowed", text.len())));
    }
    Ok(())
}
