//! The body of a response. Only streams are boxed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use prism_call::{Code, Error, panic};

/// Returns the error of a request body that ends too early, or that is not well-formed.
pub fn broken_request(error: BoxError) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(cause) = source {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)) {
            let message = "the body of the request is not well-formed: check its chunks (RFC 9112, section 7.1)";
            return Error::wire(Code::InvalidArgument, "MALFORMED_BODY", message).with_source(error);
        }
        source = cause.source();
    }
    // The client left, or the connection was lost.
    Error::wire(Code::Cancelled, "REQUEST_BROKEN_OFF", "the request ended before it was complete").with_source(error)
}

/// The error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// Bytes that are known at once, with optional trailers.
    Whole {
        /// The bytes; taken when sent.
        data: Option<Bytes>,
        /// More bytes after them, which were not copied to one piece.
        more: Option<Bytes>,
        /// The trailers; taken when sent.
        trailers: Option<Box<HeaderMap>>,
    },
    /// A body that is produced while it is read.
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// Creates a body of bytes without trailers.
    pub fn full(data: impl Into<Bytes>) -> Self {
        Self::Whole { data: Some(data.into()), more: None, trailers: None }
    }

    /// Tells whether there is data that was not returned yet.
    pub fn has_data(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Whole { data, more, .. } => data.is_some() || more.is_some(),
            Self::Stream(body) => !body.is_end_stream(),
        }
    }

    /// Creates a body that is produced while it is read.
    pub fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        use http_body_util::BodyExt as _;
        Self::Stream(Box::pin(body.map_err(Into::into)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Whole { data, more, trailers } => {
                let bytes = data.take().or_else(|| more.take()).map(Frame::data);
                Poll::Ready(bytes.or_else(|| trailers.take().map(|trailers| Frame::trailers(*trailers))).map(Ok))
            }
            // A panic ends the response, not the connection.
            Self::Stream(body) => {
                panic::catch_sync(|| body.as_mut().poll_frame(context)).unwrap_or_else(|error| Poll::Ready(Some(Err(error.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole { data, more, trailers } => data.is_none() && more.is_none() && trailers.is_none(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole { data, more, trailers: None } => {
                SizeHint::with_exact([data, more].into_iter().flatten().map(|bytes| bytes.len() as u64).sum())
            }
            Self::Whole { .. } => SizeHint::default(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}
