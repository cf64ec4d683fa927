//! Access control of a namespace: who calls, what they may do, and how much. The pipeline asks it at admission, so every protocol does.

use std::{
    any::Any,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::{Code, Context, Credentials, Error, IssuedTicket, Method, Namespace, Peer, Principal};

/// How long a stream stays open while the credentials of its caller can't be checked again.
const RECHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// Controls the access to a namespace.
pub trait AccessControl: Send + Sync + 'static {
    /// Returns the caller of a request. A result that is known already needs no future.
    ///
    /// # Behavior
    /// - `UNAUTHENTICATED`: the credentials are missing, malformed, expired or wrong. The error does not say which.
    /// - `RESOURCE_EXHAUSTED`: the peer presented too many wrong credentials.
    /// - `UNAVAILABLE`: they can't be checked now.
    fn authenticate<'a>(&'a self, peer: &'a Peer, credentials: &'a Credentials) -> Authentication<'a>;

    /// Returns a ticket with the credentials of a caller, for streams of one path of the namespace.
    ///
    /// # Behavior
    /// - `INVALID_ARGUMENT`: the request has no credentials that a ticket could have.
    fn issue_ticket(&self, context: &Context, path: &str) -> Result<IssuedTicket, Error>;

    /// Returns the credentials in a ticket, or `None` if it is not valid for this path of this namespace now. They are not checked.
    fn redeem_ticket(&self, ticket: &str, namespace: &str, path: &str) -> Option<Credentials>;

    /// Takes the share of a request in the limits of its caller.
    ///
    /// # Behavior
    /// - `RESOURCE_EXHAUSTED`: a limit is exceeded.
    fn acquire(&self, context: &Context) -> Result<Option<Share>, Error>;

    /// Decides whether a caller may call an RPC, before the request is read.
    ///
    /// # Behavior
    /// - `PERMISSION_DENIED`: the caller may not, whatever the request is.
    fn authorize(&self, context: &Context, namespace: &Namespace, method: &Method) -> Result<Authorization, Error>;

    /// Tells whether a caller may call an RPC, as far as that does not depend on the request. It is for lists of RPCs: the caller calls none yet.
    fn may_call(&self, context: &Context, namespace: &Namespace, method: &Method) -> bool;

    /// Decides for one message of a request, if [`authorize`](Self::authorize) returned [`Authorization::DependsOnRequest`].
    ///
    /// # Behavior
    /// - `PERMISSION_DENIED`: the caller may not send this message.
    fn authorize_message(&self, context: &Context, namespace: &Namespace, method: &Method, message: &[u8]) -> Result<(), Error>;
}

/// The result of an authentication.
pub type Authenticated = Result<Arc<Principal>, Error>;

/// An authentication: its result, or the work that leads to it.
pub enum Authentication<'a> {
    /// The result.
    Ready(Authenticated),
    /// The work.
    Pending(Pin<Box<dyn Future<Output = Authenticated> + Send + 'a>>),
}

impl Authentication<'_> {
    /// Waits for the result.
    pub async fn result(self) -> Authenticated {
        match self {
            Self::Ready(result) => result,
            Self::Pending(work) => work.await,
        }
    }
}

/// A decision that was made without the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The caller may call the RPC.
    Granted,
    /// Rules ask for fields of the request.
    DependsOnRequest,
}

/// What is held of the limits of a caller, until it is dropped.
pub(super) type HeldPermits = Vec<Box<dyn Any + Send + Sync>>;

/// The share of a request in the limits of its caller. It is given back when the reply has been delivered.
pub struct Share {
    /// Headers that tell the caller what is left.
    pub headers: HeaderMap,
    /// What is given back.
    pub held: HeldPermits,
}

/// The access control of a namespace, until another configuration replaces it.
pub(super) struct InstalledAccess {
    pub(super) control: Arc<dyn AccessControl>,
    replaced: CancellationToken,
}

/// Where a namespace has its access control. Without one, everybody may do everything.
#[derive(Default)]
pub(super) struct AccessSlot(ArcSwapOption<InstalledAccess>);

impl AccessSlot {
    pub(super) fn get(&self) -> Option<Arc<InstalledAccess>> {
        self.0.load_full()
    }

