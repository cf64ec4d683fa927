//! The Redis driver, for Redis 6.2 and later and what is compatible with it.
//!
//! # Keys
//!
//! Everything of a keyspace begins with `prism:{namespace/slot}:`. The braces are a hash tag: all keys of a keyspace lie in
//! one slot of a cluster, so that a script may touch several of them. Names escape `%`, `/`, `{` and `}` as `%25` and so on.
//!
//! | Redis key | type | holds |
//! |---|---|---|
//! | `…:revision` | string | the last revision that the keyspace gave out |
//! | `…:keys` | sorted set, all scores 0 | every key, for scans: members of one score lie in byte order |
//! | `…:expirations` | sorted set | keys that expire, by the millisecond at which they do |
//! | `…:value:KEY` | string | 8 bytes revision, a byte 0x80, 7 bytes expiration (milliseconds since 1970, 0 = never), 8 bytes each of the revision that created the key, its version and its flags, then the value. With a byte 0 instead of 0x80, as Prism once wrote it, the value follows on the expiration |
//! | `…:stream:NAME` | stream | records; the id `ms-n` is the offset `ms << 20 \| n` |
//! | `…:meta:NAME` | hash | the stream's retention, its size in bytes, and the last record that retention removed |
//! | `…:policies:` | set | names of the streams with a retention policy |
//! | `…:topic:NAME` | channel | published messages as `prism.interfaces.pubsub.v1.Message` |
//!
//! A value carries revision and expiration in front of it, so a Get is one plain `GET`. What touches several keys is one Lua
//! script, which Redis runs as one step. Redis itself removes an expired value in time; its key in `…:keys` goes with one of
//! the next writes, a few at a time, and scans leave it out until then. The server should run with `maxmemory-policy
//! noeviction`: a value that is evicted is lost, and is counted until a scan passes over it.
//!
//! # Connections
//!
//! Commands share a few multiplexed [`link`]s, subscriptions have one connection together, and reads that wait at the end of
//! a stream take one of a bounded number of their own.

mod backend;
mod client;
mod error;
mod keys;
mod keyvalue;
mod link;
mod pubsub;
mod reply;
mod script;
mod settings;
mod stream;

use prism_driver::Kind;

/// The kind `redis`.
pub static KIND: Kind = Kind { name: "redis", interfaces: backend::interfaces, schema: settings::schema, connect: backend::connect };
