//! Stream over Redis Streams.
//!
//! A stream has one partition. Redis creates the id `ms-n` of a record from its clock; the offset is `ms << 20 | n`. Both have the
//! same order, and offsets have gaps. The fields of a record are `p` (payload), `k` (key, if any) and `a:NAME` for each attribute.
//! Each append applies the limits of number and size; the limit of age is applied at least every 30 seconds.
//!
//! A member of a group is a Redis consumer with the name `ACK_TIMEOUT|RANDOM|NAME`, so every gateway knows from the name when its
//! deliveries expire. Deliveries of a member that has left belong to the consumer `0||` until another member takes them.

mod basic;
mod consumer_groups;
mod member;
mod reader;
mod record;
mod record_id;
mod replay;
mod retention;
mod waiting;

use std::sync::{Arc, LazyLock};

use redis::Value;

pub use record_id::RecordId;
pub use retention::RetentionSweeper;

use crate::{
    blocking::BlockingConnections,
    client::Client,
    keys::KeyNames,
    pubsub::Hub,
    reply,
    script::{LuaScript, ScriptCall},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{Limits, stream::RetentionLimits};

macro_rules! scripts {
    ($($name:ident = $($file:literal),+;)*) => {
        $(static $name: LazyLock<LuaScript> = LazyLock::new(|| LuaScript::new(&[include_str!("lua/prelude.lua"), $(include_str!($file)),+]));)*
    };
}

scripts! {
    APPEND = "lua/append.lua";
    READ = "lua/read.lua";
    STREAM_INFO = "lua/stream_info.lua";
    RETAIN = "lua/retain.lua";
    TRIM = "lua/trim.lua";
    COMPACT = "lua/compact.lua";
    CREATE = "lua/group.lua", "lua/create.lua";
    DESTROY = "lua/group.lua", "lua/destroy.lua";
    ACK = "lua/group.lua", "lua/ack.lua";
    TAKE = "lua/group.lua", "lua/take.lua";
    LEAVE = "lua/group.lua", "lua/leave.lua";
    GROUP_INFO = "lua/group.lua", "lua/group_info.lua";
    SEEK = "lua/group.lua", "lua/seek.lua";
}

/// The stream interfaces over one keyspace.
#[derive(Clone)]
pub struct Streams {
    client: Arc<Client>,
    hub: Arc<Hub>,
    blocking: Arc<BlockingConnections>,
    keys: Arc<KeyNames>,
    limits: Limits,
}

/// Adds the stream interfaces to those of a keyspace.
pub fn add(streams: &Arc<Streams>, interfaces: &mut Interfaces) {
    interfaces.stream_basic = Some(streams.clone());
    interfaces.stream_consumer_groups = Some(streams.clone());
    interfaces.stream_replay = Some(streams.clone());
    interfaces.stream_retention = Some(streams.clone());
}

/// The first and last records of a stream, its size and its retention limits.
struct StreamInfo {
    /// The last id that a record ever got; the record may have been removed.
    last: RecordId,
    /// The last record that exists.
    last_record: Option<RecordId>,
    /// The first record that exists.
    first_record: Option<RecordId>,
    records: u64,
    bytes: u64,
    retention: RetentionLimits,
}

impl Streams {
    pub fn new(client: Arc<Client>, hub: Arc<Hub>, blocking: Arc<BlockingConnections>, keys: Arc<KeyNames>, limits: Limits) -> Self {
        Self { client, hub, blocking, keys, limits }
    }

    fn stream_key(&self, stream: &str) -> Vec<u8> {
        self.keys.named("stream", stream)
    }

    /// A call of a script with the Redis keys of a stream. The arguments of the script follow.
    fn script(&self, lua: &'static LazyLock<LuaScript>, stream: &str) -> ScriptCall {
        lua.call(&[&self.stream_key(stream), &self.keys.named("meta", stream)])
    }

    /// The same with one more Redis key.
    fn script_with(&self, lua: &'static LazyLock<LuaScript>, stream: &str, key: &[u8]) -> ScriptCall {
        lua.call(&[&self.stream_key(stream), &self.keys.named("meta", stream), key])
    }

    async fn call(&self, context: &Context, call: &ScriptCall) -> Result<Value, Error> {
        self.client.call(context, call).await
    }

    async fn stream_info(&self, context: &Context, stream: &str) -> Result<StreamInfo, Error> {
        let reply = self.call(context, &self.script(&STREAM_INFO, stream)).await?;
        let [last, last_record, first_record, records, bytes, max_age, max_records, max_bytes] = reply::fixed_list(reply)?;
        Ok(StreamInfo {
            last: RecordId::parse(&last)?.unwrap_or_default(),
            last_record: RecordId::parse(&last_record)?,
            first_record: RecordId::parse(&first_record)?,
            records: reply::count(&records)?,
            bytes: reply::count(&bytes)?,
            retention: RetentionLimits {
                max_age: limit(max_age)?.map(|age| i64::try_from(age).unwrap_or(i64::MAX)),
                max_records: limit(max_records)?,
                max_bytes: limit(max_bytes)?,
            },
        })
    }
}

/// A retention limit; empty = none.
fn limit(value: Value) -> Result<Option<u64>, Error> {
    let text = reply::required_bytes(value)?;
    if text.is_empty() { Ok(None) } else { reply::count(&Value::BulkString(text.into())).map(Some) }
}
