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

/// How long a stream stays open while the access of its caller can't be checked again.
const RECHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// Authenticates callers.
pub trait Authenticate: Send + Sync + 'static {
    /// Returns the caller of a request, as [`AccessControl::authenticate`] does.
    fn authenticate<'a>(&'a self, peer: &'a Peer, credentials: &'a Credentials) -> Authentication<'a>;
}

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

    /// Takes the share of a request in the limits of its caller: what its RPC costs, or one call if the RPC is not known yet.
    ///
    /// # Behavior
    /// - `RESOURCE_EXHAUSTED`: a limit is exceeded.
    fn acquire(&self, context: &Context, method: Option<&Method>) -> Result<Option<Share>, Error>;

    /// Charges the caller for an RPC that its request calls: what it costs more than `paid`, or than one call. Returns the headers that tell the caller
    /// what is left, if it costs more.
    ///
    /// # Behavior
    /// - `RESOURCE_EXHAUSTED`: a limit is exceeded.
    fn charge(&self, context: &Context, method: &Method, paid: Option<&Method>) -> Result<Option<HeaderMap>, Error>;

    /// Decides whether a caller may call an RPC, before the request is read.
    ///
    /// # Behavior
    /// - `PERMISSION_DENIED`: the caller may not, whatever the request is.
    /// - `UNAVAILABLE`: nobody can decide now.
    fn authorize<'a>(&'a self, context: &'a Context, namespace: &'a Namespace, method: &'a Method) -> Authorizing<'a>;

    /// Returns how long an open stream may last until its caller is authorized again. `None`: until the configuration changes.
    fn decision_lifetime(&self) -> Option<Duration>;

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

/// An authorization: its result, or the work that leads to it.
pub enum Authorizing<'a> {
    /// The result.
    Ready(Result<Authorization, Error>),
    /// The work.
    Pending(Pin<Box<dyn Future<Output = Result<Authorization, Error>> + Send + 'a>>),
}

impl Authorizing<'_> {
    /// Waits for the result.
    pub async fn result(self) -> Result<Authorization, Error> {
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
    /// The RPC whose cost was charged at admission, until it is called.
    paid: Option<Arc<Method>>,
}

impl GrantedAccess {
    pub(super) fn new(installed: Arc<InstalledAccess>, paid: Option<Arc<Method>>) -> Self {
        Self { installed, decided: None, paid }
    }

    /// Charges the caller for a call. `is_asked`: it is not the call that was charged at admission, but one that prepares it.
    pub(super) fn charge(&mut self, context: &Context, method: &Method, is_asked: bool) -> Result<Option<HeaderMap>, Error> {
        let paid = if is_asked { None } else { self.paid.take() };
        self.installed.control.charge(context, method, paid.as_deref())
    }

    /// Authorizes the call of an RPC, once.
    pub(super) async fn authorize(&mut self, context: &Context, namespace: &Namespace, method: &Method) -> Result<Authorization, Error> {
        match &self.decided {
            Some((index, decision)) if *index == method.index => Ok(*decision),
            _ => {
                let decision = self.installed.control.authorize(context, namespace, method).result().await?;
                self.decided = Some((method.index, decision));
                Ok(decision)
            }
        }
    }

    /// Authorizes a call with its only message.
    pub(super) async fn authorize_with(
        &self,
        context: &Context,
        namespace: &Namespace,
        method: &Method,
        message: &[u8],
    ) -> Result<(), Error> {
        match self.installed.control.authorize(context, namespace, method).result().await? {
            Authorization::Granted => Ok(()),
            Authorization::DependsOnRequest => self.installed.control.authorize_message(context, namespace, method, message),
        }
    }

    pub(super) fn control(&self) -> Arc<dyn AccessControl> {
        self.installed.control.clone()
    }

    /// Waits until the caller may no longer have a stream of this RPC open: the credentials expire or are revoked, or a later configuration refuses
    /// them.
    pub(super) fn end(&self, namespace: Arc<Namespace>, context: Context, method: Option<Arc<Method>>) -> AccessEnd {
        Box::pin(end(self.installed.clone(), namespace, context, method))
    }
}

/// Waits for the end of a caller's access. Returns the reason.
pub(super) type AccessEnd = Pin<Box<dyn Future<Output = Error> + Send>>;

async fn end(mut installed: Arc<InstalledAccess>, namespace: Arc<Namespace>, mut context: Context, method: Option<Arc<Method>>) -> Error {
    loop {
        let (expires, check_again) = (context.principal.expires, context.principal.check_again);
        let decide_again = method.as_ref().and_then(|_| Instant::now().checked_add(installed.control.decision_lifetime()?));
        tokio::select! {
            () = installed.replaced.cancelled() => {}
            () = wait_until(expires) => return Error::credentials_expired(),
            () = wait_until(check_again) => {}
            () = wait_until(decide_again) => {}
        }
        let Some(next) = namespace.access.get() else {
            // Nothing is controlled any more. Before that changes again, the namespace is retired, which ends the stream.
            return std::future::pending().await;
        };
        let checked = tokio::select! {
            checked = check_stream(&*next.control, &namespace, &context, method.as_deref()) => checked,
            () = wait_until(expires) => return Error::credentials_expired(),
        };
        match checked {
            Ok(Some(principal)) => context.principal = principal,
            Ok(None) => return Error::credentials_expired(),
            Err(error) => return ended_by(&error),
        }
        installed = next;
    }
}

/// Waits until an instant; without one, forever.
async fn wait_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// Authenticates and authorizes the caller of an open stream again. `None`: the credentials are those of another caller now. Retries while nobody can
/// tell, because many streams may ask at once.
async fn check_stream(
    control: &dyn AccessControl,
    namespace: &Namespace,
    context: &Context,
    method: Option<&Method>,
) -> Result<Option<Arc<Principal>>, Error> {
    let began = Instant::now();
    loop {
        let result = check_once(control, namespace, context, method).await;
        let wait = match &result {
            Err(error) if error.code() == Code::Unavailable => error.retry_after().unwrap_or(Duration::from_secs(1)),
            _ => return result,
        };
        if began.elapsed() + wait > RECHECK_TIMEOUT {
            return result;
        }
        tokio::time::sleep(wait).await;
    }
}

async fn check_once(
    control: &dyn AccessControl,
    namespace: &Namespace,
    context: &Context,
    method: Option<&Method>,
) -> Result<Option<Arc<Principal>>, Error> {
    let principal = control.authenticate(&context.peer, &context.credentials).result().await?;
    if principal.subject != context.principal.subject || principal.tenant != context.principal.tenant {
        return Ok(None);
    }
    if let Some(method) = method {
        let context = Context { principal: principal.clone(), ..context.clone() };
        control.authorize(&context, namespace, method).result().await?;
    }
    Ok(Some(principal))
}

/// Returns the reason for the end of a stream whose caller is refused now.
fn ended_by(error: &Error) -> Error {
    let message = format!("the access to this stream ended: {error}");
    let code = if error.code() == Code::PermissionDenied { Code::PermissionDenied } else { Code::Unauthenticated };
    Error::new(code, "ACCESS_ENDED", message)
}
