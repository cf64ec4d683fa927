//! Records of jobs in the slot `results`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message as _;

use crate::required_interface;
use prism_call::{
    Code, Context, Error,
    proto::{
        jobs::v1::JobRecord,
        models::keyvalue::v1::{CompareAndDeleteRequest, CompareAndSwapRequest, GetRequest, KeyValueBasic, KeyValueCas},
    },
};
use prism_slot::{Slot, check, time};

/// How long an id is claimed by a gateway that puts its job in.
const CLAIM: Duration = Duration::from_secs(15);
/// Tries to write a record that others write at the same time.
const MAX_TRIES: usize = 8;

/// The records of a namespace.
pub struct Records {
    basic: Arc<dyn KeyValueBasic>,
    cas: Arc<dyn KeyValueCas>,
    max_value_bytes: u64,
    retention: Duration,
}

/// The result of a claim.
pub enum Claim {
    /// The id is free; the record has this revision until the job is in the queue.
    Granted(u64),
    /// A job with this id was submitted before.
    Submitted,
}

impl Records {
    pub fn new(slot: &Slot, retention: Duration) -> Result<Self, Error> {
        required_interface(slot, "keyvalue_ttl", slot.interfaces.keyvalue_ttl.clone())?;
        Ok(Self {
            basic: required_interface(slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?,
            cas: required_interface(slot, "keyvalue_cas", slot.interfaces.keyvalue_cas.clone())?,
            max_value_bytes: slot.limits.max_value_bytes,
            retention,
        })
    }

    /// Claims an id for a job. The claim expires if the gateway does not come to confirm it.
    ///
    /// Errors: `ABORTED SUBMIT_IN_PROGRESS`.
    pub async fn claim(&self, context: &Context, queue: &str, id: &str) -> Result<Claim, Error> {
        let record = JobRecord { submit_time: Some(time::timestamp(time::now())), ..JobRecord::default() };
        for _ in 0..MAX_TRIES {
            if let Some(revision) = self.swap(context, key(queue, id), 0, &record, CLAIM).await? {
                return Ok(Claim::Granted(revision));
            }
            match self.find(context, queue, id).await? {
                Some((known, _)) if known.submitted => return Ok(Claim::Submitted),
                Some(_) => break,
                // The claim of another call ended since then.
                None => {}
            }
        }
        Err(Error::new(Code::Aborted, "SUBMIT_IN_PROGRESS", "another call submits a job with this id at this moment; repeat the call")
            .with_retry_after(Duration::from_secs(1)))
    }

    /// Notes that the job of a claim is in the queue. `delay` is the time until it is ready.
    pub async fn confirm(&self, context: &Context, queue: &str, id: &str, claim: u64, delay: Duration) -> Result<(), Error> {
        let record = JobRecord { submitted: true, submit_time: Some(time::timestamp(time::now())), ..JobRecord::default() };
        let lifetime = self.retention.saturating_add(delay);
        if self.swap(context, key(queue, id), claim, &record, lifetime).await?.is_none() {
            // A worker was faster and has written the record, or the claim has expired.
            self.swap(context, key(queue, id), 0, &record, lifetime).await?;
        }
        Ok(())
    }

    /// Frees the id of a claim whose job could not be put in. Without success the claim expires.
    pub async fn release(&self, context: &Context, queue: &str, id: &str, claim: u64) {
        let request = CompareAndDeleteRequest { key: key(queue, id), expected_revision: claim };
        if let Err(error) = self.cas.compare_and_delete(context, request).await {
            tracing::debug!(%error, "the id of a job stays claimed for a few seconds");
        }
    }

    /// Returns a record and its revision.
    pub async fn find(&self, context: &Context, queue: &str, id: &str) -> Result<Option<(JobRecord, u64)>, Error> {
        let entry = self.basic.get(context, GetRequest { key: key(queue, id) }).await?.entry;
        let Some(entry) = entry else { return Ok(None) };
        let record = JobRecord::decode(entry.value).map_err(|_| Error::internal("the slot `results` has a record that can't be read"))?;
        Ok(Some((record, entry.revision)))
    }

    /// Changes the record of a job that is in the queue, and keeps it for the retention from now.
    ///
    /// Errors: `INVALID_ARGUMENT VALUE_TOO_LARGE` for the field, `ABORTED RECORD_CONFLICT`.
    pub async fn change(
        &self,
        context: &Context,
        (queue, id): (&str, &str),
        field: &str,
        change: impl Fn(&mut JobRecord),
    ) -> Result<(), Error> {
        for _ in 0..MAX_TRIES {
            let (mut record, revision) = self.find(context, queue, id).await?.unwrap_or_default();
            record.submitted = true;
            change(&mut record);
            let size = record.encoded_len() as u64;
            if size > self.max_value_bytes {
                let limit = self.max_value_bytes;
                let problem = format!("makes a record of {size} bytes; the backend in the slot `results` stores at most {limit}");
                return Err(Error::invalid(field, problem).with_reason("VALUE_TOO_LARGE").with("limit", limit.to_string()));
            }
            if self.swap(context, key(queue, id), revision, &record, self.retention).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::new(Code::Aborted, "RECORD_CONFLICT", "others changed the record of this job at the same time; repeat the call")
            .with_retry_after(Duration::from_millis(100)))
    }

    /// Writes a record if it has this revision (0: there is none). Returns the new revision.
    async fn swap(
        &self,
        context: &Context,
        key: Bytes,
        expected_revision: u64,
        record: &JobRecord,
        lifetime: Duration,
    ) -> Result<Option<u64>, Error> {
        let ttl = prost_types::Duration::try_from(lifetime.min(time::MAX_TTL)).ok();
        let value = record.encode_to_vec().into();
        let request = CompareAndSwapRequest { key, expected_revision, value, ttl, flags: 0 };
        let done = self.cas.compare_and_swap(context, request).await?;
        Ok(done.swapped.then_some(done.revision))
    }
}

/// Checks the id of a job: 1 to 128 bytes without whitespace and control characters.
pub fn check_id(id: &str) -> Result<(), Error> {
    check::name("id", id)?;
    if id.len() as u64 > super::MAX_NAME_BYTES {
        return Err(Error::invalid("id", "must have at most 128 bytes").with_reason("INVALID_NAME"));
    }
    Ok(())
}

/// Names of queues have no `/`, so no two jobs have the same key.
fn key(queue: &str, id: &str) -> Bytes {
    format!("{queue}/{id}").into()
}
