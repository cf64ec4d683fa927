//! `stream_basic`, `stream_consumer_groups`, `stream_replay` and `stream_retention` over Redis Streams.
//!
//! A stream has one partition. The id `ms-n` of a record, which Redis makes of its clock, is the offset `ms << 20 | n`: both
//! have the same order, and offsets have gaps. A record is the fields `p` (payload), `k` (key, if any) and `a:NAME` for each
//! attribute. Limits of number and size are applied with each append, that of age at least every 30 seconds.
//!
//! A member of a group is a Redis consumer named `ACK_TIMEOUT|RANDOM|NAME`, so that every gateway knows from the name when its
//! deliveries are overdue. What a member held when it left waits under the name `0||`.

mod basic;
mod groups;
mod member;
mod offset;
mod reader;
mod record;
mod replay;
mod retention;
mod waiting;

use std::sync::{Arc, LazyLock};

use redis::Value;

pub use retention::Sweeper;
pub use waiting::Waiting;

use self::offset::Id;
use super::{
    client::Client,
    keys::Keys,
    pubsub::Hub,
    reply,
    script::{Invocation, Lua},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::Limits;

macro_rules! scripts {
    ($($name:ident = $($file:literal),+;)*) => {
        $(static $name: LazyLock<Lua> = LazyLock::new(|| Lua::new(&[include_str!("lua/prelude.lua"), $(include_str!($file)),+]));)*
    };
}

scripts! {
    APPEND = "lua/append.lua";
    READ = "lua/read.lua";
    ENDS = "lua/ends.lua";
    RETAIN = "lua/retain.lua";
    TRIM = "lua/trim.lua";
    COMPACT = "lua/compact.lua";
    CREATE = "lua/group.lua", "lua/create.lua";
    DESTROY = "lua/group.lua", "lua/destroy.lua";
    ACK = "lua/group.lua", "lua/ack.lua";
    TAKE = "lua/group.lua", "lua/take.lua";
    LEAVE = "lua/group.lua", "lua/leave.lua";
    INFO = "lua/group.lua", "lua/info.lua";
    SEEK = "lua/group.lua", "lua/seek.lua";
}

/// The streams of one keyspace.
#[derive(Clone)]
pub struct Streams {
    client: Arc<Client>,
    hub: Arc<Hub>,
    waiting: Arc<Waiting>,
    keys: Arc<Keys>,
    limits: Limits,
}

/// Adds the stream interfaces to those of a keyspace.
pub fn add(streams: &Arc<Streams>, interfaces: &mut Interfaces) {
    interfaces.stream_basic = Some(streams.clone());
    interfaces.stream_consumer_groups = Some(streams.clone());
    interfaces.stream_replay = Some(streams.clone());
    interfaces.stream_retention = Some(streams.clone());
}

/// Where a stream begins and ends, and its policy.
struct Ends {
    /// The last id that was ever given out.
    last: Id,
    /// The last record that is there.
    last_record: Option<Id>,
    /// The first record that is there.
    first_record: Option<Id>,
    records: u64,
    bytes: u64,
    /// max_age in milliseconds, max_records, max_bytes.
    policy: [Option<u64>; 3],
}

impl Streams {
    pub fn new(client: Arc<Client>, hub: Arc<Hub>, waiting: Arc<Waiting>, keys: Arc<Keys>, limits: Limits) -> Self {
        Self { client, hub, waiting, keys, limits }
    }

    fn stream_key(&self, stream: &str) -> Vec<u8> {
        self.keys.named("stream", stream)
    }

    /// Begins a call of a script; its own arguments follow.
    fn script(&self, lua: &'static LazyLock<Lua>, stream: &str) -> Invocation {
        lua.call(&[&self.stream_key(stream), &self.keys.named("meta", stream)])
    }

    /// The same with one more key.
    fn script_with(&self, lua: &'static LazyLock<Lua>, stream: &str, key: &[u8]) -> Invocation {
        lua.call(&[&self.stream_key(stream), &self.keys.named("meta", stream), key])
    }

    async fn call(&self, context: &Context, call: &Invocation) -> Result<Value, Error> {
        self.client.call(context, call).await
    }

    async fn ends(&self, context: &Context, stream: &str) -> Result<Ends, Error> {
        let answer = self.call(context, &self.script(&ENDS, stream)).await?;
        let [last, last_record, first_record, records, bytes, age, count, size] = reply::exactly(answer)?;
        Ok(Ends {
            last: Id::read(&last)?.unwrap_or_default(),
            last_record: Id::read(&last_record)?,
            first_record: Id::read(&first_record)?,
            records: reply::count(&records)?,
            bytes: reply::count(&bytes)?,
            policy: [limit(age)?, limit(count)?, limit(size)?],
        })
    }
}

/// A limit of a policy; empty = none.
fn limit(value: Value) -> Result<Option<u64>, Error> {
    let text = reply::some_bytes(value)?;
    if text.is_empty() { Ok(None) } else { reply::count(&Value::BulkString(text.into())).map(Some) }
}
