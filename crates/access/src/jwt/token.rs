//! The check of one token.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Validation, dangerous::insecure_decode_claims, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{key_set::KeySet, settings::JwtSettings};
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
    settings: JwtSettings,
    validation: Validation,
}

/// What is read before the signature is verified.
#[derive(Deserialize)]
struct Unverified {
    iss: Option<String>,
}

impl TokenCheck {
    /// Prepares the check.
    pub fn new(settings: JwtSettings) -> Self {
        let algorithms: Vec<_> = settings.algorithms.iter().map(|algorithm| algorithm.algorithm()).collect();
        let leeway = settings.leeway.as_secs();
        let mut validation = Validation { algorithms, leeway, validate_nbf: true, ..Validation::default() };
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&settings.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Self { settings, validation }
    }

    /// Tells whether a token says that it is from this issuer; `None` if it is no token.
    pub fn is_own(&self, token: &str) -> Option<bool> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let claims: Unverified = insecure_decode_claims(token).ok()?;
        Some(claims.iss.as_deref() == Some(&*self.settings.issuer))
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
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if !self.settings.required_claims.iter().all(|name| claims.get(name).is_some_and(|claim| !claim.is_null())) {
            return None;
        }
        let tenant = match &self.settings.tenant_claim {
            // A caller without a tenant must not become one of no tenant.
            Some(name) => text(name)?,
            None => "",
        };
        let groups = self.settings.groups_claim.as_ref().and_then(|name| claims.get(name));
        let groups = match groups {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(Into::into).collect(),
            Some(Value::String(list)) => list.split_whitespace().map(Into::into).collect(),
            _ => Vec::new(),
        };
        Some(Principal {
            tenant: tenant.into(),
            groups,
            claims: serde_json::to_string(claims).ok()?.into(),
            expires: Some(self.expires(claims.get("exp")?)?),
            ..Principal::new(text(&self.settings.subject_claim)?, AuthenticationMethod::Jwt)
        })
    }

    /// Returns the time at which a token expires, with the leeway.
    fn expires(&self, exp: &Value) -> Option<Instant> {
        // Seconds may have a fraction (RFC 7519, section 2, NumericDate).
        let seconds = Duration::try_from_secs_f64(exp.as_f64()?).ok()?;
        let end = UNIX_EPOCH.checked_add(seconds)?.checked_add(*self.settings.leeway)?;
        let left = end.duration_since(SystemTime::now()).ok()?;
        // A token that is valid for centuries has no end that matters.
        Instant::now().checked_add(left.min(Duration::from_hours(24 * 366)))
    }
}

/// Tells whether a type of the header is one of tokens for APIs (RFC 8725, section 3.11; RFC 9068, section 2.1).
fn is_token_type(given: Option<&str>) -> bool {
    given.is_none_or(|given| {
        let name = given.to_ascii_lowercase();
        ["jwt", "at+jwt"].contains(&name.strip_prefix("application/").unwrap_or(&name))
    })
}
