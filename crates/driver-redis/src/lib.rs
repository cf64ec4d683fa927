//! The Redis driver, for Redis 6.2 and later and for compatible servers.
//!
//! # Keys
//!
//! All Redis keys of a keyspace start with `prism:{namespace/slot}:`. The braces are a hash tag: all keys of a keyspace are in
//! one slot of a cluster, so a script may use several of them. Names escape `%`, `/`, `{` and `}` as `%25` and so on.
//!
//! | Redis key | type | holds |
//! |---|---|---|
//! | `…:revision` | string | the last revision of the keyspace |
//! | `…:keys` | sorted set, all scores 0 | every key, for scans: members with the same score are in byte order |
//! | `…:expirations` | sorted set | keys that expire; the score is the time in milliseconds |
//! | `…:watch` | hash | the history of a keyspace that is watched; it and the changes expire an hour after the last watch |
//! | `…:changes` | stream | its last 10,000 changes, at most 64 MiB |
//! | `…:value:KEY` | string | 8 bytes revision, a byte 0x80, 7 bytes expiration (milliseconds since 1970, 0 = never), 8 bytes each of the revision that created the key, its version and its flags, then the value. If the byte is 0 instead of 0x80 (written by an older Prism), the value follows the expiration |
//! | `…:stream:NAME` | stream | records; the id `ms-n` is the offset `ms << 20 \| n` |
//! | `…:meta:NAME` | hash | the stream's retention, its size in bytes, and the last record that retention removed |
//! | `…:policies:` | set | names of the streams with a retention policy |
//! | `…:list:KEY` | list | the elements |
//! | `…:set:KEY` | set | the members |
//! | `…:sortedset:KEY` | sorted set | the members with their scores |
//! | `…:result:RANDOM` | set, sorted set | the result of an operation on several sets while it is read; expires after a minute |
//! | `…:topic:NAME` | channel | published messages as `prism.interfaces.pubsub.v1.Message` |
//!
//! Revision and expiration are stored before the value, so a Get is one plain `GET`. Each operation on several Redis keys is one
//! Lua script, which Redis runs atomically. Redis itself removes expired values. Each write removes a few of the expired keys
//! from `…:keys`; until then, scans skip them. The server should run with `maxmemory-policy noeviction`: a value that is
//! evicted is lost, and its key is counted until a scan visits it.
//!
//! # Connections
//!
//! Commands share a few multiplexed connections. All subscriptions share one connection. Each read that waits at the end of a
//! stream, and each pop that waits for an element, uses one connection from a bounded pool.

mod backend;
mod blocking;
mod client;
mod connection;
mod error;
mod keys;
mod keyvalue;
mod list;
mod pubsub;
mod reply;
mod script;
mod set;
mod settings;
mod sortedset;
mod stream;

use prism_driver::{Kind, check_settings, settings_schema};

use settings::RedisSettings;

/// The kind `redis`.
pub static KIND: Kind = Kind {
    name: "redis",
    interfaces: backend::interfaces,
    schema: settings_schema::<RedisSettings>,
    check: check_settings::<RedisSettings>,
    connect: backend::connect,
};
