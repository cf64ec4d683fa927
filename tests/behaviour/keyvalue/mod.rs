//! The key-value interfaces.

mod basic;
mod batch;
mod cas;
mod facts;
mod gateways;
mod model;
mod scan;
mod transact;
mod transactional;
mod ttl;
mod watch;
mod watch_cursors;
mod watch_gateways;

use bytes::Bytes;
use prism::proto::models::keyvalue::v1::{
    CountRequest, DeleteRequest, DeleteResponse, Entry, ExistsRequest, GetRequest, GetTtlRequest, GetTtlResponse, ScanRequest, SetRequest,
};

use crate::{subject::Subject, suite::Suite, support::all};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[
    &basic::SUITE,
    &batch::SUITE,
    &cas::SUITE,
    &facts::SUITE,
    &gateways::SUITE,
    &model::SUITE,
    &scan::SUITE,
    &transact::SUITE,
    &transactional::SUITE,
    &ttl::SUITE,
    &watch::SUITE,
    &watch_cursors::SUITE,
    &watch_gateways::SUITE,
];

/// Short forms of the calls that most cases make.
impl Subject {
    async fn set(&self, key: &[u8], value: &[u8]) -> u64 {
        self.set_with(key, value, None).await
    }

    async fn set_with(&self, key: &[u8], value: &[u8], ttl: Option<prost_types::Duration>) -> u64 {
        let request = SetRequest { key: copy(key), value: copy(value), ttl, flags: 0 };
        self.keyvalue_basic().set(&self.context, request).await.unwrap().revision
    }

    async fn entry(&self, key: &[u8]) -> Option<Entry> {
        self.keyvalue_basic().get(&self.context, GetRequest { key: copy(key) }).await.unwrap().entry
    }

    /// Returns the value as text.
    async fn value(&self, key: &[u8]) -> Option<String> {
        self.entry(key).await.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
    }

    async fn exists(&self, key: &[u8]) -> bool {
        self.keyvalue_basic().exists(&self.context, ExistsRequest { key: copy(key) }).await.unwrap().exists
    }

    async fn delete(&self, key: &[u8]) -> DeleteResponse {
        self.keyvalue_basic().delete(&self.context, DeleteRequest { key: copy(key) }).await.unwrap()
    }

    async fn ttl(&self, key: &[u8]) -> GetTtlResponse {
        self.keyvalue_ttl().get_ttl(&self.context, GetTtlRequest { key: copy(key) }).await.unwrap()
    }

    async fn count(&self, request: CountRequest) -> u64 {
        self.keyvalue_scan().count(&self.context, request).await.unwrap().count
    }

    async fn scan(&self, request: ScanRequest) -> Vec<Entry> {
        let answers = all(self.keyvalue_scan().scan(&self.context, request).await.unwrap()).await;
        answers.into_iter().map(|answer| answer.entry.expect("each answer has an entry")).collect()
    }

    /// Returns all keys, in the order of the scan.
    async fn keys(&self) -> Vec<Bytes> {
        self.scan(ScanRequest::default()).await.into_iter().map(|entry| entry.key).collect()
    }
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Keys that are hard for encodings and orders: zero bytes, the ends of the byte range, wildcards and separators of backends, text beyond
/// ASCII, invalid UTF-8.
const STRANGE_KEYS: &[&[u8]] = &[
    b"\0",
    b"\0\0",
    b"\0\xff",
    b" ",
    b"%",
    b"*?[a-z]",
    b"/",
    b"\\",
    b"_",
    b"a",
    b"a\0",
    b"a\0b",
    b"a/b",
    b"a:b",
    b"ab",
    b"{a}",
    "gr\u{f6}\u{df}e".as_bytes(),
    "\u{6771}\u{4eac}".as_bytes(),
    "\u{1f980}".as_bytes(),
    b"\xc3\x28",
    b"\xfe",
    b"\xff",
    b"\xff\0",
    b"\xff\xff",
];
