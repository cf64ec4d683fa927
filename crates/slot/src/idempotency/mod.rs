//! Stores the outcomes of calls with an idempotency key in a backend of the namespace, in a separate keyspace. So all gateways share
//! them, and they survive a restart.

mod record;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_lc_rs::digest;
use bytes::Bytes;

use crate::Slot;
use prism_call::{
    Claim, ClaimResult, Code, Context, Error, KeyedCall, Outcome, ReplyStore, idempotency,
    proto::models::keyvalue::v1::{CompareAndDeleteRequest, CompareAndSwapRequest, GetRequest, KeyValueBasic, KeyValueCas},
};
use prism_registry::IDEMPOTENCY_INTERFACES;

/// Maximum attempts to claim a key if its record disappears between the claim and the read.
const MAX_ATTEMPTS: usize = 4;
/// Pause between attempts to store an outcome.
const PAUSE: Duration = Duration::from_millis(200);

/// Stores outcomes in one keyspace.
pub struct KeyspaceReplyStore {
    basic: Arc<dyn KeyValueBasic>,
    cas: Arc<dyn KeyValueCas>,
    max_value_bytes: u64,
    retention: Duration,
}

impl KeyspaceReplyStore {
    /// Creates a store in this slot that keeps each outcome for `retention`. The error is the name of the interface that the driver lacks.
    pub fn new(slot: Slot, retention: Duration) -> Result<Self, &'static str> {
        let [basic, cas, ttl] = IDEMPOTENCY_INTERFACES;
        let interfaces = slot.interfaces;
        interfaces.keyvalue_ttl.ok_or(ttl)?;
        Ok(Self {
            basic: interfaces.keyvalue_basic.ok_or(basic)?,
            cas: interfaces.keyvalue_cas.ok_or(cas)?,
            max_value_bytes: slot.limits.max_value_bytes,
            retention,
        })
    }

    /// Replaces a claim, unless it has expired. Retries during an outage until the deadline of the context.
    async fn replace(&self, context: &Context, claim: &Claim, value: Bytes) -> Result<(), Error> {
        loop {
            let request = CompareAndSwapRequest {
                key: claim.record.clone(),
                expected_revision: claim.revision,
                value: value.clone(),
                ttl: ttl(self.retention),
                ..CompareAndSwapRequest::default()
            };
            match self.cas.compare_and_swap(context, request).await {
                Ok(done) => {
                    // If the response to an earlier attempt was lost, that attempt may have changed the revision.
                    if !done.swapped {
                        tracing::debug!(namespace = %context.namespace, "the claim of a call with an idempotency key expired before the call ended");
                    }
                    return Ok(());
                }
                Err(error) => wait_for_retry(context, error).await?,
            }
        }
    }
}

#[async_trait]
impl ReplyStore for KeyspaceReplyStore {
    async fn claim(&self, context: &Context, call: &KeyedCall, lease: Duration) -> Result<ClaimResult, Error> {
        // The keyspace belongs to the namespace. Lengths separate the parts of the digest.
        let principal = &context.principal;
        let key = match &*principal.tenant {
            "" => digest_parts(&[principal.subject.as_bytes(), call.key.as_bytes()]),
            // Tenants may have callers of the same name.
            tenant => digest_parts(&[tenant.as_bytes(), principal.subject.as_bytes(), call.key.as_bytes()]),
        };
        let fingerprint = digest_parts(&[call.method.path.as_bytes(), &call.message]);
        for _ in 0..MAX_ATTEMPTS {
            let value = record::encode_claim(&fingerprint);
            let request = CompareAndSwapRequest { key: key.clone(), value, ttl: ttl(lease), ..CompareAndSwapRequest::default() };
            let done = self.cas.compare_and_swap(context, request).await?;
            if done.swapped {
                return Ok(ClaimResult::Granted(Claim { record: key, fingerprint, revision: done.revision }));
            }
            // If it has expired since then, the key is free again.
            if let Some(entry) = self.basic.get(context, GetRequest { key: key.clone() }).await?.entry {
                return record::decode(entry.value, &fingerprint).map(ClaimResult::Completed);
            }
        }
        Err(idempotency::in_flight())
    }

    async fn store_outcome(&self, context: &Context, claim: &Claim, outcome: Outcome<'_>) -> Result<(), Error> {
        let value = record::encode_outcome(&claim.fingerprint, outcome, self.max_value_bytes);
        match self.replace(context, claim, value).await {
            // If the reply does not fit, the fact that the call was executed may still fit.
            Err(error) if matches!(error.code(), Code::InvalidArgument | Code::ResourceExhausted) => {
                self.replace(context, claim, record::encode_without_reply(&claim.fingerprint)).await
            }
            other => other,
        }
    }

    async fn release(&self, context: &Context, claim: &Claim) -> Result<(), Error> {
        loop {
            let request = CompareAndDeleteRequest { key: claim.record.clone(), expected_revision: claim.revision };
            match self.cas.compare_and_delete(context, request).await {
                Ok(_) => return Ok(()),
                Err(error) => wait_for_retry(context, error).await?,
            }
        }
    }
}

/// Waits before a retry. Returns the error if a retry is pointless or too late.
async fn wait_for_retry(context: &Context, error: Error) -> Result<(), Error> {
    let left = context.remaining().unwrap_or_default();
    if error.code() != Code::Unavailable || left <= PAUSE {
        return Err(error);
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

fn ttl(time: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(time).ok()
}

fn digest_parts(parts: &[&[u8]]) -> Bytes {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    Bytes::copy_from_slice(context.finish().as_ref())
}
