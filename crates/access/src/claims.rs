//! Claims: what an issuer says about a caller.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use prism_call::{AuthenticationMethod, Principal};

/// A token that is valid for longer has no end that matters.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 366);

/// Which claims say who a caller is.
#[derive(Clone, Debug)]
pub struct ClaimNames {
    /// The subject.
    pub subject: String,
    /// The tenant. `None`: callers have none.
    pub tenant: Option<String>,
    /// The groups: a list of texts, or one text with spaces between them.
    pub groups: Option<String>,
    /// Claims that there must be.
    pub required: Vec<String>,
}

impl ClaimNames {
    /// Returns the caller with these claims, or `None` if a claim is missing. The caller does not expire.
    pub fn principal(&self, claims: &Map<String, Value>, method: AuthenticationMethod) -> Option<Principal> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if !self.required.iter().all(|name| claims.get(name).is_some_and(|claim| !claim.is_null())) {
            return None;
        }
        let tenant = match &self.tenant {
            // A caller without a tenant must not become one of no tenant.
            Some(name) => text(name)?,
            None => "",
        };
        let groups = self.groups.as_ref().and_then(|name| claims.get(name));
        let groups = match groups {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(Into::into).collect(),
            Some(Value::String(list)) => list.split_whitespace().map(Into::into).collect(),
            _ => Vec::new(),
        };
        let claims = serde_json::to_string(claims).ok()?.into();
        Some(Principal { tenant: tenant.into(), groups, claims, ..Principal::new(text(&self.subject)?, method) })
    }
}

/// Tells whether a token is bound to a key that its client must prove to have (RFC 7800). Nothing here checks such proofs, and without them the token
/// may be stolen.
pub fn is_bound(claims: &Map<String, Value>) -> bool {
    claims.get("cnf").is_some_and(|confirmation| !confirmation.is_null())
}

/// Returns the instant of a time in a claim (RFC 7519, section 2, NumericDate; seconds may have a fraction) and a leeway, or `None` if it is no time, or
/// has passed.
pub fn future_instant(claim: &Value, leeway: Duration) -> Option<Instant> {
    let end = time(claim)?.checked_add(leeway)?;
    let left = end.duration_since(SystemTime::now()).ok()?;
    Instant::now().checked_add(left.min(MAX_LIFETIME))
}

/// Returns the time in a claim.
pub fn time(claim: &Value) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(claim.as_f64()?).ok()?)
}
