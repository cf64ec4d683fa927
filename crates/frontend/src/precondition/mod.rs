//! Preconditions (RFC 9110, section 13.1): `If-Match` and `If-None-Match`.
//!
//! A route that reads compares them with the revision in the reply and answers 304 or 412 without a body. A route that writes does not
//! read first, because another client could write in between. It calls the route's
//! [`ConditionalRpc`](crate::conditional::ConditionalRpc), which compares and writes in one step. A precondition that a route can't
//! evaluate is refused, because the client relies on it.

mod tags;

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

pub use tags::{EntityTag, EntityTags};

use self::tags::refusal;
use super::{conditional::ExpectedRevision, render::Rendering, route::Route};
use prism_call::{Code, DOMAIN, Error, Input, Method as Rpc};

/// The reason of errors about a revision that differs from the expected one.
const MISMATCH: &str = "REVISION_MISMATCH";

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
        Self { head: *method == Method::HEAD, tagged, if_match: None, if_none_match: None, expected: None }
    }

    /// Reads the preconditions of a request. Refuses those that the route can't evaluate.
    pub fn of(route: &Route, method: &Method, headers: &HeaderMap) -> Result<Self, Error> {
        let mut conditions = Self::none(method);
        let named = [header::IF_MATCH, header::IF_NONE_MATCH].map(|name| headers.contains_key(name));
        if !route.preconditions || named == [false, false] {
            return Ok(conditions);
        }
        let unsupported = |name: &HeaderName, description: &str| refusal("PRECONDITION_UNSUPPORTED", name, description);
        if *method == Method::GET || *method == Method::HEAD {
            // Without an ETag, a client can't have a copy, so `If-None-Match` is met. `If-Match` can't be evaluated.
            if !route.rendering.has_revision() {
                return if named[0] {
                    Err(unsupported(&header::IF_MATCH, "can't be checked: this route sends no ETag"))
                } else {
                    Ok(conditions)
                };
            }
            conditions.if_match = EntityTags::of(headers, &header::IF_MATCH)?;
            conditions.if_none_match = EntityTags::of(headers, &header::IF_NONE_MATCH)?;
            return Ok(conditions);
        }
        let (name, expected) = match (EntityTags::of(headers, &header::IF_MATCH)?, EntityTags::of(headers, &header::IF_NONE_MATCH)?) {
            (None, None) => return Ok(conditions),
            (Some(_), Some(_)) => {
                return Err(unsupported(
                    &header::IF_NONE_MATCH,
                    "can't be combined with If-Match in a request that writes; send one of them",
                ));
            }
            (Some(tags), None) => (header::IF_MATCH, expected_by(&tags)),
            (None, Some(EntityTags::Any)) => (header::IF_NONE_MATCH, ExpectedRevision::Absent),
            (None, Some(EntityTags::List(_))) => return Err(unsupported(&header::IF_NONE_MATCH, "must be * in a request that writes")),
        };
        match &route.conditional {
            Some(conditional) if conditional.takes(&expected) => conditions.expected = Some(expected),
            Some(_) => return Err(unsupported(&name, "can't be checked by this route in this form")),
            None => return Err(unsupported(&name, "can't be checked by this route: it has no conditional form; omit the header")),
        }
        Ok(conditions)
    }

    /// Returns the RPC to call and the rendering of its reply: the route's own, or those of its conditional RPC.
    pub fn target<'r>(&self, route: &'r Route) -> (&'r Arc<Rpc>, &'r Rendering) {
        match (&self.expected, &route.conditional) {
            (Some(_), Some(conditional)) => (&conditional.method, &conditional.rendering),
            _ => (&route.method, &route.rendering),
        }
    }

    /// Converts the request for the RPC that [`target`](Self::target) returns.
    pub fn apply(&self, route: &Route, input: Input) -> Result<Input, Error> {
        match (&self.expected, &route.conditional, input) {
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

    /// Returns 412 if an error means that the precondition failed.
    pub fn status(&self, error: &Error) -> Option<StatusCode> {
        let failed = self.expected.is_some() && error.reason() == MISMATCH && error.domain() == DOMAIN;
        failed.then_some(StatusCode::PRECONDITION_FAILED)
    }
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
