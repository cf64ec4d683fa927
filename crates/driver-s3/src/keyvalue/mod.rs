//! KeyValue: one object for each value.
//!
//! An object begins with 32 bytes: revision, revision of the creation, version and flags, each in eight bytes (big-endian). The value follows. So
//! each write changes the ETag, even if the value stays the same, and the ETag decides which of several concurrent writes comes first.
//!
//! Every write reads the numbers of the key first, and is conditional on the ETag that it has read. A revision is the time in nanoseconds, or one
//! more than the revision before, whichever is greater. So revisions of different keys, and of a key that was deleted between, increase only as
//! far as the clocks of the gateways agree.

mod basic;
mod batch;
mod cas;
mod scan;

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::primitives::ByteStream;
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    bucket::Bucket,
    error::{Meaning, contended, map_error, map_stream_error, meaning},
    keys::{MAX_ESCAPED_KEY, escape},
};
use prism_call::{
    Error,
    proto::{Interfaces, models::keyvalue::v1::Entry},
};
use prism_driver::{Limits, keyvalue::EntryMetadata, transactions::Numbers};

/// Bytes before the value.
const HEADER: usize = 32;
/// How often a write is tried while others write the same key.
const ATTEMPTS: u32 = 24;
/// Longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_millis(200);
/// Number of locks for the writes of this process. Keys share them.
const LOCKS: usize = 64;

/// The key-value interfaces over one keyspace.
pub struct KeyValue {
    bucket: Arc<Bucket>,
    folder: String,
    limits: Limits,
    /// Writes of one key in this process wait for each other, so that they don't disturb each other.
    locks: Vec<Mutex<()>>,
}

/// The cost of `keyvalue_scan`, for capabilities.
pub const SCAN_COST: &str = "one request for each 1000 keys, and one for each entry, 8 at a time; a count reads no entries";

/// Adds the key-value interfaces to those of a keyspace.
pub fn add(keyvalue: &Arc<KeyValue>, emulate_scan: bool, interfaces: &mut Interfaces) {
    interfaces.keyvalue_basic = Some(keyvalue.clone());
    interfaces.keyvalue_batch = Some(keyvalue.clone());
    interfaces.keyvalue_cas = Some(keyvalue.clone());
    if emulate_scan {
        interfaces.keyvalue_scan = Some(Arc::new(scan::Scan(keyvalue.clone())));
    }
}

/// A stored value without the value.
#[derive(Clone, Debug)]
struct Stored {
    numbers: Numbers,
    flags: u64,
    etag: Option<String>,
}

/// A write of a value.
struct Write<'a> {
    key: &'a [u8],
    value: &'a [u8],
    flags: u64,
}

/// The outcome of a conditional request.
enum Outcome<T> {
    Done(T),
    /// Another writer was faster.
    Changed,
}

impl KeyValue {
    pub fn new(bucket: Arc<Bucket>, folder: String) -> Self {
        let limits = Limits { max_key_bytes: bucket.limits.max_key_bytes.min(MAX_ESCAPED_KEY), ..bucket.limits };
        Self { bucket, folder, limits, locks: (0..LOCKS).map(|_| Mutex::new(())).collect() }
    }

    fn object(&self, key: &[u8]) -> String {
        format!("{}{}", self.folder, escape(key))
    }

