//! `stream_retention`: scripts remove the records that exceed the limits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::{COMPACT, RETAIN, Streams, TRIM};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, SetRetentionRequest, SetRetentionResponse,
        StreamRetention,
    },
};
use prism_driver::{Keyspace, check, id, lock::lock, stream::RetentionLimits};

/// Most records that one script visits.
const RECORDS_PER_SCRIPT: u64 = 256;
/// How often retention is applied to all streams, at the latest.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

impl Streams {
    /// Removes the records that exceed the limits, and returns how many.
    async fn trim(&self, context: &Context, stream: &str) -> Result<u64, Error> {
        let call = self.script(&TRIM, stream).arg(RECORDS_PER_SCRIPT);
        let mut removed = 0;
        loop {
            let step = reply::count(&self.call(context, &call).await?)?;
            removed += step;
            if step == 0 {
                return Ok(removed);
            }
        }
    }

    /// Removes records that have a later record with the same key, and returns how many.
    async fn compact_by_key(&self, context: &Context, stream: &str) -> Result<u64, Error> {
        // Each call has its own set of keys: two calls with one set would remove the last records of each other.
        let seen = self.keys.named("compacting", format!("{stream}:{}", id::random_text()));
        let (mut removed, mut end) = (0, "+".to_owned());
        while !end.is_empty() {
            let call = self.script_with(&COMPACT, stream, &seen).arg(end).arg(RECORDS_PER_SCRIPT);
            let [step, next] = reply::fixed_list(self.call(context, &call).await?)?;
            removed += reply::count(&step)?;
            end = String::from_utf8_lossy(&reply::required_bytes(next)?).into_owned();
        }
        Ok(removed)
    }

    /// The Redis key of the set of streams with a retention policy.
    fn policies(&self) -> Vec<u8> {
        self.keys.named("policies", "")
    }

    /// Applies retention to all streams of the keyspace.
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
pub struct RetentionSweeper(Mutex<HashMap<Keyspace, Arc<Streams>>>);

impl RetentionSweeper {
    pub fn add(&self, keyspace: &Keyspace, streams: &Arc<Streams>) {
        lock(&self.0).insert(keyspace.clone(), streams.clone());
    }

    /// Runs until its task is aborted.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL.mul_f64(rand::random_range(0.5..=1.0))).await;
            let all: Vec<_> = lock(&self.0).iter().map(|(k, s)| (k.clone(), s.clone())).collect();
            for (keyspace, streams) in all {
                if let Err(error) = streams.sweep(&Context::internal(keyspace.namespace)).await {
                    tracing::debug!(%error, "retention could not be applied; the next sweep tries again");
                    break;
                }
            }
        }
    }
}

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, context: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let limits = RetentionLimits::parse(request.policy)?;
        let mut call = self.script_with(&RETAIN, &request.stream, &self.policies()).arg(&request.stream);
        call.push(limits.max_age.map(|age| age.to_string()).unwrap_or_default());
        for limit in [limits.max_records, limits.max_bytes] {
            call.push(limit.map(|limit| limit.to_string()).unwrap_or_default());
        }
        self.call(context, &call).await?;
        Ok(SetRetentionResponse { policy: Some(limits.into()) })
    }

    async fn get_retention(&self, context: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let info = self.stream_info(context, &request.stream).await?;
        Ok(GetRetentionResponse {
            policy: Some(info.retention.into()),
            first_offset: info.first_record.map(|id| id.0),
            records: Some(info.records),
            bytes: Some(info.bytes),
        })
    }

    async fn compact(&self, context: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check::name("stream", &request.stream)?;
        let mut removed = self.trim(context, &request.stream).await?;
        if request.by_key {
            removed += self.compact_by_key(context, &request.stream).await?;
        }
        let first = self.stream_info(context, &request.stream).await?.first_record;
        Ok(CompactResponse { removed: Some(removed), first_offset: first.map(|id| id.0) })
    }
}
