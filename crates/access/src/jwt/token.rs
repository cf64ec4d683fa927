//! The check of one token.

use std::time::Duration;

use jsonwebtoken::{Validation, dangerous::insecure_decode_claims, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{key_set::KeySet, settings::JwtSettings};
use crate::claims::{self, ClaimNames};
use prism_call::{AuthenticationMethod, Principal};

/// Longest token.
const MAX_BYTES: usize = 16 * 1024;

/// Why a token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No known key has its id.
    UnknownKey,
    /// Anything else.
    Invalid,
}

/// Checks the tokens of one issuer.
pub struct TokenCheck {
    issuer: String,
    leeway: Duration,
    names: ClaimNames,
    validation: Validation,
}

/// What is read before the signature is verified.
#[derive(Deserialize)]
struct Unverified {
    iss: Option<String>,
}

impl TokenCheck {
    /// Prepares the check.
    pub fn new(settings: &JwtSettings) -> Self {
        let algorithms: Vec<_> = settings.algorithms.iter().map(|algorithm| algorithm.algorithm()).collect();
        let leeway = settings.leeway.as_secs();
        let mut validation = Validation { algorithms, leeway, validate_nbf: true, ..Validation::default() };
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&settings.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Self { issuer: settings.issuer.clone(), leeway: *settings.leeway, names: settings.claim_names(), validation }
    }

    /// Tells whether a token says that it is from this issuer; `None` if it is no token.
    pub fn is_own(&self, token: &str) -> Option<bool> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let claims: Unverified = insecure_decode_claims(token).ok()?;
        Some(claims.iss.as_deref() == Some(&*self.issuer))
    }

    /// Verifies a token and returns its caller.
    pub fn verify(&self, token: &str, keys: &KeySet) -> Result<Principal, Rejection> {
        let header = decode_header(token).map_err(|_| Rejection::Invalid)?;
        // RFC 7515, section 4.1.11: extensions that are not understood must not be ignored.
        if header.crit.is_some() || !is_token_type(header.typ.as_deref()) {
            return Err(Rejection::Invalid);
        }
        if !self.validation.algorithms.contains(&header.alg) {
            return Err(Rejection::Invalid);
        }
        let id = header.kid.as_deref();
        if !keys.has(id) {
            return Err(Rejection::UnknownKey);
        }
        let mut validation = self.validation.clone();
        validation.algorithms = vec![header.alg];
        let verified = keys.find(id, header.alg).find_map(|key| decode::<Map<String, Value>>(token, &key.key, &validation).ok());
        self.principal(&verified.ok_or(Rejection::Invalid)?.claims).ok_or(Rejection::Invalid)
    }

    /// Returns the caller with these claims, or `None` if a required claim is missing.
    fn principal(&self, claims: &Map<String, Value>) -> Option<Principal> {
        let expires = claims::future_instant(claims.get("exp")?, self.leeway)?;
        if claims::is_bound(claims) {
            return None;
        }
        Some(Principal { expires: Some(expires), ..self.names.principal(claims, AuthenticationMethod::Jwt)? })
    }
}

/// Tells whether a type of the header is one of tokens for APIs (RFC 8725, section 3.11; RFC 9068, section 2.1).
fn is_token_type(given: Option<&str>) -> bool {
    given.is_none_or(|given| {
        let name = given.to_ascii_lowercase();
        ["jwt", "at+jwt"].contains(&name.strip_prefix("application/").unwrap_or(&name))
    })
}
