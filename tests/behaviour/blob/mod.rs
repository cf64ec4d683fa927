//! The blob interfaces.

mod basic;
mod conditional;
mod gateways;
mod list;
mod streams;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use prism::{
    call::{Error, Messages},
    proto::models::blob::v1::{
        BlobCondition, BlobMetadata, ByteRange, CompareAndPutRequest, CompareAndPutResponse, ConditionalBlob, DeleteRequest, FoundBlob,
        GetRequest, GetResponse, HeadRequest, ListRequest, ListResponse, NewBlob, PutRequest, PutResponse, blob_condition::Test,
        compare_and_put_request, get_response, put_request::Part,
    },
};

use crate::{subject::Subject, suite::Suite};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[&basic::SUITE, &conditional::SUITE, &gateways::SUITE, &list::SUITE, &streams::SUITE];

/// Keys that are valid and unusual.
const STRANGE_KEYS: &[&str] = &[
    "a/b/c",
    "a//b",
    "/",
    "//",
    ".",
    "..",
    "../../etc/passwd",
    "a/../b",
    ".hidden",
    "UPPER",
    "upper",
    "Upper",
    "a b",
    " ",
    "%2f",
    "%",
    "a+b",
    "a?b#c&d=e",
    "~tilde",
    "quote\"'<>&",
    "back\\slash",
    "tab\tnewline\n",
    "größe",
    "gro\u{0308}ße",
    "日本語/ファイル",
    "🦀",
    "con",
    "a.",
    "*",
];

/// A blob without content type and attributes.
fn new(key: &str) -> NewBlob {
    NewBlob { key: key.to_owned(), ..NewBlob::default() }
}

/// The messages of a write.
fn messages(blob: NewBlob, chunks: Vec<Bytes>) -> Messages<PutRequest> {
    let chunks = chunks.into_iter().map(Part::Chunk);
    Box::pin(stream::iter(std::iter::once(Part::Blob(blob)).chain(chunks).map(|part| Ok(PutRequest { part: Some(part) }))))
}

fn condition(test: Test) -> BlobCondition {
    BlobCondition { test: Some(test) }
}

/// The result of a read.
struct Read {
    found: FoundBlob,
    content: Vec<u8>,
}

impl Read {
    fn metadata(&self) -> &BlobMetadata {
        self.found.metadata.as_ref().expect("the first message has the metadata")
    }
}

/// Reads a stream to its end. `None`: the key does not exist.
async fn read(mut stream: Messages<GetResponse>) -> Result<Option<Read>, Error> {
    let Some(first) = stream.next().await else { return Ok(None) };
    let Some(get_response::Part::Found(found)) = first?.part else { panic!("the first message has no metadata") };
    let mut content = Vec::new();
    while let Some(message) = stream.next().await {
        let Some(get_response::Part::Chunk(chunk)) = message?.part else { panic!("a later message has no chunk") };
        assert!(!chunk.is_empty() && chunk.len() <= 1 << 20, "a chunk of {} bytes", chunk.len());
        content.extend_from_slice(&chunk);
    }
    assert_eq!(content.len() as u64, found.length);
    Ok(Some(Read { found, content }))
}

/// Short forms of the calls that most cases make.
impl Subject {
    async fn put(&self, key: &str, content: &[u8]) -> PutResponse {
        self.try_put(new(key), vec![Bytes::copy_from_slice(content)]).await.unwrap()
    }

    async fn try_put(&self, blob: NewBlob, chunks: Vec<Bytes>) -> Result<PutResponse, Error> {
        self.blob_basic().put(&self.context, messages(blob, chunks)).await
    }

    async fn try_get(&self, key: &str, range: Option<ByteRange>, etag: &str) -> Result<Option<Read>, Error> {
        let request = GetRequest { key: key.to_owned(), range, etag: etag.to_owned() };
        read(self.blob_basic().get(&self.context, request).await?).await
    }

    async fn content(&self, key: &str) -> Option<Vec<u8>> {
        self.try_get(key, None, "").await.unwrap().map(|read| read.content)
    }

    async fn head(&self, key: &str) -> Option<BlobMetadata> {
        self.blob_basic().head(&self.context, HeadRequest { key: key.to_owned() }).await.unwrap().metadata
    }

    async fn remove(&self, key: &str) -> Option<bool> {
        self.blob_basic().delete(&self.context, DeleteRequest { key: key.to_owned() }).await.unwrap().deleted
    }

    async fn put_if(&self, key: &str, content: &[u8], test: Test) -> CompareAndPutResponse {
        let blob = ConditionalBlob { blob: Some(new(key)), condition: Some(condition(test)) };
        let parts = [compare_and_put_request::Part::Blob(blob), compare_and_put_request::Part::Chunk(Bytes::copy_from_slice(content))];
        let request = Box::pin(stream::iter(parts.map(|part| Ok(CompareAndPutRequest { part: Some(part) }))));
        self.blob_conditional().compare_and_put(&self.context, request).await.unwrap()
    }

    async fn list(&self, request: ListRequest) -> ListResponse {
        self.blob_list().list(&self.context, request).await.unwrap()
    }
}
