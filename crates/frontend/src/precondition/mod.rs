//! Preconditions (RFC 9110, section 13.1): `If-Match` and `If-None-Match`.
//!
//! A route that reads compares them with the revision in its reply: 304 and 412 spare the client a body. A route that writes
//! never reads first, since somebody else could write in between: the call goes to the RPC's [`Twin`], which compares and
//! writes in one step. A precondition that a route can't check is refused, because its sender relies on it.

mod tags;
mod twin;

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

pub use tags::{Tag, Tags};
pub use twin::Twin;

use self::tags::refusal;
use super::{render::Rendering, route::Route};
use prism_call::{Code, DOMAIN, Error, Input, Method as Rpc};

/// The reason of all errors that say: the revision is another one.
const MISMATCH: &str = "REVISION_MISMATCH";

/// What a write expects of what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This revision.
    Revision(u64),
    /// One of these.
    OneOf(Vec<u64>),
    /// Something.
    Exists,
    /// Nothing.
    Absent,
    /// A tag that nothing has: weak, or not one of ours.
    Never,
}

/// What a request asks of the answer, or of what is there, beside its content.
#[derive(Debug)]
pub struct Conditions {
    /// Only the headers are wanted.
    pub head: bool,
    /// Whether a revision in the reply is the tag of what the path names.
    tagged: bool,
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    expected: Option<Expected>,
}

/// What a reply is to who asked.
#[derive(Debug)]
pub enum Verdict {
    /// What they want.
    Wanted,
    /// What they have already: 304.
    Known,
    /// Another revision than they asked for: 412.
    Refused(Error),
}

impl Conditions {
    /// None, for a request of this method.
    pub fn none(method: &Method) -> Self {
        // The answer to POST is not the thing itself (section 8.8.3: the tag is of the selected representation).
        let tagged = [Method::GET, Method::HEAD, Method::PUT, Method::PATCH].contains(method);
        Self { head: *method == Method::HEAD, tagged, if_match: None, if_none_match: None, expected: None }
    }

    /// Those of a request, or the refusal of one that can't be checked.
    pub fn of(route: &Route, method: &Method, headers: &HeaderMap) -> Result<Self, Error> {
        let mut conditions = Self::none(method);
        let named = [header::IF_MATCH, header::IF_NONE_MATCH].map(|name| headers.contains_key(name));
        if !route.preconditions || named == [false, false] {
            return Ok(conditions);
        }
        let unsupported = |name: &HeaderName, description: &str| refusal("PRECONDITION_UNSUPPORTED", name, description);
        if *method == Method::GET || *method == Method::HEAD {
            // Without tags there is nothing that the client could have already, but what it wants can't be checked either.
            if !route.rendering.has_revision() {
                return if named[0] {
                    Err(unsupported(&header::IF_MATCH, "can't be checked here: this route gives no ETag"))
                } else {
                    Ok(conditions)
                };
            }
            conditions.if_match = Tags::of(headers, &header::IF_MATCH)?;
            conditions.if_none_match = Tags::of(headers, &header::IF_NONE_MATCH)?;
            return Ok(conditions);
        }
        let (name, expected) = match (Tags::of(headers, &header::IF_MATCH)?, Tags::of(headers, &header::IF_NONE_MATCH)?) {
            (None, None) => return Ok(conditions),
            (Some(_), Some(_)) => {
                return Err(unsupported(&header::IF_NONE_MATCH, "can't stand beside If-Match in a request that writes; send one"));
            }
            (Some(tags), None) => (header::IF_MATCH, Expected::matching(&tags)),
            (None, Some(Tags::Any)) => (header::IF_NONE_MATCH, Expected::Absent),
            (None, Some(Tags::List(_))) => return Err(unsupported(&header::IF_NONE_MATCH, "must be * in a request that writes")),
        };
        match &route.twin {
            Some(twin) if twin.takes(&expected) => conditions.expected = Some(expected),
            Some(_) => return Err(unsupported(&name, "can't be checked here in this form")),
            None => return Err(unsupported(&name, "can't be checked here: this route has no conditional form; leave it out")),
        }
        Ok(conditions)
    }

    /// The RPC and the rendering that answer: the route's own, or those of its twin.
    pub fn target<'r>(&self, route: &'r Route) -> (&'r Arc<Rpc>, &'r Rendering) {
        match (&self.expected, &route.twin) {
            (Some(_), Some(twin)) => (&twin.method, &twin.rendering),
            _ => (&route.method, &route.rendering),
        }
    }

    /// The request as that RPC takes it.
    pub fn apply(&self, route: &Route, input: Input) -> Result<Input, Error> {
        match (&self.expected, &route.twin, input) {
            (Some(Expected::Never), ..) => {
                Err(mismatch("no tag in If-Match is a strong one that was given here; read again and try with its ETag"))
            }
            (Some(expected), Some(twin), Input::One(message)) => Ok(Input::One(twin.message(&message, expected)?)),
            (None, _, input) => Ok(input),
            // Only a single message of a route with a twin can have an expectation.
            _ => Err(Error::internal("a precondition came as far as this that nobody checks")),
        }
    }

    /// The tag for this revision, if the answer shall have one.
    pub fn tag(&self, revision: u64) -> Option<String> {
        self.tagged.then(|| format!("\"{revision}\""))
    }

    /// What a reply with this revision is to who asked. `If-Match` comes first (section 13.2.2).
    pub fn verdict(&self, revision: u64) -> Verdict {
        match (&self.if_match, &self.if_none_match) {
            (Some(wanted), _) if !wanted.strongly(revision) => {
                let error = mismatch(format!("the revision is {revision}, and no strong tag in If-Match has it"));
                Verdict::Refused(error.with("current_revision", revision.to_string()))
            }
            (_, Some(known)) if known.weakly(revision) => Verdict::Known,
            _ => Verdict::Wanted,
        }
    }

    /// 412, if that is what an error means here.
    pub fn status(&self, error: &Error) -> Option<StatusCode> {
        let failed = self.expected.is_some() && error.reason() == MISMATCH && error.domain() == DOMAIN;
        failed.then_some(StatusCode::PRECONDITION_FAILED)
    }
}

impl Expected {
    /// What `If-Match` says.
    fn matching(tags: &Tags) -> Self {
        let Tags::List(tags) = tags else { return Self::Exists };
        let mut revisions: Vec<u64> = tags.iter().filter_map(Tag::revision).collect();
        revisions.sort_unstable();
        revisions.dedup();
        match revisions[..] {
            [] => Self::Never,
            [one] => Self::Revision(one),
            _ => Self::OneOf(revisions),
        }
    }
}

fn mismatch(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Code::Aborted, MISMATCH, message)
}