    /// Replaces the access control. Open streams are checked by the new one.
    pub(super) fn set(&self, control: Option<Arc<dyn AccessControl>>) {
        let installed = control.map(|control| Arc::new(InstalledAccess { control, replaced: CancellationToken::new() }));
        if let Some(previous) = self.0.swap(installed) {
            previous.replaced.cancel();
        }
    }
}

/// What the access control decided about a request.
pub(super) struct GrantedAccess {
    installed: Arc<InstalledAccess>,
    /// The index of the RPC that was authorized, and the decision.
    decided: Option<(usize, Authorization)>,
}

impl GrantedAccess {
    pub(super) fn new(installed: Arc<InstalledAccess>) -> Self {
        Self { installed, decided: None }
    }

    /// Authorizes the call of an RPC, once.
    pub(super) fn authorize(&mut self, context: &Context, namespace: &Namespace, method: &Method) -> Result<Authorization, Error> {
        match &self.decided {
            Some((index, decision)) if *index == method.index => Ok(*decision),
            _ => {
                let decision = self.installed.control.authorize(context, namespace, method)?;
                self.decided = Some((method.index, decision));
                Ok(decision)
            }
        }
    }

    /// Authorizes a call with its only message.
    pub(super) fn authorize_with(&self, context: &Context, namespace: &Namespace, method: &Method, message: &[u8]) -> Result<(), Error> {
        match self.installed.control.authorize(context, namespace, method)? {
            Authorization::Granted => Ok(()),
            Authorization::DependsOnRequest => self.installed.control.authorize_message(context, namespace, method, message),
        }
    }

    pub(super) fn control(&self) -> Arc<dyn AccessControl> {
        self.installed.control.clone()
    }

    /// Waits until the caller may no longer have a stream of this RPC open: the credentials expire, or a later configuration refuses them.
    pub(super) fn end(&self, namespace: Arc<Namespace>, context: Context, method: Option<Arc<Method>>) -> AccessEnd {
        Box::pin(end(self.installed.clone(), namespace, context, method))
    }
}

/// Waits for the end of a caller's access. Returns the reason.
pub(super) type AccessEnd = Pin<Box<dyn Future<Output = Error> + Send>>;

async fn end(mut installed: Arc<InstalledAccess>, namespace: Arc<Namespace>, mut context: Context, method: Option<Arc<Method>>) -> Error {
    loop {
        let expires = context.principal.expires;
        let expired = async move {
            match expires {
                Some(expires) => tokio::time::sleep_until(expires.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = installed.replaced.cancelled() => {}
            () = expired => return Error::credentials_expired(),
        }
        let Some(next) = namespace.access.get() else {
            // Nothing is controlled any more. Before that changes again, the namespace is retired, which ends the stream.
            return std::future::pending().await;
        };
        let principal = match authenticate_again(&*next.control, &context).await {
            Ok(principal) => principal,
            Err(error) => return ended_by(&error),
        };
        if principal.subject != context.principal.subject || principal.tenant != context.principal.tenant {
            return Error::credentials_expired();
        }
        context.principal = principal;
        if let Some(method) = &method
            && let Err(error) = next.control.authorize(&context, &namespace, method)
        {
            return ended_by(&error);
        }
        installed = next;
    }
}

/// Authenticates the caller of an open stream. Retries while the credentials can't be checked, because many streams may ask at once.
async fn authenticate_again(control: &dyn AccessControl, context: &Context) -> Authenticated {
    let began = Instant::now();
    loop {
        let result = control.authenticate(&context.peer, &context.credentials).result().await;
        let wait = match &result {
            Err(error) if error.code() == Code::Unavailable => error.retry_after().unwrap_or(Duration::from_secs(1)),
            _ => return result,
        };
        if context.principal.is_expired() || began.elapsed() + wait > RECHECK_TIMEOUT {
            return result;
        }
        tokio::time::sleep(wait).await;
    }
}

/// Returns the reason for the end of a stream whose caller is refused now.
fn ended_by(error: &Error) -> Error {
    let message = format!("the access to this stream ended: {error}");
    let code = if error.code() == Code::PermissionDenied { Code::PermissionDenied } else { Code::Unauthenticated };
    Error::new(code, "ACCESS_ENDED", message)
}
