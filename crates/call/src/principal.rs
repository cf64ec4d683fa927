//! The caller of a request, and how it is authenticated.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;

use super::{Credentials, Error, Peer};

/// The authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// A stable name, for example `user:ada` or `anonymous`.
    pub subject: Arc<str>,
    /// How the caller was authenticated.
    pub method: AuthenticationMethod,
}

/// How a principal was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthenticationMethod {
    /// Not authenticated: the namespace does not require it.
    None,
}

impl Principal {
    /// Returns the caller of a namespace that does not require authentication.
    pub fn anonymous() -> Arc<Self> {
        static ANONYMOUS: LazyLock<Arc<Principal>> =
            LazyLock::new(|| Arc::new(Principal { subject: "anonymous".into(), method: AuthenticationMethod::None }));
        ANONYMOUS.clone()
    }
}

/// Authenticates the callers of a namespace.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Returns the caller of a request.
    ///
    /// # Behavior
    /// - `UNAUTHENTICATED`: the credentials are missing, malformed, expired or wrong.
    /// - `UNAVAILABLE`: they can't be checked now.
    async fn authenticate(&self, peer: &Peer, credentials: &Credentials) -> Result<Arc<Principal>, Error>;
}
