//! Preconditions (RFC 9110, section 13.1): `If-Match` and `If-None-Match`.
//!
//! A route that reads compares them with the revision in the reply and answers 304 or 412 without a body. A route that writes does not
//! read first, because another client could write in between. It calls the route's [`ConditionalRpc`], which compares and writes in one
//! step. A precondition that a route can't evaluate is refused, because the client relies on it. If the headers are fields of the route's
//! RPC, the RPC checks them for a write.

mod tags;

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

pub use tags::{EntityTag, EntityTags};

use self::tags::refusal;
use super::conditional::{ConditionalRpc, ExpectedRevision};
use prism_call::{Code, DOMAIN, Error, Input, Method as Rpc};

/// The reason of errors about a revision that differs from the expected one.
const MISMATCH: &str = "REVISION_MISMATCH";
/// The reason of errors about an ETag that differs from the expected one.
const ETAG_MISMATCH: &str = "ETAG_MISMATCH";

/// The preconditions of one request.
#[derive(Debug)]
pub struct Preconditions {
    /// Whether the method is `HEAD`, so that the response has no body.
    pub head: bool,
    /// Whether the revision in a reply becomes the `ETag` of the response.
    tagged: bool,
    if_match: Option<EntityTags>,
    if_none_match: Option<EntityTags>,
    expected: Option<ExpectedRevision>,
    /// Whether the RPC checks the headers, which are fields of its request.
    delegated: bool,
    /// `If-Modified-Since` and `If-Unmodified-Since` of a read.
    modified_since: Option<SystemTime>,
    unmodified_since: Option<SystemTime>,
}

/// The result of comparing a reply with the preconditions.
#[derive(Debug)]
pub enum Verdict {
    /// The reply is sent.
    Wanted,
    /// The client has this revision already: 304.
    Known,
    /// The revision differs from the one in `If-Match`: 412.
    Refused(Error),
}

impl Preconditions {
    /// No preconditions, for a request with this method.
    pub fn none(method: &Method) -> Self {
        // A tag belongs to the selected representation (section 8.8.3). The response to a POST is not that.
        let tagged = [Method::GET, Method::HEAD, Method::PUT, Method::PATCH].contains(method);
        Self {
            head: *method == Method::HEAD,
            tagged,
            if_match: None,
            if_none_match: None,
            expected: None,
            delegated: false,
            modified_since: None,
            unmodified_since: None,
        }
    }

    /// Reads the preconditions of a request. Refuses those that its route can't evaluate. `has_tag`: whether the route's responses have an
    /// ETag. `conditional`: the RPC that a write calls instead. `is_field`: whether a header is a field of the route's RPC.
    pub fn of(
        method: &Method,
        headers: &HeaderMap,
        has_tag: bool,
        conditional: Option<&ConditionalRpc>,
        is_field: impl Fn(&HeaderName) -> bool,
    ) -> Result<Self, Error> {
        let mut conditions = Self::none(method);
        let reads = *method == Method::GET || *method == Method::HEAD;
        if reads && has_tag {
            conditions.modified_since = date(headers, &header::IF_MODIFIED_SINCE);
            conditions.unmodified_since = date(headers, &header::IF_UNMODIFIED_SINCE);
        }
        let names = [header::IF_MATCH, header::IF_NONE_MATCH];
        let mut present = names.iter().filter(|name| headers.contains_key(*name)).peekable();
        if present.peek().is_none() {
            return Ok(conditions);
        }
        if !reads {
            conditions.delegated = present.all(is_field);
            if !conditions.delegated {
                conditions.expected = expectation(headers, conditional)?;
            }
        } else if has_tag {
            conditions.delegated = headers.contains_key(header::IF_MATCH) && is_field(&header::IF_MATCH);
            conditions.if_match = EntityTags::of(headers, &header::IF_MATCH)?;
            conditions.if_none_match = EntityTags::of(headers, &header::IF_NONE_MATCH)?;
        } else if headers.contains_key(header::IF_MATCH) {
            // Without an ETag, a client can't have a copy, so `If-None-Match` is met. `If-Match` can't be evaluated.
            return Err(unsupported(&header::IF_MATCH, "can't be checked: this route sends no ETag"));
        }
        Ok(conditions)
    }

    /// Returns the RPC to call: the route's own, or its conditional RPC.
    pub fn target<'r>(&self, own: &'r Arc<Rpc>, conditional: Option<&'r ConditionalRpc>) -> &'r Arc<Rpc> {
        conditional.filter(|_| self.expected.is_some()).map_or(own, |conditional| &conditional.method)
    }

