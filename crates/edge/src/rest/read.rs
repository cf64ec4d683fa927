//! Reads a request: a body of bounded size, bound to one message or to a stream of messages.

use std::{pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;

use crate::request::RequestBody;
use prism_call::{Code, Error, Input, message_too_large};
use prism_frontend::{
    bind::{Items, Media, PathAndQuery},
    route::Route,
    template::PathTemplate,
};

/// The route of a request, and the parts of its URL.
pub struct Target<'a> {
    pub route: &'a Arc<Route>,
    pub template: &'a PathTemplate,
    pub path: &'a str,
    pub query: Option<&'a str>,
}

/// The headers that describe the body.
pub struct Content {
    media_type: Option<HeaderValue>,
    encoding: Option<HeaderValue>,
    length: Option<usize>,
}

impl Content {
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            media_type: headers.get(header::CONTENT_TYPE).cloned(),
            encoding: headers.get(header::CONTENT_ENCODING).filter(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")).cloned(),
            length,
        }
    }

    fn media(&self, route: &Route) -> Result<Media, Error> {
        route.binding.media(self.media_type()?)
    }

    /// Returns the media type of the body. Refuses an unsupported content encoding.
    pub fn media_type(&self) -> Result<Option<&str>, Error> {
        if let Some(encoding) = &self.encoding {
            let name = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
            let message = format!("the body can't be read in the content encoding {name}; send it without");
            return Err(Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        let unreadable = || Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", "the content type is not readable text");
        self.media_type.as_ref().map(|value| value.to_str().map_err(|_| unreadable())).transpose()
    }

    /// Reads the whole body. Refuses a body that is too large as soon as its size is known.
    pub async fn collect(&self, body: RequestBody, limit: usize) -> Result<Bytes, Error> {
        if self.length.is_some_and(|length| length > limit) {
            return Err(message_too_large(limit));
        }
        collect(body, limit).await
    }
}

/// Reads the message or messages of a request. `resume` is the cursor after which the stream continues.
pub async fn read(target: Target<'_>, content: Content, resume: Option<&str>, body: RequestBody, limit: usize) -> Result<Input, Error> {
    let Target { route, template, path, query } = target;
    let parts = PathAndQuery { path, query };
    let mut message = if route.binding.reads_body() {
        let media = content.media(route)?;
        if route.method.client_streaming {
            let common = route.binding.common(template, parts)?;
            return Ok(Input::Stream(items(route.clone(), media, common, body, limit)));
        }
        let body = content.collect(body, limit).await?;
        route.binding.message(template, parts, &body, &media)?
    } else {
        route.binding.message(template, parts, &Bytes::new(), &Media::Json)?
    };
    if let Some(cursor) = resume {
        route.binding.resume(cursor, &mut message);
    }
    Ok(Input::One(message.into()))
}

/// Reads the next chunk of a body.
async fn next_chunk(body: &mut RequestBody) -> Result<Option<Bytes>, Error> {
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
async fn collect(mut body: RequestBody, limit: usize) -> Result<Bytes, Error> {
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

/// Returns the messages in a body, read on demand.
fn items(route: Arc<Route>, media: Media, common: Vec<u8>, body: RequestBody, limit: usize) -> prism_call::Messages<Bytes> {
    struct State {
        body: Option<RequestBody>,
        items: Items,
    }
    let state = State { body: Some(body), items: Items::new(limit) };
    let shared = Arc::new((route, media, common));
    Box::pin(futures::stream::try_unfold(state, move |mut state| {
        let shared = shared.clone();
        async move {
            loop {
                if let Some(item) = state.items.item(state.body.is_none())? {
                    let (route, media, common) = &*shared;
                    return Ok(Some((route.binding.item(&item, media, common)?, state)));
                }
                let Some(body) = &mut state.body else { return Ok(None) };
                match next_chunk(body).await? {
                    Some(data) => state.items.push(&data),
                    None => state.body = None,
                }
            }
        }
    }))
}
