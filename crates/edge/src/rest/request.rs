//! Reads a request: a bounded body, bound to a message or to a stream of them.

use std::{pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as HttpBody, Frame};

use crate::BoxError;
use prism_call::{Code, Error, Input, message_too_large};
use prism_frontend::{
    bind::{Items, Media, Parts},
    route::Route,
    template::Template,
};

/// What a request is for.
pub struct Target<'a> {
    pub route: &'a Arc<Route>,
    pub template: &'a Template,
    pub path: &'a str,
    pub query: Option<&'a str>,
}

/// What the headers say of the body.
pub struct Content {
    media_type: Option<HeaderValue>,
    encoding: Option<HeaderValue>,
    length: Option<usize>,
}

impl Content {
    pub fn of(headers: &HeaderMap) -> Self {
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

    /// The type of the body; an encoding that can't be read is refused.
    pub fn media_type(&self) -> Result<Option<&str>, Error> {
        if let Some(encoding) = &self.encoding {
            let name = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
            let message = format!("the body can't be read in the content encoding {name}; send it without");
            return Err(Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        let unreadable = || Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", "the content type is not readable text");
        self.media_type.as_ref().map(|value| value.to_str().map_err(|_| unreadable())).transpose()
    }

    /// The whole body; one that is too large is refused as soon as that is known.
    pub async fn collect<B>(&self, body: B, limit: usize) -> Result<Bytes, Error>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        if self.length.is_some_and(|length| length > limit) {
            return Err(message_too_large(limit));
        }
        collect(body, limit).await
    }
}

/// The message or messages of a request. `resume` is the cursor that the stream shall go on behind.
pub async fn read<B>(target: Target<'_>, content: Content, resume: Option<&str>, body: B, limit: usize) -> Result<Input, Error>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let Target { route, template, path, query } = target;
    let parts = Parts { path, query };
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

/// The next piece of a body.
async fn piece<B>(body: &mut B) -> Result<Option<Bytes>, Error>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    loop {
        let frame: Option<Result<Frame<Bytes>, B::Error>> = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match frame {
            None => return Ok(None),
            // Trailers of a request say nothing here.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                return Err(Error::new(Code::Cancelled, "REQUEST_BROKEN", "the request ended before its body was complete")
                    .with_source(error.into()));
            }
        }
    }
}

/// The whole body; one that is too large is refused as soon as that is known.
async fn collect<B>(mut body: B, limit: usize) -> Result<Bytes, Error>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let check = |size: usize| if size > limit { Err(message_too_large(limit)) } else { Ok(()) };
    let Some(first) = piece(&mut body).await? else { return Ok(Bytes::new()) };
    check(first.len())?;
    // The usual case, a body that arrives in one piece, costs no copy.
    let Some(second) = piece(&mut body).await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity(first.len() + second.len());
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(data) = next {
        check(whole.len() + data.len())?;
        whole.extend_from_slice(&data);
        next = piece(&mut body).await?;
    }
    Ok(whole.freeze())
}

/// The messages in a body, read as they are asked for.
fn items<B>(route: Arc<Route>, media: Media, common: Vec<u8>, body: B, limit: usize) -> prism_call::Messages<Bytes>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    struct State<B> {
        body: Option<B>,
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
                match piece(body).await? {
                    Some(data) => state.items.push(&data),
                    None => state.body = None,
                }
            }
        }
    }))
}
