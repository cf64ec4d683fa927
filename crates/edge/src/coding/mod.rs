//! Content codings (RFC 9110, section 8.4): the compression of responses, as `Accept-Encoding` asks for it, and of request bodies.
//!
//! A compressed representation has an entity tag of its own: `"7"` becomes `"7--gzip"` (section 8.8.3.3). Requests may use both.

mod decode;
mod encode;

#[cfg(test)]
pub mod tests;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

pub use decode::BodyReader;

use crate::Body;
use prism_call::{Code, Error};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// In the server's order of preference, which decides between equal weights.
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Returns the end of the entity tags of this coding.
    const fn tag_suffix(self) -> &'static [u8] {
        match self {
            Self::Zstd => b"--zstd\"",
            Self::Brotli => b"--br\"",
            Self::Gzip => b"--gzip\"",
        }
    }

    /// Names are case-insensitive; `x-gzip` is `gzip` (section 8.4.1).
    fn from_name(name: &str) -> Option<Self> {
        let is = |coding: &Self| name.eq_ignore_ascii_case(coding.name());
        Self::ALL.into_iter().find(is).or_else(|| name.eq_ignore_ascii_case("x-gzip").then_some(Self::Gzip))
    }

    /// Reads the coding of a request body. Refuses unknown ones, and several at once.
    pub fn of_body(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let name = value.to_str().unwrap_or_default().trim();
        let more = values.next().is_some();
        if !more && name.eq_ignore_ascii_case("identity") {
            return Ok(None);
        }
        Self::from_name(name).filter(|_| !more).map(Some).ok_or_else(|| {
            let message = format!("the body can't be read in the content encoding {name:?}; send it in gzip, br or zstd, or without");
            let accepted = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"))]);
            Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message).with_headers_and_trailers(accepted, HeaderMap::new())
        })
    }
}

/// The weights in `Accept-Encoding` (section 12.5.3), from 0 to 1000.
struct Weights {
    /// In the order of [`Coding::ALL`].
    codings: [u16; 3],
    identity: u16,
}

impl Weights {
    /// Reads the header. Returns `None` if it is missing.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given: [Option<u16>; 3] = [None; 3];
        let (mut identity, mut other, mut any) = (None, None, false);
        for list in headers.get_all(header::ACCEPT_ENCODING) {
            any = true;
            for item in list.to_str().unwrap_or_default().split(',') {
                let (name, parameter) = item.split_once(';').unwrap_or((item, ""));
                let (name, weight) = (name.trim(), weight(parameter));
                match Coding::from_name(name) {
                    Some(coding) => given[coding as usize] = Some(weight),
                    None if name == "*" => other = Some(weight),
                    None if name.eq_ignore_ascii_case("identity") => identity = Some(weight),
                    None => {}
                }
            }
        }
        // An identity that is not named is acceptable, but it is what the client wants least.
        any.then(|| Self { codings: given.map(|weight| weight.or(other).unwrap_or(0)), identity: identity.unwrap_or(0) })
    }

    fn accepts(&self, coding: Coding) -> bool {
        self.codings[coding as usize] > 0
    }

    /// Returns the coding with the highest weight, or `None` if the client prefers none.
    fn best(&self) -> Option<Coding> {
        let mut best = None;
        for coding in Coding::ALL.into_iter().filter(|coding| self.accepts(*coding)) {
            if best.is_none_or(|best: Coding| self.codings[coding as usize] > self.codings[best as usize]) {
                best = Some(coding);
            }
        }
        best.filter(|best| self.codings[*best as usize] >= self.identity)
    }
}

/// Reads `q=0.5`, in thousandths. A weight that can't be read is 0: the client gets what everybody understands.
fn weight(parameter: &str) -> u16 {
    let Some((name, value)) = parameter.split_once('=') else { return if parameter.trim().is_empty() { 1000 } else { 0 } };
    let value = value.trim().parse::<f32>().ok().filter(|value| name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(value));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    value.map_or(0, |value| (value * 1000.0) as u16)
}

/// Whether the client accepts a coding.
pub fn accepts(headers: &HeaderMap, coding: Coding) -> bool {
    Weights::of(headers).is_some_and(|weights| weights.accepts(coding))
}

