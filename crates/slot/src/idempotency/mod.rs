//! Outcomes of calls with an idempotency key, kept in a backend of the namespace, in a keyspace of its own. So they hold
//! across gateways, and across their ends.

mod record;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_lc_rs::digest;
use bytes::Bytes;

use crate::Slot;
use prism_call::{
    Claim, Claimed, Code, Context, Error, KeyedCall, Outcome, Replays, idempotency,
    proto::models::keyvalue::v1::{CompareAndDeleteRequest, CompareAndSwapRequest, GetRequest, KeyValueBasic, KeyValueCas},
};
use prism_registry::IDEMPOTENCY_INTERFACES;

/// Attempts to claim a key whose record goes away whenever it is looked at.
const MAX_ATTEMPTS: usize = 4;
/// Between attempts to write down an outcome.
const PAUSE: Duration = Duration::from_millis(200);

/// Outcomes in one keyspace.
pub struct Kept {
    basic: Arc<dyn KeyValueBasic>,
    cas: Arc<dyn KeyValueCas>,
    max_value_bytes: u64,
    retention: Duration,
}

impl Kept {
    /// In this slot, each for so long; the error is the name of the interface that its driver lacks.
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

    /// Replaces a claim, unless it has ended. An outage is waited for as long as the context allows.
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
                    // An answer that was lost may have been written all the same; then the revision is another one, too.
                    if !done.swapped {
                        tracing::debug!(namespace = %context.namespace, "the claim of a call with an idempotency key had ended before the call did");
                    }
                    return Ok(());
                }
                Err(error) => again(context, error).await?,
            }
        }
    }
}

#[async_trait]
impl Replays for Kept {
    async fn claim(&self, context: &Context, call: &KeyedCall, lease: Duration) -> Result<Claimed, Error> {
        // The namespace is in the keyspace. Lengths keep apart what stands side by side.
        let key = digest_of(&[context.principal.subject.as_bytes(), call.key.as_bytes()]);
        let fingerprint = digest_of(&[call.method.path.as_bytes(), &call.message]);
        for _ in 0..MAX_ATTEMPTS {
            let value = record::claimed(&fingerprint);
            let request = CompareAndSwapRequest { key: key.clone(), value, ttl: ttl(lease), ..CompareAndSwapRequest::default() };
            let done = self.cas.compare_and_swap(context, request).await?;
            if done.swapped {
                return Ok(Claimed::Now(Claim { record: key, fingerprint, revision: done.revision }));
            }
            // It may have ended in between; then it is free again.
            if let Some(entry) = self.basic.get(context, GetRequest { key: key.clone() }).await?.entry {
                return record::read(entry.value, &fingerprint).map(Claimed::Before);
            }
        }
        Err(idempotency::in_flight())
    }

    async fn keep(&self, context: &Context, claim: &Claim, outcome: Outcome<'_>) -> Result<(), Error> {
        let value = record::finished(&claim.fingerprint, outcome, self.max_value_bytes);
        match self.replace(context, claim, value).await {
            // No room for the reply may still be room for the fact that there was one.
            Err(error) if matches!(error.code(), Code::InvalidArgument | Code::ResourceExhausted) => {
                self.replace(context, claim, record::without_reply(&claim.fingerprint)).await
            }
            other => other,
        }
    }

    async fn release(&self, context: &Context, claim: &Claim) -> Result<(), Error> {
        loop {
            let request = CompareAndDeleteRequest { key: claim.record.clone(), expected_revision: claim.revision };
            match self.cas.compare_and_delete(context, request).await {
                Ok(_) => return Ok(()),
                Err(error) => again(context, error).await?,
            }
        }
    }
}

/// Waits before another attempt, if there is time and sense in one.
async fn again(context: &Context, error: Error) -> Result<(), Error> {
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

fn digest_of(parts: &[&[u8]]) -> Bytes {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    Bytes::copy_from_slice(context.finish().as_ref())
}
