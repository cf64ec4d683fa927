//! Reads the body of a request, decompressed.

use std::{io, pin::Pin};

use async_compression::{
    tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder},
    zstd::DParameter,
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt as _};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

use super::Coding;
use crate::{body::broken_request, compression::MAX_WINDOW_LOG, request::RequestBody};
use prism_call::{Code, Error, message_too_large};

/// Bytes that are decompressed at once. So a body that grows beyond every measure is refused before it takes memory.
const PIECE_BYTES: usize = 16 * 1024;

/// The body of a request, in pieces.
pub enum BodyReader {
    /// As received.
    Plain(RequestBody),
    /// Decompressed.
    Decoded(Pin<Box<dyn AsyncRead + Send>>),
}

impl BodyReader {
    /// `limit`: maximum bytes of the compressed body.
    pub fn new(body: RequestBody, coding: Option<Coding>, limit: Option<usize>) -> Self {
        let Some(coding) = coding.filter(|_| !body.is_end_stream()) else { return Self::Plain(body) };
        let reader = StreamReader::new(received(body, limit));
        Self::Decoded(match coding {
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(reader);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Coding::Brotli => Box::pin(BrotliDecoder::new(reader)),
            Coding::Zstd => {
                let mut decoder = ZstdDecoder::with_params(reader, &[DParameter::window_log_max(MAX_WINDOW_LOG)]);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
        })
    }

    /// Returns the next piece, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Plain(body) => loop {
                match body.frame().await {
                    None => return Ok(None),
                    // Trailers of a request are ignored.
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                    Some(Err(error)) => return Err(broken_request(error)),
                }
            },
            Self::Decoded(reader) => {
                // A few received bytes can become very many pieces, between which other tasks and deadlines have their turn.
                tokio::task::coop::consume_budget().await;
                let mut piece = BytesMut::with_capacity(PIECE_BYTES);
                match reader.read_buf(&mut piece).await {
                    Ok(0) => Ok(None),
                    Ok(_) => Ok(Some(piece.freeze())),
                    Err(error) => Err(unreadable(error)),
                }
            }
        }
    }

    /// Reads the whole body. Refuses a body that is too large as soon as its size is known.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        let check = |size: usize| if size > limit { Err(message_too_large(limit)) } else { Ok(()) };
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        check(first.len())?;
        // Usually a body arrives in one chunk, which is not copied.
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity(first.len() + second.len());
        whole.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(data) = next {
            check(whole.len() + data.len())?;
            whole.extend_from_slice(&data);
            next = self.next().await?;
        }
        Ok(whole.freeze())
    }
}

/// Returns the chunks of a body. Fails if there is more than `limit` of it.
fn received(body: RequestBody, limit: Option<usize>) -> Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> {
    let mut size = 0;
    Box::pin(body.into_data_stream().map_err(|error| io::Error::other(broken_request(error))).and_then(move |data| {
        size += data.len();
        std::future::ready(match limit {
            Some(limit) if size > limit => Err(io::Error::other(message_too_large(limit))),
            _ => Ok(data),
        })
    }))
}

/// Returns the error of the body itself, or the one for a body that can't be decompressed.
fn unreadable(error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|error| {
        let message = format!("the body can't be decompressed: {error}");
        Error::new(Code::InvalidArgument, "MALFORMED_COMPRESSION", message)
    })
}
