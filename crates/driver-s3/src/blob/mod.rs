//! Blob: one object for each blob.

mod basic;
mod conditional;
mod list;
mod upload;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use aws_sdk_s3::{operation::head_object::HeadObjectOutput, primitives::DateTime};

use crate::{
    bucket::Bucket,
    error::{Meaning, map_error, meaning},
    keys::BlobKeys,
};
use prism_call::{
    Error,
    proto::{
        Interfaces,
        models::blob::v1::{BlobMetadata, NewBlob},
    },
};
use prism_driver::blob::check_key;

/// The blob interfaces over one keyspace.
pub struct Blobs {
    bucket: Arc<Bucket>,
    keys: BlobKeys,
}

/// Adds the blob interfaces to those of a keyspace.
pub fn add(blobs: &Arc<Blobs>, interfaces: &mut Interfaces) {
    interfaces.blob_basic = Some(blobs.clone());
    interfaces.blob_list = Some(blobs.clone());
    interfaces.blob_conditional = Some(blobs.clone());
}

impl Blobs {
    pub fn new(bucket: Arc<Bucket>, keys: BlobKeys) -> Self {
        Self { bucket, keys }
    }

    /// Checks a key, and returns the key of its object.
    fn object(&self, key: &str) -> Result<String, Error> {
        self.bucket.check_open()?;
        check_key(&self.bucket.limits, key)?;
        self.keys.check("key", key)?;
        Ok(self.keys.object(key))
    }

    /// Reads the metadata of a blob.
    async fn metadata(&self, key: &str) -> Result<Option<BlobMetadata>, Error> {
        let request = self.bucket.client.head_object().bucket(&self.bucket.name).key(self.object(key)?);
        let head: HeadObjectOutput = match request.send().await {
            Ok(head) => head,
            Err(error) if meaning(&error) == Meaning::Missing => return Ok(None),
            Err(error) => return Err(map_error(error)),
        };
        Ok(Some(BlobMetadata {
            key: key.to_owned(),
            size: unsigned(head.content_length),
            etag: unquoted(head.e_tag.as_deref()),
            content_type: content_type(head.content_type),
            attributes: attributes(head.metadata),
            update_time: head.last_modified.map(timestamp),
        }))
    }

    /// Returns the ETag of a blob.
    async fn etag(&self, key: &str) -> Result<Option<String>, Error> {
        Ok(self.metadata(key).await?.map(|metadata| metadata.etag))
    }
}

/// The media type of an object that has none. It is that of S3; if none is sent, other services and the SDK choose other ones.
const UNKNOWN: &str = "binary/octet-stream";
/// An attribute without a value, as an encoded word (RFC 2047). Some services drop headers without a value.
const EMPTY: &str = "=?UTF-8?Q??=";

/// Returns the media type of a blob; empty: it has none.
fn content_type(stored: Option<String>) -> String {
    stored.filter(|kind| kind != UNKNOWN).unwrap_or_default()
}

/// Returns the attributes of a blob.
fn attributes(stored: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    let decode = |(name, value)| (name, if value == EMPTY { String::new() } else { value });
    stored.unwrap_or_default().into_iter().map(decode).collect()
}

/// Returns the media type and the metadata of the object for a blob.
fn object_metadata(blob: &NewBlob) -> (String, HashMap<String, String>) {
    let content_type = if blob.content_type.is_empty() { UNKNOWN } else { &blob.content_type };
    let encode = |(name, value): (&String, &String)| (name.clone(), if value.is_empty() { EMPTY.to_owned() } else { value.clone() });
    (content_type.to_owned(), blob.attributes.iter().map(encode).collect())
}

/// Returns an ETag without its quotes.
fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

/// Returns an ETag with quotes.
fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn unsigned(number: Option<i64>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}

fn timestamp(time: DateTime) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.secs(), nanos: 0 }
}
