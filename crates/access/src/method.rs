//! A method of authentication.

use std::{pin::Pin, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;

use prism_call::{Credentials, Error, Peer, Principal};

/// A method of authentication, with the settings of one authenticator.
pub trait Method: Send + Sync + 'static {
    /// Tries to authenticate a caller. A result that is known already needs no future.
    fn attempt<'a>(&'a self, peer: &'a Peer, credentials: &'a Credentials) -> Attempt<'a>;

    /// Returns the challenge for `WWW-Authenticate` (RFC 9110, section 11.6.1), if HTTP has one for this method.
    fn challenge(&self) -> Option<&'static str>;
}

/// An attempt to authenticate a caller.
pub enum Attempt<'a> {
    /// The request has no credentials of this kind.
    Absent,
    /// The result.
    Ready(Verdict),
    /// The work that leads to the result.
    Pending(PendingVerdict<'a>),
    /// The work that leads to the result, for credentials that were accepted before. It goes on even if the peer presented too many wrong ones.
    Again(PendingVerdict<'a>),
}

/// The work that leads to a verdict.
pub type PendingVerdict<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// The result of an attempt.
#[derive(Debug)]
pub enum Verdict {
    /// The caller.
    Accepted(Arc<Principal>),
    /// The credentials are malformed, expired or wrong.
    Rejected,
    /// They can't be checked now.
    Unavailable(Error),
}

/// Returns the token of a header with this scheme. The name of a scheme is case-insensitive.
pub fn token<'h>(header: Option<&'h HeaderValue>, scheme: &str) -> Option<&'h str> {
    let text = header?.to_str().ok()?;
    let (given, token) = text.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| token.trim_start_matches(' '))
}

/// Returns the name and the password of HTTP Basic (RFC 7617), or `None` if they are malformed.
pub fn basic(token: &str) -> Option<(String, String)> {
    let decoded = STANDARD.decode(token).ok()?;
    let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
