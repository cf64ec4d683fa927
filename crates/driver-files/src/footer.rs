//! The metadata of a blob, at the end of its file: JSON, its length in four bytes (little-endian), and a mark of eight bytes.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt as _, path::Path};

use serde::{Deserialize, Serialize};

use crate::error::{damaged_blob, map_io_error};
use prism_call::{
    Error,
    proto::models::blob::v1::{BlobMetadata, NewBlob},
};
use prism_driver::time::{self, Millis};

/// The last bytes of a complete file.
const MARK: &[u8; 8] = b"prismbl1";
/// Bytes behind the JSON.
const TAIL: usize = 4 + MARK.len();
/// Bytes that are read first; most footers are shorter.
const FIRST_READ: u64 = 4096;
/// A footer is never longer: keys and attributes are bounded.
const MAX_JSON: u64 = 64 << 10;

/// The metadata of a blob in its file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Footer {
    /// The key.
    pub key: String,
    /// Bytes of the content.
    pub size: u64,
    /// The ETag.
    pub etag: String,
    /// The media type.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// The attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// When it was stored, in milliseconds since 1970.
    pub updated: Millis,
}

impl Footer {
    /// Creates the footer of a new blob.
    pub fn new(blob: NewBlob, etag: String, size: u64) -> Self {
        Self { key: blob.key, size, etag, content_type: blob.content_type, attributes: blob.attributes, updated: time::now() }
    }

    /// Encodes the footer.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = serde_json::to_vec(self).map_err(|error| Error::internal("the metadata can't be encoded").with_source(error))?;
        let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(MARK);
        Ok(out)
    }

    /// Reads the footer of a file. `path` is for the error.
    pub fn read(file: &File, path: &Path) -> Result<Self, Error> {
        let length = file.metadata().map_err(map_io_error)?.len();
        let end = read_end(file, length, length.min(FIRST_READ)).map_err(map_io_error)?;
        let damaged = || damaged_blob(path);
        let json_end = end.len().checked_sub(TAIL).ok_or_else(damaged)?;
        let (size, mark) = end[json_end..].split_first_chunk::<4>().ok_or_else(damaged)?;
        let json_length = u64::from(u32::from_le_bytes(*size));
        if mark != MARK || json_length > MAX_JSON {
            return Err(damaged());
        }
        let whole = json_length + TAIL as u64;
        let end = if whole > end.len() as u64 { read_end(file, length, whole).map_err(map_io_error)? } else { end };
        let start = usize::try_from(whole).ok().and_then(|whole| end.len().checked_sub(whole)).ok_or_else(damaged)?;
        let footer: Self = serde_json::from_slice(&end[start..end.len() - TAIL]).map_err(|_| damaged())?;
        if footer.size.checked_add(whole) == Some(length) { Ok(footer) } else { Err(damaged()) }
    }

    /// Returns the metadata for a response.
    pub fn into_metadata(self) -> BlobMetadata {
        BlobMetadata {
            key: self.key,
            size: self.size,
            etag: self.etag,
            content_type: self.content_type,
            attributes: self.attributes,
            update_time: Some(time::timestamp(self.updated)),
        }
    }
}

/// Reads the last bytes of a file, or all if there are fewer.
fn read_end(file: &File, length: u64, wanted: u64) -> io::Result<Vec<u8>> {
    let wanted = wanted.min(length);
    let mut end = vec![0; usize::try_from(wanted).unwrap_or_default()];
    file.read_exact_at(&mut end, length - wanted)?;
    Ok(end)
}
