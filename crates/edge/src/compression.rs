//! Compression of single messages: gzip and zstd. `coding` has the compression of whole bodies.

use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use prism_call::{Code, Error, message_too_large};

/// Smaller messages are not compressed: it costs more than it saves.
const MIN_COMPRESSED_BYTES: usize = 1024;
/// The logarithm of the largest window of a zstd frame. RFC 8878 (section 3.1.1.1.2) recommends to support 8 MiB.
pub const MAX_WINDOW_LOG: u32 = 23;

/// A compression of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Returns the compression of a request by its name. An unknown name is `UNIMPLEMENTED`, as the specifications of gRPC and Connect require.
    pub fn from_request(name: Option<&[u8]>) -> Result<Option<Self>, Error> {
        match name {
            None | Some(b"identity") => Ok(None),
            Some(name) => Self::from_name(name).map(Some).ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                Error::wire(
                    Code::Unimplemented,
                    "UNKNOWN_COMPRESSION",
                    format!("messages compressed with {name} can't be read; use identity, gzip or zstd"),
                )
            }),
        }
    }

    /// Returns the compression of the response by the header that lists what the client accepts: that of the request if it is in the list,
    /// else the first that is supported.
    pub fn for_response(headers: &HeaderMap, accept: &HeaderName, request: Option<Self>) -> Option<Self> {
        let accepted = headers.get(accept)?.as_bytes();
        let mut names = accepted.split(|byte| *byte == b',').filter_map(|name| Self::from_name(name.trim_ascii()));
        let first = names.next()?;
        match request {
            Some(request) if first == request || names.any(|name| name == request) => Some(request),
            _ => Some(first),
        }
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"gzip" => Some(Self::Gzip),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns the name as the value of a header.
    pub const fn header(self) -> HeaderValue {
        match self {
            Self::Gzip => HeaderValue::from_static("gzip"),
            Self::Zstd => HeaderValue::from_static("zstd"),
        }
    }

    /// Compresses a message. Returns `None` if that does not make it smaller.
    pub fn compress(self, message: &[u8]) -> Option<Vec<u8>> {
        if message.len() < MIN_COMPRESSED_BYTES {
            return None;
        }
        let compressed = match self {
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(message.len() / 2), flate2::Compression::fast());
                encoder.write_all(message).and_then(|()| encoder.finish())
            }
            Self::Zstd => zstd::bulk::compress(message, 1),
        };
        compressed.ok().filter(|compressed| compressed.len() < message.len())
    }

    /// Decompresses a message. Stops with an error as soon as it exceeds the limit.
    pub fn decompress(self, compressed: &[u8], limit: usize) -> Result<Bytes, Error> {
        let mut message = Vec::with_capacity(compressed.len().saturating_mul(2).min(limit));
        // One byte above the limit shows that the message is too large.
        let bound = (limit as u64).saturating_add(1);
        let read: io::Result<usize> = match self {
            Self::Gzip => flate2::read::MultiGzDecoder::new(compressed).take(bound).read_to_end(&mut message),
            Self::Zstd => zstd::stream::read::Decoder::with_buffer(compressed).and_then(|mut decoder| {
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                decoder.take(bound).read_to_end(&mut message)
            }),
        };
        read.map_err(|error| {
            Error::wire(Code::InvalidArgument, "MALFORMED_COMPRESSION", format!("the message can't be decompressed: {error}"))
        })?;
        if message.len() > limit {
            return Err(message_too_large(limit));
        }
        Ok(message.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_has_the_compression_that_the_client_prefers() {
        const ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");
        for (accepted, request, expected) in [
            ("identity, gzip, zstd", None, Some(Compression::Gzip)),
            ("gzip,zstd", Some(Compression::Zstd), Some(Compression::Zstd)),
            ("gzip", Some(Compression::Zstd), Some(Compression::Gzip)),
            ("identity,br", Some(Compression::Zstd), None),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accepted.parse().unwrap())]);
            assert_eq!(Compression::for_response(&headers, &ACCEPT, request), expected, "{accepted}");
        }
        assert_eq!(Compression::for_response(&HeaderMap::new(), &ACCEPT, None), None);
    }
}
