//! Reads the bodies of requests.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;

use super::request::RequestBody;
use prism_call::{Code, Error, message_too_large};

/// Reads the next chunk of a body.
pub async fn next_chunk(body: &mut RequestBody) -> Result<Option<Bytes>, Error> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match frame {
            None => return Ok(None),
            // Trailers of a request are ignored.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                return Err(
                    Error::new(Code::Cancelled, "REQUEST_BROKEN", "the request ended before its body was complete").with_source(error)
                );
            }
        }
    }
}

/// Reads the whole body. Refuses a body that is too large as soon as its size is known.
pub async fn collect(mut body: RequestBody, limit: usize) -> Result<Bytes, Error> {
    let check = |size: usize| if size > limit { Err(message_too_large(limit)) } else { Ok(()) };
    let Some(first) = next_chunk(&mut body).await? else { return Ok(Bytes::new()) };
    check(first.len())?;
    // Usually a body arrives in one chunk, which is not copied.
    let Some(second) = next_chunk(&mut body).await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity(first.len() + second.len());
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(data) = next {
        check(whole.len() + data.len())?;
        whole.extend_from_slice(&data);
        next = next_chunk(&mut body).await?;
    }
    Ok(whole.freeze())
}
