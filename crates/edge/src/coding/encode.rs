//! Compresses the bodies of responses.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame};

use super::Coding;
use crate::{Body, BoxError};

/// Smaller bodies are not compressed: it costs more than it saves.
const MIN_BYTES: usize = 1024;
/// A larger body is compressed piece by piece, while it is sent, so that other requests are served in between.
const PIECE_BYTES: usize = 64 * 1024;
/// Levels that are fast; higher ones save little on JSON.
const GZIP_LEVEL: u32 = 3;
const BROTLI_QUALITY: i32 = 4;
const ZSTD_LEVEL: i32 = 1;
/// The logarithm of the window in bytes. It bounds the memory of a response that is compressed while it is sent.
const WINDOW_LOG: u32 = 17;

/// Whether a response may be compressed: it is neither tiny nor compressed already, and its type is one that compresses well.
pub fn is_worth_it(response: &Response<Body>, head: bool) -> bool {
    let headers = response.headers();
    let large_enough = match response.body() {
        Body::Whole { data, more: None, trailers: None } => data.as_ref().is_some_and(|data| data.len() >= MIN_BYTES),
        Body::Stream(_) => true,
        Body::Empty if head => headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length.to_str().is_ok_and(|length| length.parse().is_ok_and(|length: usize| length >= MIN_BYTES))),
        Body::Whole { .. } | Body::Empty => false,
    };
    large_enough
        && !headers.contains_key(header::CONTENT_ENCODING)
        // A part of a representation; its positions are those of the uncompressed one.
        && !headers.contains_key(header::CONTENT_RANGE)
        && headers.get(header::CONTENT_TYPE).is_some_and(compresses_well)
        && !headers.get_all(header::CACHE_CONTROL).iter().any(|value| super::contains(value.as_bytes(), b"no-transform"))
}

/// Whether a content type is text of some kind. Bytes of unknown type, images and archives are often compressed already. A stream of
/// events is open for days and mostly silent, so the memory of a compressor would be wasted.
fn compresses_well(content_type: &HeaderValue) -> bool {
    const OTHERS: [&str; 10] = [
        "application/json",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/yaml",
        "application/xml",
        "application/javascript",
        "application/graphql",
        "application/proto",
        "application/x-www-form-urlencoded",
    ];
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (family, subtype) = essence.split_once('/').unwrap_or_default();
    let structured = ["+json", "+xml", "+yaml"].iter().any(|suffix| subtype.ends_with(suffix));
    (family == "text" && subtype != "event-stream") || structured || OTHERS.contains(&essence.as_str())
}

/// Compresses a body. Returns it as it was if it can't be compressed.
pub fn compress(body: Body, coding: Coding) -> Result<Body, Body> {
    let source = match body {
        Body::Whole { data: Some(data), more: None, .. } if data.len() <= PIECE_BYTES => {
            let encoded = Encoder::new(coding, data.len()).and_then(|mut encoder| {
                encoder.write(&data, false)?;
                encoder.finish()
            });
            return encoded.map(Body::full).map_err(|_| Body::full(data));
        }
        Body::Whole { data: Some(data), more: None, .. } => Source::Whole(data),
        Body::Stream(stream) => Source::Stream(stream),
        other => return Ok(other),
    };
    let size = if let Source::Whole(data) = &source { data.len() } else { 0 };
    match Encoder::new(coding, size) {
        Ok(encoder) => Ok(Body::stream(Compressed { source, encoder: Some(encoder), trailers: None })),
        Err(_) => Err(source.into()),
    }
}

/// A compressor that collects its output.
enum Encoder {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// `size`: bytes that will be written, or 0 if it is not known.
    fn new(coding: Coding, size: usize) -> io::Result<Self> {
        let out = Vec::with_capacity(size.min(PIECE_BYTES) / 2);
        Ok(match coding {
            Coding::Gzip => Self::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL))),
            Coding::Brotli => {
                let mut parameters = BrotliEncoderParams { quality: BROTLI_QUALITY, size_hint: size, ..BrotliEncoderParams::default() };
                parameters.lgwin = i32::try_from(WINDOW_LOG).unwrap_or(parameters.lgwin);
                Self::Brotli(Box::new(brotli::CompressorWriter::with_params(out, 4096, &parameters)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_LOG)?;
                if size > 0 {
                    encoder.set_pledged_src_size(Some(size as u64))?;
                }
                Self::Zstd(encoder)
            }
        })
    }

    /// Compresses bytes. Returns what is ready; with `flush`, everything that was written.
    fn write(&mut self, data: &[u8], flush: bool) -> io::Result<Bytes> {
        fn put<W: io::Write>(writer: &mut W, data: &[u8], flush: bool) -> io::Result<()> {
            writer.write_all(data)?;
            if flush { writer.flush() } else { Ok(()) }
        }
        match self {
            Self::Gzip(encoder) => put(encoder, data, flush)?,
            Self::Brotli(encoder) => put(&mut **encoder, data, flush)?,
            Self::Zstd(encoder) => put(encoder, data, flush)?,
        }
        Ok(if flush { std::mem::take(self.out()).into() } else { Bytes::new() })
    }

    fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    /// Returns the rest of the compressed body.
    fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        }
        .map(Bytes::from)
    }
}

/// A body that is not compressed yet.
enum Source {
    Whole(Bytes),
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl From<Source> for Body {
    fn from(source: Source) -> Self {
        match source {
            Source::Whole(data) => Self::full(data),
            Source::Stream(stream) => Self::Stream(stream),
        }
    }
}

impl Source {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Whole(data) if data.is_empty() => Poll::Ready(None),
            Self::Whole(data) => Poll::Ready(Some(Ok(Frame::data(data.split_to(data.len().min(PIECE_BYTES)))))),
            Self::Stream(stream) => stream.as_mut().poll_frame(context),
        }
    }
}

/// A body that is compressed while it is sent. Each chunk is flushed, so that the client gets every message as soon as it is there.
struct Compressed {
    source: Source,
    /// `None` after the end.
    encoder: Option<Encoder>,
    trailers: Option<HeaderMap>,
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        while let Some(encoder) = &mut this.encoder {
            match ready!(this.source.poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let ready = encoder.write(&data, true)?;
                        if !ready.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(ready))));
                        }
                        continue;
                    }
                    Err(frame) => this.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => {
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {}
            }
            if let Some(encoder) = this.encoder.take() {
                return Poll::Ready(Some(Ok(Frame::data(encoder.finish()?))));
            }
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}
