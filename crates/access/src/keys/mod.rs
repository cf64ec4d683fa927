//! API keys, and HTTP Basic with the same file: the id of a key is the name, its secret is the password.

mod file;
mod format;
mod hash;

use std::{path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use self::file::KeyTable;
use super::{
    cache::VerifiedCache,
    method::{self, Attempt, Method, Verdict},
};
use prism_call::{AuthenticationMethod, Credentials, Peer};
use prism_settings::{CheckSettings, SettingProblem};

pub use self::{
    file::{KeyFile, StoredKey, read, update},
    format::{NewKey, PREFIX, generate, is_id},
    hash::hash,
};

/// Settings of an authenticator of `type: api-key` or `type: basic`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFileSettings {
    /// File with the hashes of the keys. `prism auth key create` writes it.
    pub file: PathBuf,
}

impl CheckSettings for KeyFileSettings {
    fn check(&self) -> Vec<SettingProblem> {
        read(&self.file).and_then(KeyTable::new).err().map(|problem| SettingProblem::other("file", problem)).into_iter().collect()
    }
}

/// Verifies keys, and remembers the verified ones.
struct KeyVerifier {
    keys: Arc<KeyTable>,
    verified: VerifiedCache,
    method: AuthenticationMethod,
}

impl KeyVerifier {
    fn open(settings: &KeyFileSettings, method: AuthenticationMethod) -> Result<Self, String> {
        Ok(Self { keys: Arc::new(KeyTable::new(read(&settings.file)?)?), verified: VerifiedCache::default(), method })
    }

    /// Verifies the id and the secret in a text. Malformed text has none.
    fn attempt<'a>(&'a self, presented: &'a str, parts: impl FnOnce(&str) -> Option<(String, String)>) -> Attempt<'a> {
        if let Some(principal) = self.verified.get(presented.as_bytes()) {
            return Attempt::Ready(Verdict::Accepted(principal));
        }
        let Some((id, secret)) = parts(presented) else { return Attempt::Ready(Verdict::Rejected) };
        Attempt::Pending(Box::pin(async move {
            let verdict = self.keys.verify(id, secret, self.method).await;
            if let Verdict::Accepted(principal) = &verdict {
                self.verified.put(presented.as_bytes(), principal.clone());
            }
            verdict
        }))
    }
}

/// Authenticates callers by API keys, in `x-api-key` or as a bearer token.
pub struct ApiKey(KeyVerifier);

impl ApiKey {
    /// Reads the keys.
    pub fn open(settings: &KeyFileSettings) -> Result<Self, String> {
        KeyVerifier::open(settings, AuthenticationMethod::ApiKey).map(Self)
    }
}

impl Method for ApiKey {
    fn attempt<'a>(&'a self, _: &'a Peer, credentials: &'a Credentials) -> Attempt<'a> {
        let presented = match &credentials.api_key {
            Some(header) => header.to_str().ok(),
            // Other bearer tokens belong to other methods.
            None => match method::token(credentials.authorization.as_ref(), "bearer").filter(|token| token.starts_with(PREFIX)) {
                Some(token) => Some(token),
                None => return Attempt::Absent,
            },
        };
        match presented {
            Some(presented) => self.0.attempt(presented, format::parse),
            None => Attempt::Ready(Verdict::Rejected),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        Some("Bearer realm=\"prism\"")
    }
}

/// Authenticates callers by HTTP Basic (RFC 7617).
pub struct Basic(KeyVerifier);

impl Basic {
    /// Reads the keys.
    pub fn open(settings: &KeyFileSettings) -> Result<Self, String> {
        KeyVerifier::open(settings, AuthenticationMethod::Basic).map(Self)
    }
}

impl Method for Basic {
    fn attempt<'a>(&'a self, _: &'a Peer, credentials: &'a Credentials) -> Attempt<'a> {
        match method::token(credentials.authorization.as_ref(), "basic") {
            Some(token) => self.0.attempt(token, method::basic),
            None => Attempt::Absent,
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        Some("Basic realm=\"prism\", charset=\"UTF-8\"")
    }
}

#[cfg(test)]
mod tests;
