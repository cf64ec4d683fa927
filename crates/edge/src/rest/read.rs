//! Reads a request: a body of bounded size, bound to one message or to a stream of messages.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    coding::{BodyReader, Coding},
    request::RequestBody,
};
use prism_call::{Code, Error, Input, message_too_large};
use prism_frontend::{
    bind::{Item, Items, Media, PathAndQuery},
    route::Route,
    template::PathTemplate,
};

/// Most bytes of a raw body in one message.
const RAW_PIECE_BYTES: usize = 256 << 10;
/// Bytes that a message may have in addition to a piece of a raw body.
const RAW_OVERHEAD: usize = 32;

/// The route of a request, and the parts of its URL.
pub struct Target<'a> {
    pub route: &'a Arc<Route>,
    pub template: &'a PathTemplate,
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// The encoded fields that headers set, or the error in a header.
    pub fields: Option<Result<Vec<u8>, Error>>,
}

/// The headers that describe the body.
pub struct Content {
    media_type: Option<HeaderValue>,
    coding: Result<Option<Coding>, Error>,
    length: Option<usize>,
}

impl Content {
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { media_type: headers.get(header::CONTENT_TYPE).cloned(), coding: Coding::of_body(headers), length }
    }

    fn media(&self, route: &Route) -> Result<Media, Error> {
        route.binding.media(self.media_type()?)
    }

    /// Returns the media type of the body.
    pub fn media_type(&self) -> Result<Option<&str>, Error> {
        let unreadable = || Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", "the content type is not readable text");
        self.media_type.as_ref().map(|value| value.to_str().map_err(|_| unreadable())).transpose()
    }

    /// Opens a body with many messages, each of which has its own limit.
    pub fn open(&mut self, body: RequestBody) -> Result<BodyReader, Error> {
        Ok(BodyReader::new(body, self.take_coding()?, None))
    }

    /// Reads the whole body. Refuses a body that is too large, compressed or not, as soon as its size is known.
    pub async fn collect(&mut self, body: RequestBody, limit: usize) -> Result<Bytes, Error> {
        let coding = self.take_coding()?;
        if self.length.is_some_and(|length| length > limit) {
            return Err(message_too_large(limit));
        }
        BodyReader::new(body, coding, Some(limit)).collect(limit).await
    }

    /// Returns the coding of the body, or the refusal of an unsupported one.
    fn take_coding(&mut self) -> Result<Option<Coding>, Error> {
        std::mem::replace(&mut self.coding, Ok(None))
    }
}

/// Reads the message or messages of a request. `resume` is the cursor after which the stream continues.
pub async fn read(target: Target<'_>, mut content: Content, resume: Option<&str>, body: RequestBody, limit: usize) -> Result<Input, Error> {
    let Target { route, template, path, query, fields } = target;
    let fields = fields.transpose()?.unwrap_or_default();
    let parts = PathAndQuery { path, query };
    let mut message = if route.binding.reads_body() {
        let media = content.media(route)?;
        if route.method.client_streaming {
            let (route, mut common) = (route.clone(), route.binding.common(template, parts)?);
            common.extend_from_slice(&fields);
            if route.binding.is_raw_stream() {
                let first = route.binding.raw_start(&media, &common)?;
                return Ok(Input::Stream(raw(first, content.open(body)?, limit, route)));
            }
            let message = move |item: &Item| route.binding.item(item, &media, &common);
            return Ok(Input::Stream(items(content.open(body)?, limit, message)));
        }
        let body = content.collect(body, limit).await?;
        route.binding.message(template, parts, &body, &media)?
    } else {
        route.binding.message(template, parts, &Bytes::new(), &Media::Json)?
    };
    message.extend_from_slice(&fields);
    if let Some(cursor) = resume {
        route.binding.resume(cursor, &mut message);
    }
    Ok(Input::One(message.into()))
}

/// Returns the messages of a raw body, read on demand: the first one, then one for each piece of the body. A piece has at most
/// [`RAW_PIECE_BYTES`], and fewer if messages have a lower limit. The body is first read when the handler asks for the second message, so a
/// request that is refused before has not sent it in vain (`Expect: 100-continue`).
fn raw(first: Bytes, body: BodyReader, limit: usize, route: Arc<Route>) -> prism_call::Messages<Bytes> {
    let size = RAW_PIECE_BYTES.min(limit.saturating_sub(RAW_OVERHEAD)).max(1);
    let rest = futures::stream::try_unfold((body, Bytes::new()), move |(mut body, mut piece)| {
        let route = route.clone();
        async move {
            while piece.is_empty() {
                let Some(next) = body.next().await? else { return Ok(None) };
                piece = next;
            }
            let chunk = piece.split_to(size.min(piece.len()));
            Ok(Some((route.binding.raw_chunk(&chunk)?, (body, piece))))
        }
    });
    Box::pin(futures::stream::iter([Ok(first)]).chain(rest))
}

/// Returns the messages in a body, read on demand. Each item has at most `limit` bytes; `message` makes a message of it.
pub fn items(
    body: BodyReader,
    limit: usize,
    message: impl Fn(&Item) -> Result<Bytes, Error> + Send + 'static,
) -> prism_call::Messages<Bytes> {
    struct State<F> {
        body: Option<BodyReader>,
        items: Items,
        message: F,
    }
    let state = State { body: Some(body), items: Items::new(limit), message };
    Box::pin(futures::stream::try_unfold(state, |mut state| async move {
        loop {
            if let Some(item) = state.items.item(state.body.is_none())? {
                return Ok(Some(((state.message)(&item)?, state)));
            }
            let Some(body) = &mut state.body else { return Ok(None) };
            match body.next().await? {
                Some(data) => state.items.push(&data),
                None => state.body = None,
            }
        }
    }))
}
