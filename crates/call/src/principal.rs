//! The caller of a request.

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

/// The authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// A stable name, for example `ada` or `anonymous`.
    pub subject: Arc<str>,
    /// The tenant that the caller belongs to; empty if it belongs to none.
    pub tenant: Arc<str>,
    /// The groups that the caller belongs to.
    pub groups: Vec<Arc<str>>,
    /// What else is known about the caller, as a JSON object: the claims of a token. Empty if nothing is known.
    pub claims: Arc<str>,
    /// How the caller was authenticated.
    pub method: AuthenticationMethod,
    /// The time at which the credentials expire.
    pub expires: Option<Instant>,
    /// The time at which an open stream has the credentials checked again, because they may have been revoked. `None`: only when the
    /// configuration changes.
    pub check_again: Option<Instant>,
}

/// How a principal was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthenticationMethod {
    /// Not authenticated: the namespace does not require it.
    None,
    /// By an API key.
    ApiKey,
    /// By a name and a password (HTTP Basic).
    Basic,
    /// By the client certificate of the connection.
    Certificate,
    /// By a signed token.
    Jwt,
    /// By a token that its issuer has confirmed.
    Introspection,
}

impl AuthenticationMethod {
    /// Returns the name, as policies and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "anonymous",
            Self::ApiKey => "api-key",
            Self::Basic => "basic",
            Self::Certificate => "mtls",
            Self::Jwt => "jwt",
            Self::Introspection => "introspection",
        }
    }
}

impl Principal {
    /// Creates a caller without tenant, groups and claims, whose credentials do not expire.
    pub fn new(subject: impl Into<Arc<str>>, method: AuthenticationMethod) -> Self {
        Self { subject: subject.into(), tenant: "".into(), groups: Vec::new(), claims: "".into(), method, expires: None, check_again: None }
    }

    /// Returns the caller of a namespace that does not require authentication.
    pub fn anonymous() -> Arc<Self> {
        static ANONYMOUS: LazyLock<Arc<Principal>> = LazyLock::new(|| Arc::new(Principal::new("anonymous", AuthenticationMethod::None)));
        ANONYMOUS.clone()
    }

    /// Tells whether the credentials have expired.
    pub fn is_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= Instant::now())
    }
}