/// How the response to a request may be encoded.
pub struct Negotiated {
    coding: Option<Coding>,
    head: bool,
    /// The header `If-None-Match` as received, if it has tags of compressed representations.
    known: Vec<HeaderValue>,
}

impl Negotiated {
    /// Reads the headers of a request. Replaces the tags of compressed representations by those of what they represent, so that
    /// nobody else has to know about them.
    pub fn of(method: &Method, headers: &mut HeaderMap) -> Self {
        let weights = Weights::of(headers);
        let coding = weights.as_ref().and_then(Weights::best);
        // A precondition is about the state of the resource. A copy is only current if the client could get it again.
        strip_tags(headers, &header::IF_MATCH, |_| true);
        let known = strip_tags(headers, &header::IF_NONE_MATCH, |coding| weights.as_ref().is_some_and(|weights| weights.accepts(coding)));
        Self { coding, head: *method == Method::HEAD, known }
    }

    /// Compresses a response if the client accepts that and it is worth it.
    pub fn encode(self, mut response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::NOT_MODIFIED {
            self.restore_tag(response.headers_mut());
            return response;
        }
        if !encode::is_worth_it(&response, self.head) {
            return response;
        }
        vary(response.headers_mut());
        let Some(coding) = self.coding else { return response };
        let (mut parts, body) = response.into_parts();
        let body = match encode::compress(body, coding) {
            Ok(compressed) => compressed,
            Err(body) => return Response::from_parts(parts, body),
        };
        let headers = &mut parts.headers;
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        // Of a response to HEAD, which is not compressed to find it out.
        headers.remove(header::CONTENT_LENGTH);
        if let Some(tag) = headers.get(header::ETAG).and_then(|tag| coded_tag(tag, coding)) {
            headers.insert(header::ETAG, tag);
        }
        Response::from_parts(parts, body)
    }

    /// Sets the tag of a 304 response to the one that the client sent, and completes its `Vary` (section 15.4.5).
    fn restore_tag(&self, headers: &mut HeaderMap) {
        vary(headers);
        let Some(tag) = headers.get(header::ETAG) else { return };
        let sent = |tag: &HeaderValue| self.known.iter().any(|known| contains(known.as_bytes(), tag.as_bytes()));
        if let Some(coded) = Coding::ALL.into_iter().filter_map(|coding| coded_tag(tag, coding)).find(sent) {
            headers.insert(header::ETAG, coded);
        }
    }
}

/// Adds `accept-encoding` to the header `Vary`.
fn vary(headers: &mut HeaderMap) {
    let present = headers.get_all(header::VARY).iter().any(|value| contains(value.as_bytes(), b"accept-encoding"));
    if !present {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// Returns the tag of the compressed representation. A weak tag stays as it is.
fn coded_tag(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let opened = tag.as_bytes().strip_suffix(b"\"").filter(|opened| opened.starts_with(b"\""))?;
    HeaderValue::from_bytes(&[opened, coding.tag_suffix()].concat()).ok()
}

/// Removes the suffix of codings from the tags in a header. Returns the header as it was, if it changed.
fn strip_tags(headers: &mut HeaderMap, name: &HeaderName, accepted: impl Fn(Coding) -> bool) -> Vec<HeaderValue> {
    if !headers.contains_key(name) {
        return Vec::new();
    }
    let sent: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
    let mut changed = false;
    for (_, value) in headers.iter_mut().filter(|(known, _)| *known == name) {
        let mut bytes = Cow::Borrowed(value.as_bytes());
        for coding in Coding::ALL.into_iter().filter(|coding| accepted(*coding)) {
            while let Some(start) = find(&bytes, coding.tag_suffix()) {
                bytes.to_mut().drain(start..start + coding.tag_suffix().len() - 1);
            }
        }
        if let Cow::Owned(bytes) = bytes
            && let Ok(stripped) = HeaderValue::from_bytes(&bytes)
        {
            *value = stripped;
            changed = true;
        }
    }
    if changed { sent } else { Vec::new() }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}