    /// Converts the request for the RPC that [`target`](Self::target) returns.
    pub fn apply(&self, conditional: Option<&ConditionalRpc>, input: Input) -> Result<Input, Error> {
        match (&self.expected, conditional, input) {
            (Some(ExpectedRevision::Never), ..) => {
                Err(mismatch("no tag in If-Match is a strong tag of this gateway; read the entry again and use its ETag"))
            }
            (Some(expected), Some(conditional), Input::One(message)) => Ok(Input::One(conditional.message(&message, expected)?)),
            (None, _, input) => Ok(input),
            // Only unary requests of a route with a conditional RPC have an expectation.
            _ => Err(Error::internal("the route can't check this precondition")),
        }
    }

    /// Returns the `ETag` of a revision, if the response has one.
    pub fn tag(&self, revision: u64) -> Option<String> {
        self.tagged.then(|| format!("\"{revision}\""))
    }

    /// Compares the revision of a reply with the preconditions. `If-Match` is evaluated first (section 13.2.2).
    pub fn verdict(&self, revision: u64) -> Verdict {
        match (&self.if_match, &self.if_none_match) {
            (Some(wanted), _) if !wanted.strongly(revision) => {
                let error = mismatch(format!("the revision is {revision}, which no strong tag in If-Match names"));
                Verdict::Refused(error.with("current_revision", revision.to_string()))
            }
            (_, Some(known)) if known.weakly(revision) => Verdict::Known,
            _ => Verdict::Wanted,
        }
    }

    /// Compares the `ETag` and the `Last-Modified` of a response with the preconditions of a read.
    pub fn verdict_of(&self, response: &HeaderMap) -> Verdict {
        let tag = response.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(|tag| tag.trim_matches('"')).unwrap_or_default();
        let modified = date(response, &header::LAST_MODIFIED);
        let is_later = |date: SystemTime| modified.is_some_and(|modified| modified > date);
        let refused = match (&self.if_match, self.unmodified_since) {
            (Some(wanted), _) => !wanted.has_strong(tag),
            (None, Some(date)) => is_later(date),
            (None, None) => false,
        };
        if refused {
            let error =
                Error::new(Code::Aborted, ETAG_MISMATCH, "the object has another ETag, or was changed later, than the request expects");
            return Verdict::Refused(if tag.is_empty() { error } else { error.with("current_etag", tag) });
        }
        let known = match (&self.if_none_match, self.modified_since) {
            (Some(known), _) => known.has_weak(tag),
            (None, Some(date)) => modified.is_some() && !is_later(date),
            (None, None) => false,
        };
        if known { Verdict::Known } else { Verdict::Wanted }
    }

    /// Returns 412 if an error means that the precondition failed.
    pub fn status(&self, error: &Error) -> Option<StatusCode> {
        let reason = if self.expected.is_some() { MISMATCH } else { ETAG_MISMATCH };
        let failed = (self.expected.is_some() || self.delegated) && error.reason() == reason && error.domain() == DOMAIN;
        failed.then_some(StatusCode::PRECONDITION_FAILED)
    }
}

/// Parses a date in a header. An invalid date is ignored (sections 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    headers
        .get(name)
        .map(HeaderValue::as_bytes)
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| httpdate::parse_http_date(text).ok())
}

/// Reads the precondition of a request that writes.
fn expectation(headers: &HeaderMap, conditional: Option<&ConditionalRpc>) -> Result<Option<ExpectedRevision>, Error> {
    let (name, expected) = match (EntityTags::of(headers, &header::IF_MATCH)?, EntityTags::of(headers, &header::IF_NONE_MATCH)?) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let description = "can't be combined with If-Match in a request that writes; send one of them";
            return Err(unsupported(&header::IF_NONE_MATCH, description));
        }
        (Some(tags), None) => (header::IF_MATCH, expected_by(&tags)),
        (None, Some(EntityTags::Any)) => (header::IF_NONE_MATCH, ExpectedRevision::Absent),
        (None, Some(EntityTags::List(_))) => return Err(unsupported(&header::IF_NONE_MATCH, "must be * in a request that writes")),
    };
    match conditional {
        Some(conditional) if conditional.takes(&expected) => Ok(Some(expected)),
        Some(_) => Err(unsupported(&name, "can't be checked by this route in this form")),
        None => Err(unsupported(&name, "can't be checked by this route: it has no conditional form; omit the header")),
    }
}

fn unsupported(name: &HeaderName, description: &str) -> Error {
    refusal("PRECONDITION_UNSUPPORTED", name, description)
}

/// Converts the tags of `If-Match` to an expectation.
fn expected_by(tags: &EntityTags) -> ExpectedRevision {
    let EntityTags::List(tags) = tags else { return ExpectedRevision::Exists };
    let mut revisions: Vec<u64> = tags.iter().filter_map(EntityTag::revision).collect();
    revisions.sort_unstable();
    revisions.dedup();
    match revisions[..] {
        [] => ExpectedRevision::Never,
        [one] => ExpectedRevision::Revision(one),
        _ => ExpectedRevision::OneOf(revisions),
    }
}

fn mismatch(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Code::Aborted, MISMATCH, message)
}
