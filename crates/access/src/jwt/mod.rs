//! JSON Web Tokens (RFC 7519), as RFC 8725 advises to check them.
//!
//! Only signatures with asymmetric keys are accepted, and a key is used only with the algorithms of its type. So neither `none` nor an HMAC
//! with a public key can pass.

mod key_set;
mod settings;
mod source;
mod token;

use std::sync::Arc;

use self::{
    key_set::KeySet,
    source::{KeySource, Refresh},
    token::{Rejection, TokenCheck},
};
use super::{
    cache::VerifiedCache,
    keys::PREFIX,
    method::{self, Attempt, Method, Verdict},
};
use prism_call::{Code, Credentials, Error, Peer};

pub use settings::JwtSettings;

/// Authenticates callers by the tokens of one issuer.
pub struct JsonWebToken {
    check: TokenCheck,
    keys: Arc<KeySource>,
    verified: Arc<VerifiedCache>,
}

impl JsonWebToken {
    /// Reads the keys of a file. Keys at a URL are fetched when the first token needs them.
    pub fn open(name: &str, settings: &JwtSettings) -> Result<Self, String> {
        let verified = Arc::new(VerifiedCache::default());
        let keys = Arc::new(KeySource::open(name, settings, verified.clone())?);
        Ok(Self { check: TokenCheck::new(settings), keys, verified })
    }

    async fn verify(&self, token: &str) -> Verdict {
        let mut keys = self.keys.current();
        if keys.is_none() {
            keys = self.keys.refresh(None).await;
        }
        let Some(known) = keys else {
            let message = "the keys of the issuer of this token can't be fetched now; try again";
            return Verdict::Unavailable(Error::new(Code::Unavailable, "ISSUER_UNAVAILABLE", message).with_retry_after(Refresh::FLOOR));
        };
        match self.accept(token, &known) {
            // The issuer may have new keys.
            Err(Rejection::UnknownKey) => {
                let next = self.keys.refresh(Some(&known)).await.filter(|next| !Arc::ptr_eq(next, &known));
                next.and_then(|next| self.accept(token, &next).ok()).unwrap_or(Verdict::Rejected)
            }
            Err(Rejection::Invalid) => Verdict::Rejected,
            Ok(verdict) => verdict,
        }
    }

    fn accept(&self, token: &str, keys: &Arc<KeySet>) -> Result<Verdict, Rejection> {
        let principal = Arc::new(self.check.verify(token, keys)?);
        self.verified.put(token.as_bytes(), principal.clone());
        // Other keys may have come since, and the cache may have been cleared before this entry.
        if self.keys.current().is_none_or(|current| !Arc::ptr_eq(&current, keys)) {
            self.verified.clear();
        }
        Ok(Verdict::Accepted(principal))
    }
}

impl Method for JsonWebToken {
    fn attempt<'a>(&'a self, _: &'a Peer, credentials: &'a Credentials) -> Attempt<'a> {
        let Some(token) = method::token(credentials.authorization.as_ref(), "bearer") else { return Attempt::Absent };
        if token.starts_with(PREFIX) {
            return Attempt::Absent;
        }
        self.keys.refresh_if_stale();
        if let Some(principal) = self.verified.get(token.as_bytes()) {
            return Attempt::Ready(Verdict::Accepted(principal));
        }
        match self.check.is_own(token) {
            Some(true) => Attempt::Pending(Box::pin(self.verify(token))),
            // Another method may know the issuer.
            Some(false) | None => Attempt::Ready(Verdict::Rejected),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        Some("Bearer realm=\"prism\"")
    }
}

#[cfg(test)]
mod tests;
