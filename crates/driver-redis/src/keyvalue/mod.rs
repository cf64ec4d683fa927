//! All six key-value interfaces. What touches several Redis keys is a script in `lua/`.

mod basic;
mod batch;
mod cas;
mod scan;
mod transactional;
mod ttl;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use redis::Value;

use super::{
    client::Client,
    error,
    keys::Keys,
    reply,
    script::{Invocation, Lua},
};
use prism_call::{
    Context, Error,
    proto::{Interfaces, models::keyvalue::v1::Entry},
};
use prism_driver::{
    Limits,
    time::{self, Millis},
    transactions::{Numbers, Transactions},
};

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(static $name: LazyLock<Lua> = LazyLock::new(|| Lua::new(&[include_str!("lua/prelude.lua"), include_str!($file)]));)*
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
}

/// First byte of the expiration of an entry that has creation, version and flags behind it.
const COMPLETE: u8 = 0x80;

/// The key-value data of one keyspace.
#[derive(Clone)]
pub struct Store {
    client: Arc<Client>,
    keys: Arc<Keys>,
    limits: Limits,
}

/// Adds the key-value interfaces to those of a keyspace.
pub fn add(store: &Arc<Store>, interfaces: &mut Interfaces) {
    interfaces.keyvalue_basic = Some(store.clone());
    interfaces.keyvalue_scan = Some(store.clone());
    interfaces.keyvalue_ttl = Some(store.clone());
    interfaces.keyvalue_batch = Some(store.clone());
    interfaces.keyvalue_cas = Some(store.clone());
    interfaces.keyvalue_transactional = Some(Arc::new(Transactions::new(store.clone())));
}

impl Store {
    pub fn new(client: Arc<Client>, keys: Arc<Keys>, limits: Limits) -> Self {
        Self { client, keys, limits }
    }

    /// Begins a call of a script; its own arguments follow.
    fn script(&self, lua: &'static LazyLock<Lua>) -> Invocation {
        lua.call(&[&self.keys.revision, &self.keys.index, &self.keys.expirations]).arg(&self.keys.values[..])
    }

    async fn call(&self, context: &Context, call: &Invocation) -> Result<Value, Error> {
        self.client.call(context, call).await
    }
}

/// What stands in front of a stored value; the table is in the driver's module.
struct Head {
    numbers: Numbers,
    expires: Option<Millis>,
    flags: u64,
    /// Its own length: where the value begins.
    bytes: usize,
}

impl Head {
    fn of(stored: &[u8]) -> Result<Self, Error> {
        let field = |place: usize| stored.get(8 * place..8 * place + 8).ok_or_else(error::foreign);
        let number = |place: usize| reply::number(field(place)?);
        let (revision, expires) = (number(0)?, expiration(field(1)?)?);
        match stored.get(8) {
            Some(&COMPLETE) => {
                let numbers = Numbers { revision, create_revision: number(2)?, version: number(3)? };
                Ok(Self { numbers, expires, flags: number(4)?, bytes: 40 })
            }
            // Of an older Prism, which kept no more than this: to us it is the first write of its key.
            Some(0) => {
                let numbers = Numbers { revision, create_revision: revision, version: 1 };
                Ok(Self { numbers, expires, flags: 0, bytes: 16 })
            }
            _ => Err(error::foreign()),
        }
    }
}

/// The entry of a stored value.
fn entry(key: Bytes, stored: &Bytes) -> Result<Entry, Error> {
    let Head { numbers, expires, flags, bytes } = Head::of(stored)?;
    let Numbers { revision, create_revision, version } = numbers;
    let (value, expire_time) = (stored.slice(bytes..), expires.map(time::timestamp));
    Ok(Entry { key, value, revision, expire_time, flags, create_revision, version })
}

/// An expiration, of which 0 is none, behind a byte that tells the layout.
fn expiration(bytes: &[u8]) -> Result<Option<Millis>, Error> {
    match Millis::try_from(reply::number(bytes)? & (u64::MAX >> 8)) {
        Ok(0) => Ok(None),
        Ok(millis) => Ok(Some(millis)),
        Err(_) => Err(error::foreign()),
    }
}

/// A time to live in milliseconds, rounded up, for a script; 0 = forever. A problem is `INVALID_ARGUMENT INVALID_TTL`.
fn ttl_at(field: impl std::fmt::Display, ttl: Option<&prost_types::Duration>) -> Result<u64, Error> {
    time::expiry_at(field, ttl)?;
    // Checked: greater than zero and at most 100 years.
    Ok(ttl.map_or(0, |ttl| {
        let millis = i128::from(ttl.seconds) * 1000 + (i128::from(ttl.nanos) + 999_999) / 1_000_000;
        u64::try_from(millis).unwrap_or(1).max(1)
    }))
}
