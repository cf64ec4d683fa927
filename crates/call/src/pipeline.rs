//! The pipeline: what happens to every request before it is served, independent of its protocol.

use std::{sync::Arc, time::Instant};

use http::HeaderMap;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Admitted, Arrival, Context, Credentials, Error, ListenerRequest, ListenerTarget, Metrics, Origin, Page, Peer, Refused, RequestId,
    Share, Target, TraceContext,
    access::{GrantedAccess, InstalledAccess},
    log::AccessLog,
    metrics::ListenerMeters,
    observe::CallObserver,
    permit::Permit,
    principal::Principal,
    span::Tracer,
};

/// The pipeline of a gateway.
pub struct Pipeline {
    log: AccessLog,
    ending: CancellationToken,
    /// Exports the spans of calls.
    tracer: Option<Tracer>,
    /// Calls that continue after their callers left.
    tasks: TaskTracker,
    listeners: ListenerMeters,
}

impl Pipeline {
    /// Creates a pipeline with this access log. When `ending` is cancelled, streams that have nothing to send end with
    /// `UNAVAILABLE SHUTTING_DOWN`, so that a drain finishes. Their clients resume on another gateway with their last cursor.
    pub fn new(log: AccessLog, metrics: &Metrics, ending: CancellationToken) -> Self {
        Self { log, ending, tracer: None, tasks: TaskTracker::new(), listeners: metrics.listeners() }
    }

    /// Starts a span of this tracer for every call.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Option<Tracer>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Waits for the calls that continue after their callers left. Call it at the end of a drain, when no new calls arrive.
    pub async fn wait_for_background_calls(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Admits a request to its namespace. Nothing of its body has been read, and nothing of it is evaluated before. The order matters:
    ///
    /// 1. *Identify* (request id, trace) comes first, so that every refusal below has them.
    /// 2. *Observe* (metrics, span, access log) wraps everything below, so that refusals are counted too. It ends when the response is
    ///    rendered, or when the last message of a stream is sent, fails, or is dropped because the client left.
    /// 3. *Authenticate* before anything expensive, so that unauthenticated callers can't exhaust limits.
    /// 4. *Limit*: refuse writes of foreign web pages, and callers that do not read their replies. Take the share of the caller, and a
    ///    permit of the namespace, and hold them until the reply is delivered.
    /// 5. *Authorize* the RPC, if it is known. It comes after the limits, so that evaluating policies is limited too.
    ///
    /// [`Admitted::call`] has the steps after these.
    pub async fn admit(&self, arrival: Arrival<'_>) -> Result<Admitted<'_>, Box<Refused>> {
        let Arrival { peer, namespace, protocol, target, headers, timeout, origin } = arrival;
        let began = Instant::now();
        let (trace, span) = match &self.tracer {
            Some(tracer) => tracer.start(headers),
            None => (TraceContext::from_headers(headers), None),
        };
        let context = Context {
            namespace: namespace.name.clone(),
            request_id: RequestId::from_headers(headers),
            peer: peer.clone(),
            credentials: Credentials::from_headers(headers),
            principal: Principal::anonymous(),
            deadline: None,
            trace,
            protocol,
            metadata: HeaderMap::new(),
        };
        let mut observer = CallObserver::begin(namespace.clone(), target, context, span, began, self.log);
        let access = namespace.access.get();
        let authenticated = match &access {
            Some(access) => access.control.authenticate(&observer.context.peer, &observer.context.credentials).result().await.map(Some),
            // Everybody is anonymous.
            None => Ok(None),
        };
        let checked = match authenticated {
            Ok(principal) => {
                if let Some(principal) = principal {
                    observer.context.principal = principal;
                }
                grant(&observer, access, origin).await.and_then(|granted| Ok((granted, timeout?)))
            }
            Err(error) => Err(error),
        };
        match checked {
            Ok((Grant { permit, share, access }, timeout)) => Ok(Admitted {
                tasks: &self.tasks,
                ending: &self.ending,
                observer,
                access,
                permit: Some(permit),
                share,
                reservation: None,
                timeout,
                origin,
            }),
            Err(error) => Err(Box::new(Refused { observer, error })),
        }
    }

    /// Observes a request that the listener answers itself. It is counted by listener, and logged.
    pub fn admit_listener_request(
        &self,
        peer: &Arc<Peer>,
        target: ListenerTarget,
        (method, path): (&http::Method, &str),
        headers: &HeaderMap,
    ) -> ListenerRequest<'_> {
        ListenerRequest {
            meters: &self.listeners,
            log: self.log,
            peer: peer.clone(),
            target,
            request_id: RequestId::from_headers(headers),
            began: Instant::now(),
            line: (method.clone(), path.to_owned()),
        }
    }
}

/// What a request gets that may be served.
struct Grant {
    permit: Permit,
    /// In a box, because most requests have none, and this is moved for each.
    share: Option<Box<Share>>,
    access: Option<GrantedAccess>,
}

/// Returns what a request gets, if it may be served.
async fn grant(observer: &CallObserver, access: Option<Arc<InstalledAccess>>, origin: Origin) -> Result<Grant, Error> {
    let CallObserver { target, context, namespace, .. } = observer;
    origin.check(target.writes())?;
    if let Some(backlog) = &context.peer.backlog {
        backlog.check()?;
    }
    let share = match &access {
        Some(access) => access.control.acquire(context, target.rpc().map(|method| &**method))?.map(Box::new),
        None => None,
    };
    let permit = namespace.acquire(target.is_stream())?;
    let mut access = access.map(|access| GrantedAccess::new(access, target.rpc().cloned()));
    if let Some(access) = &mut access {
        let method = match target {
            Target::Rpc(method) => Some(method),
            // A document shows what `GetCapabilities` returns.
            Target::Page(Page::Document) => namespace.methods.iter().find(|method| method.name == "GetCapabilities"),
            // The RPCs are authorized when they are called.
            Target::Page(Page::Operation | Page::Graphql | Page::Mcp | Page::Ticket) => None,
        };
        if let Some(method) = method {
            access.authorize(context, namespace, method).await?;
        }
    }
    Ok(Grant { permit, share, access })
}
