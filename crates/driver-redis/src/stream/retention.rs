//! `stream_retention`: scripts remove what the policy does not keep.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{COMPACT, RETAIN, Streams, TRIM};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, RetentionPolicy, SetRetentionRequest,
        SetRetentionResponse, StreamRetention,
    },
};
use prism_driver::{Keyspace, check, time};

/// Most records that one script removes or looks at.
const AT_ONCE: u64 = 256;
/// How often policies are applied to all streams.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

impl Streams {
    /// Applies the policy; gives how many records were removed.
    async fn trim(&self, context: &Context, stream: &str) -> Result<u64, Error> {
        let call = self.script(&TRIM, stream).arg(AT_ONCE);
        let mut removed = 0;
        loop {
            let step = reply::count(&self.call(context, &call).await?)?;
            removed += step;
            if step == 0 {
                return Ok(removed);
            }
        }
    }

    /// Keeps only the last record of each key; gives how many were removed.
    async fn keep_last(&self, context: &Context, stream: &str) -> Result<u64, Error> {
        // Of this call only, so that two of them don't take each other's records for newer ones.
        let seen = self.keys.named("compacting", &format!("{stream}:{:032x}", rand::random::<u128>()));
        let (mut removed, mut end) = (0, "+".to_owned());
        while !end.is_empty() {
            let call = self.script_with(&COMPACT, stream, &seen).arg(end).arg(AT_ONCE);
            let [step, next] = reply::exactly(self.call(context, &call).await?)?;
            removed += reply::count(&step)?;
            end = String::from_utf8_lossy(&reply::some_bytes(next)?).into_owned();
        }
        Ok(removed)
    }

    /// Streams that have a policy.
    fn policies(&self) -> Vec<u8> {
        self.keys.named("policies", "")
    }

    /// Applies the policies of all streams of the keyspace.
    async fn sweep(&self, context: &Context) -> Result<(), Error> {
        let mut cursor = 0_u64;
        loop {
            let page = redis::cmd("SSCAN").arg(self.policies()).arg(cursor).arg("COUNT").arg(100).take();
            let (next, names): (u64, Vec<String>) = self.client.run(context, &page).await?;
            for name in names {
                self.trim(context, &name).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

/// Applies retention to the streams of all keyspaces that this gateway uses.
#[derive(Default)]
pub struct Sweeper(Mutex<HashMap<Keyspace, Arc<Streams>>>);

impl Sweeper {
    pub fn watch(&self, keyspace: &Keyspace, streams: &Arc<Streams>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(keyspace.clone(), streams.clone());
    }

    /// Runs until its task is aborted.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY.mul_f64(rand::random_range(0.5..=1.0))).await;
            let all: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(k, s)| (k.clone(), s.clone())).collect();
            for (keyspace, streams) in all {
                if let Err(error) = streams.sweep(&Context::internal(keyspace.namespace)).await {
                    tracing::debug!(%error, "retention could not be applied; it is tried again");
                    break;
                }
            }
        }
    }
}

/// max_age in milliseconds, max_records, max_bytes.
fn limits(policy: &RetentionPolicy) -> Result<[Option<u64>; 3], Error> {
    let age = match &policy.max_age {
        Some(age) => {
            let millis = time::positive("policy.max_age", age)?.as_nanos().div_ceil(1_000_000);
            Some(u64::try_from(millis).unwrap_or(u64::MAX))
        }
        None => None,
    };
    for (field, limit) in [("policy.max_records", policy.max_records), ("policy.max_bytes", policy.max_bytes)] {
        if limit == Some(0) {
            return Err(Error::invalid(field, "must be greater than zero; leave it out for no limit"));
        }
    }
    Ok([age, policy.max_records, policy.max_bytes])
}

fn policy([age, records, bytes]: [Option<u64>; 3]) -> RetentionPolicy {
    let max_age = age.map(|millis| time::duration(i64::try_from(millis).unwrap_or(i64::MAX)));
    RetentionPolicy { max_age, max_records: records, max_bytes: bytes }
}

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, context: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let limits = limits(&request.policy.unwrap_or_default())?;
        let mut call = self.script_with(&RETAIN, &request.stream, &self.policies()).arg(&request.stream);
        for limit in limits {
            call.push(limit.map(|limit| limit.to_string()).unwrap_or_default());
        }
        self.call(context, &call).await?;
        Ok(SetRetentionResponse { policy: Some(policy(limits)) })
    }

    async fn get_retention(&self, context: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let ends = self.ends(context, &request.stream).await?;
        Ok(GetRetentionResponse {
            policy: Some(policy(ends.policy)),
            first_offset: ends.first_record.map(|id| id.0),
            records: Some(ends.records),
            bytes: Some(ends.bytes),
        })
    }

    async fn compact(&self, context: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check::name("stream", &request.stream)?;
        let mut removed = self.trim(context, &request.stream).await?;
        if request.by_key {
            removed += self.keep_last(context, &request.stream).await?;
        }
        let first = self.ends(context, &request.stream).await?.first_record;
        Ok(CompactResponse { removed: Some(removed), first_offset: first.map(|id| id.0) })
    }
}
