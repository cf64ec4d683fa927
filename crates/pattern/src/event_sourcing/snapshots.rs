//! Snapshots of aggregates.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::store::read;
use crate::required_interface;
use prism_call::{
    Code, Context, Error,
    proto::{
        event_sourcing::v1::SnapshotRecord,
        models::keyvalue::v1::{CompareAndSwapRequest, KeyValueBasic, KeyValueCas},
        patterns::event_sourcing::v1::Snapshot,
    },
};
use prism_slot::{Limits, Slot, check, time};

/// Tries to save a snapshot while others save one.
const MAX_TRIES: usize = 8;
/// What a record needs beside the state.
const OVERHEAD: u64 = 64;

/// The snapshots of a namespace.
pub struct Snapshots {
    basic: Arc<dyn KeyValueBasic>,
    cas: Arc<dyn KeyValueCas>,
    limits: Limits,
}

impl Snapshots {
    pub fn new(slot: &Slot) -> Result<Self, Error> {
        Ok(Self {
            basic: required_interface(slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?,
            cas: required_interface(slot, "keyvalue_cas", slot.interfaces.keyvalue_cas.clone())?,
            limits: Limits { max_value_bytes: slot.limits.max_value_bytes.saturating_sub(OVERHEAD), ..slot.limits },
        })
    }

    /// Saves a snapshot, unless there is one of a higher version. Returns whether it did.
    pub async fn save(&self, context: &Context, aggregate: &str, version: u64, state: Bytes) -> Result<bool, Error> {
        check::value(&self.limits, "state", &state)?;
        let record = SnapshotRecord { version, state, save_time: Some(time::timestamp(time::now())) };
        for _ in 0..MAX_TRIES {
            let (current, expected_revision) = read::<SnapshotRecord>(&*self.basic, context, key(aggregate)).await?.unwrap_or_default();
            if current.version > version {
                return Ok(false);
            }
            let value = record.encode_to_vec().into();
            let request = CompareAndSwapRequest { key: key(aggregate), expected_revision, value, ..CompareAndSwapRequest::default() };
            if self.cas.compare_and_swap(context, request).await?.swapped {
                return Ok(true);
            }
        }
        Err(Error::new(Code::Aborted, "SNAPSHOT_CONFLICT", "others kept saving snapshots of this aggregate; try again"))
    }

    /// Returns the snapshot of an aggregate.
    pub async fn load(&self, context: &Context, aggregate: String) -> Result<Option<Snapshot>, Error> {
        let found = read::<SnapshotRecord>(&*self.basic, context, key(&aggregate)).await?;
        Ok(found.map(|(SnapshotRecord { version, state, save_time }, _)| Snapshot { aggregate, version, state, save_time }))
    }
}

fn key(aggregate: &str) -> Bytes {
    format!("s/{aggregate}").into()
}
