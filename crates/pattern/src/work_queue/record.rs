//! Records of jobs in the slot `results`.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use crate::claims::{Claim, Claims};
use prism_call::{Code, Context, Error, proto::jobs::v1::JobRecord};
use prism_slot::{Slot, time};

/// Tries to write a record that others write at the same time.
const MAX_TRIES: usize = 8;

/// The records of a namespace.
pub struct Records {
    claims: Claims,
    retention: Duration,
}

impl Records {
    pub fn new(slot: &Slot, retention: Duration) -> Result<Self, Error> {
        Ok(Self { claims: Claims::new(slot)?, retention })
    }

    /// Claims an id for a job. Returns the claim, or `None` if a job with this id was submitted before.
    ///
    /// Errors: `ABORTED SUBMIT_IN_PROGRESS`.
    pub async fn claim(&self, context: &Context, queue: &str, id: &str) -> Result<Option<u64>, Error> {
        match self.claims.claim(context, &key(queue, id)).await? {
            Claim::Granted(claim) => Ok(Some(claim)),
            Claim::Confirmed(_) => Ok(None),
            Claim::Held => {
                let message = "another call submits a job with this id at this moment; repeat the call";
                Err(Error::new(Code::Aborted, "SUBMIT_IN_PROGRESS", message).with_retry_after(Duration::from_secs(1)))
            }
        }
    }

    /// Notes that the job of a claim is in the queue. `delay` is the time until it is ready.
    pub async fn confirm(&self, context: &Context, queue: &str, id: &str, claim: u64, delay: Duration) -> Result<(), Error> {
        let record = new_record().encode_to_vec().into();
        self.claims.confirm(context, &key(queue, id), claim, record, self.retention.saturating_add(delay)).await
    }

    /// Frees the id of a claim whose job could not be put in.
    pub async fn release(&self, context: &Context, queue: &str, id: &str, claim: u64) {
        self.claims.release(context, &key(queue, id), claim).await;
    }

    /// Returns a record. A job that is being submitted has none.
    pub async fn find(&self, context: &Context, queue: &str, id: &str) -> Result<Option<JobRecord>, Error> {
        let found = self.claims.find(context, &key(queue, id)).await?;
        found.filter(|(value, _)| !value.is_empty()).map(|(value, _)| decode(value)).transpose()
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
        let key = key(queue, id);
        for _ in 0..MAX_TRIES {
            let (mut record, revision) = match self.claims.find(context, &key).await? {
                Some((value, revision)) if !value.is_empty() => (decode(value)?, revision),
                // The worker is faster than Submit, which then leaves the record as it is.
                Some((_, revision)) => (new_record(), revision),
                None => (new_record(), 0),
            };
            change(&mut record);
            let (size, limit) = (record.encoded_len() as u64, self.claims.max_value_bytes);
            if size > limit {
                let problem = format!("makes a record of {size} bytes; the backend in the slot `results` stores at most {limit}");
                return Err(Error::invalid(field, problem).with_reason("VALUE_TOO_LARGE").with("limit", limit.to_string()));
            }
            if self.claims.swap(context, &key, revision, record.encode_to_vec().into(), self.retention).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::new(Code::Aborted, "RECORD_CONFLICT", "others changed the record of this job at the same time; repeat the call")
            .with_retry_after(Duration::from_millis(100)))
    }
}

fn new_record() -> JobRecord {
    JobRecord { submit_time: Some(time::timestamp(time::now())), ..JobRecord::default() }
}

fn decode(value: Bytes) -> Result<JobRecord, Error> {
    JobRecord::decode(value).map_err(|_| Error::internal("the slot `results` has a record that can't be read"))
}

/// Names of queues have no `/`, so no two jobs have the same key.
fn key(queue: &str, id: &str) -> Bytes {
    format!("{queue}/{id}").into()
}
