//! KeyValue: each operation on several Redis keys is a script in `lua/`.

mod basic;
mod batch;
mod cas;
mod scan;
mod transactional;
mod ttl;
mod watch;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use redis::Value;

use self::watch::Watch;
use crate::{
    blocking::BlockingConnections,
    client::Client,
    error,
    keys::KeyNames,
    pubsub::Hub,
    reply,
    script::{LuaScript, ScriptCall},
};
use prism_call::{
    Context, Error,
    proto::{Interfaces, models::keyvalue::v1::Entry},
};
use prism_driver::{
    Limits,
    keyvalue::EntryMetadata,
    time::{self, Millis},
    transactions::{Numbers, Transactions},
};

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(static $name: LazyLock<LuaScript> = LazyLock::new(|| LuaScript::new(&[include_str!("lua/prelude.lua"), include_str!($file)]));)*
    };
}

scripts! {
    SET = "lua/set.lua";
    DELETE = "lua/delete.lua";
    SWAP = "lua/swap.lua";
    REMOVE = "lua/remove.lua";
    EXPIRE = "lua/expire.lua";
    TTL = "lua/ttl.lua";
    SCAN = "lua/scan.lua";
    COUNT = "lua/count.lua";
    TRANSACT = "lua/transact.lua";
    WATCH_READ = "lua/watch_read.lua";
    WATCH_START = "lua/watch_start.lua";
}

/// First byte of the expiration of an entry that also has a create revision, a version and flags.
const COMPLETE: u8 = 0x80;

/// The key-value interfaces over one keyspace.
#[derive(Clone)]
pub struct KeyValue {
    client: Arc<Client>,
    keys: Arc<KeyNames>,
    limits: Limits,
}

/// Adds the key-value interfaces to those of a keyspace.
pub fn add(keyvalue: &Arc<KeyValue>, hub: &Arc<Hub>, blocking: &Arc<BlockingConnections>, interfaces: &mut Interfaces) {
    interfaces.keyvalue_basic = Some(keyvalue.clone());
    interfaces.keyvalue_scan = Some(keyvalue.clone());
    interfaces.keyvalue_ttl = Some(keyvalue.clone());
    interfaces.keyvalue_batch = Some(keyvalue.clone());
    interfaces.keyvalue_cas = Some(keyvalue.clone());
    interfaces.keyvalue_transactional = Some(Arc::new(Transactions::new(keyvalue.clone())));
    interfaces.keyvalue_watch = Some(Arc::new(Watch::new(KeyValue::clone(keyvalue), hub.clone(), blocking.clone())));
}

impl KeyValue {
    pub fn new(client: Arc<Client>, keys: Arc<KeyNames>, limits: Limits) -> Self {
        Self { client, keys, limits }
    }

    /// A call of a script with the Redis keys of the keyspace. The arguments of the script follow.
    fn script(&self, lua: &'static LazyLock<LuaScript>) -> ScriptCall {
        let KeyNames { revision, index, expirations, watch, changes, .. } = &*self.keys;
        lua.call(&[revision, index, expirations, watch, changes]).arg(&self.keys.value_prefix[..])
    }

    async fn call(&self, context: &Context, call: &ScriptCall) -> Result<Value, Error> {
        self.client.call(context, call).await
    }
}

/// The bytes before a stored value. The documentation of the crate has the layout.
struct StoredHeader {
    metadata: EntryMetadata,
    /// Its length, which is the position of the value.
    bytes: usize,
}

impl StoredHeader {
    fn parse(stored: &[u8]) -> Result<Self, Error> {
        let field = |index: usize| stored.get(8 * index..8 * index + 8).ok_or_else(error::foreign_value);
        let number = |index: usize| reply::big_endian(field(index)?);
        let (revision, expires) = (number(0)?, parse_expiration(field(1)?)?);
        match stored.get(8) {
            Some(&COMPLETE) => {
                let numbers = Numbers { revision, create_revision: number(2)?, version: number(3)? };
                Ok(Self { metadata: EntryMetadata { numbers, expires, flags: number(4)? }, bytes: 40 })
            }
            // Written by an older Prism, which stored only these fields. It counts as the first write of its key.
            Some(0) => {
                let numbers = Numbers { revision, create_revision: revision, version: 1 };
                Ok(Self { metadata: EntryMetadata { numbers, expires, flags: 0 }, bytes: 16 })
            }
            _ => Err(error::foreign_value()),
        }
    }
}

/// Decodes an entry from a stored value.
fn parse_entry(key: Bytes, stored: &Bytes) -> Result<Entry, Error> {
    let StoredHeader { metadata, bytes } = StoredHeader::parse(stored)?;
    Ok(metadata.into_entry(key, stored.slice(bytes..)))
}

/// Decodes an expiration; 0 = none. Its first byte is that of the layout.
fn parse_expiration(bytes: &[u8]) -> Result<Option<Millis>, Error> {
    match Millis::try_from(reply::big_endian(bytes)? & (u64::MAX >> 8)) {
        Ok(0) => Ok(None),
        Ok(millis) => Ok(Some(millis)),
        Err(_) => Err(error::foreign_value()),
    }
}

/// A time to live in milliseconds, rounded up, for a script; 0 = never expires. A problem is `INVALID_ARGUMENT INVALID_TTL`.
fn ttl_millis(field: impl std::fmt::Display, ttl: Option<&prost_types::Duration>) -> Result<u64, Error> {
    time::expiry_at(field, ttl)?;
    // It was checked: greater than zero and at most 100 years.
    Ok(ttl.map_or(0, |ttl| {
        let millis = i128::from(ttl.seconds) * 1000 + (i128::from(ttl.nanos) + 999_999) / 1_000_000;
        u64::try_from(millis).unwrap_or(1).max(1)
    }))
}
