//! Ids that are used once: claims in a key-value slot.
//!
//! The first call with an id claims it, does its work, and confirms the claim with a record. Later calls find the record. An empty value is a
//! claim; it expires by itself if its gateway is killed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::required_interface;
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{CompareAndDeleteRequest, CompareAndSwapRequest, GetRequest, KeyValueBasic, KeyValueCas},
};
use prism_slot::{Slot, time};

/// How long an id stays claimed if its gateway neither confirms nor releases it.
const CLAIM: Duration = Duration::from_secs(15);
/// Tries to claim an id whose record disappears meanwhile.
const MAX_TRIES: usize = 8;

/// Claims and records in one slot.
pub struct Claims {
    basic: Arc<dyn KeyValueBasic>,
    cas: Arc<dyn KeyValueCas>,
    pub max_value_bytes: u64,
}

/// The result of a claim.
pub enum Claim {
    /// The id is free, and belongs to this call until the claim expires. The value is the revision of the claim.
    Granted(u64),
    /// An earlier call has confirmed this record.
    Confirmed(Bytes),
    /// Another call holds the claim.
    Held,
}

impl Claims {
    pub fn new(slot: &Slot) -> Result<Self, Error> {
        required_interface(slot, "keyvalue_ttl", slot.interfaces.keyvalue_ttl.clone())?;
        Ok(Self {
            basic: required_interface(slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?,
            cas: required_interface(slot, "keyvalue_cas", slot.interfaces.keyvalue_cas.clone())?,
            max_value_bytes: slot.limits.max_value_bytes,
        })
    }

    /// Claims an id.
    pub async fn claim(&self, context: &Context, key: &Bytes) -> Result<Claim, Error> {
        for _ in 0..MAX_TRIES {
            if let Some(revision) = self.swap(context, key, 0, Bytes::new(), CLAIM).await? {
                return Ok(Claim::Granted(revision));
            }
            match self.find(context, key).await? {
                Some((value, _)) if value.is_empty() => return Ok(Claim::Held),
                Some((value, _)) => return Ok(Claim::Confirmed(value)),
                // The claim of another call ended since then.
                None => {}
            }
        }
        Ok(Claim::Held)
    }

    /// Stores the record of a claim, unless another record is there by now.
    pub async fn confirm(&self, context: &Context, key: &Bytes, claim: u64, record: Bytes, lifetime: Duration) -> Result<(), Error> {
        if self.swap(context, key, claim, record.clone(), lifetime).await?.is_none() {
            // The claim has expired, or somebody else has written a record.
            self.swap(context, key, 0, record, lifetime).await?;
        }
        Ok(())
    }

    /// Frees an id whose work failed. Without success the claim expires.
    pub async fn release(&self, context: &Context, key: &Bytes, claim: u64) {
        let request = CompareAndDeleteRequest { key: key.clone(), expected_revision: claim };
        if let Err(error) = self.cas.compare_and_delete(context, request).await {
            tracing::debug!(%error, "an id stays claimed for a few seconds");
        }
    }

    /// Returns a value and its revision. The value of a claim is empty.
    pub async fn find(&self, context: &Context, key: &Bytes) -> Result<Option<(Bytes, u64)>, Error> {
        let entry = self.basic.get(context, GetRequest { key: key.clone() }).await?.entry;
        Ok(entry.map(|entry| (entry.value, entry.revision)))
    }

    /// Writes a value if the key has this revision (0: it does not exist). Returns the new revision.
    pub async fn swap(
        &self,
        context: &Context,
        key: &Bytes,
        expected_revision: u64,
        value: Bytes,
        lifetime: Duration,
    ) -> Result<Option<u64>, Error> {
        let ttl = prost_types::Duration::try_from(lifetime.min(time::MAX_TTL)).ok();
        let request = CompareAndSwapRequest { key: key.clone(), expected_revision, value, ttl, flags: 0 };
        let done = self.cas.compare_and_swap(context, request).await?;
        Ok(done.swapped.then_some(done.revision))
    }
}