    async fn lock(&self, key: &[u8]) -> MutexGuard<'_, ()> {
        let number = key.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        self.locks[number % LOCKS].lock().await
    }

    /// Reads an entry, or only its numbers.
    async fn read(&self, key: &[u8], with_value: bool) -> Result<Option<(Stored, Bytes)>, Error> {
        self.bucket.check_open()?;
        let get = self.bucket.client.get_object().bucket(&self.bucket.name).key(self.object(key));
        let get = get.set_range((!with_value).then(|| format!("bytes=0-{}", HEADER - 1)));
        let got = match get.send().await {
            Ok(got) => got,
            Err(error) if meaning(&error) == Meaning::Missing => return Ok(None),
            Err(error) => return Err(map_error(error)),
        };
        let content = got.body.collect().await.map_err(map_stream_error)?.into_bytes();
        let (numbers, flags) = decode(&content).ok_or_else(|| Error::internal("an object below the values is none of this driver"))?;
        Ok(Some((Stored { numbers, flags, etag: got.e_tag }, content.slice(HEADER..))))
    }

    async fn numbers(&self, key: &[u8]) -> Result<Option<Stored>, Error> {
        Ok(self.read(key, false).await?.map(|(stored, _)| stored))
    }

    /// Writes a value over the one that was read. Returns the new revision.
    async fn put(&self, write: &Write<'_>, current: Option<&Stored>) -> Result<Outcome<u64>, Error> {
        let revision = self.bucket.clock.revision(current.map_or(0, |stored| stored.numbers.revision));
        let numbers = match current {
            Some(stored) => Numbers { revision, create_revision: stored.numbers.create_revision, version: stored.numbers.version + 1 },
            None => Numbers { revision, create_revision: revision, version: 1 },
        };
        let put = self.bucket.careful.put_object().bucket(&self.bucket.name).key(self.object(write.key));
        let put = match current {
            Some(stored) => put.set_if_match(stored.etag.clone()),
            None => put.if_none_match("*"),
        };
        match put.body(ByteStream::from(encode(numbers, write.flags, write.value))).send().await {
            Ok(_) => Ok(Outcome::Done(revision)),
            Err(error) if matches!(meaning(&error), Meaning::ConditionFailed | Meaning::Missing) => Ok(Outcome::Changed),
            Err(error) => Err(map_error(error)),
        }
    }

    /// Writes a value. With `expected`, only if the key has this revision (0: if it does not exist); otherwise returns the current one.
    async fn write(&self, write: Write<'_>, expected: Option<u64>) -> Result<Result<u64, u64>, Error> {
        let _guard = self.lock(write.key).await;
        for attempt in 0..ATTEMPTS {
            let current = self.numbers(write.key).await?;
            let revision = current.as_ref().map_or(0, |stored| stored.numbers.revision);
            if expected.is_some_and(|expected| expected != revision) {
                return Ok(Err(revision));
            }
            match self.put(&write, current.as_ref()).await? {
                Outcome::Done(revision) => return Ok(Ok(revision)),
                Outcome::Changed => pause(attempt).await,
            }
        }
        Err(contended())
    }

    /// Deletes a key. With `expected`, only if it has this revision. Returns whether it did, and the revision that the key had.
    async fn remove(&self, key: &[u8], expected: Option<u64>) -> Result<(bool, u64), Error> {
        let _guard = self.lock(key).await;
        for attempt in 0..ATTEMPTS {
            let Some(current) = self.numbers(key).await? else { return Ok((false, 0)) };
            let revision = current.numbers.revision;
            if expected.is_some_and(|expected| expected != revision) {
                return Ok((false, revision));
            }
            let delete = self.bucket.careful.delete_object().bucket(&self.bucket.name).key(self.object(key));
            match delete.set_if_match(current.etag).send().await {
                Ok(_) => return Ok((true, revision)),
                Err(error) if matches!(meaning(&error), Meaning::ConditionFailed | Meaning::Missing) => pause(attempt).await,
                Err(error) => return Err(map_error(error)),
            }
        }
        Err(contended())
    }
}

/// Waits before the next attempt: longer each time, with jitter.
async fn pause(attempt: u32) {
    let longest = Duration::from_millis(2 << attempt.min(7)).min(MAX_PAUSE);
    tokio::time::sleep(longest.mul_f64(rand::random_range(0.5..1.0))).await;
}

fn encode(numbers: Numbers, flags: u64, value: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER + value.len());
    for number in [numbers.revision, numbers.create_revision, numbers.version, flags] {
        out.put_u64(number);
    }
    out.put_slice(value);
    out.freeze()
}

fn decode(content: &[u8]) -> Option<(Numbers, u64)> {
    let mut rest = content;
    let mut number = || {
        let (first, behind) = rest.split_first_chunk::<8>()?;
        rest = behind;
        Some(u64::from_be_bytes(*first))
    };
    let (revision, create_revision, version, flags) = (number()?, number()?, number()?, number()?);
    Some((Numbers { revision, create_revision, version }, flags))
}

impl Stored {
    fn into_entry(self, key: Bytes, value: Bytes) -> Entry {
        EntryMetadata { numbers: self.numbers, expires: None, flags: self.flags }.into_entry(key, value)
    }
}
