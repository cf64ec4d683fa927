//! The namespace of a call: a handler for one service, with limits and meters.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    AccessControl, Code, Context, Credentials, Error, Handler, Idempotency, IssuedTicket, Method, Metrics, access::AccessSlot,
    metrics::NamespaceMeters,
};

/// Limits for the calls of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Maximum bytes of one request message.
    pub max_message_bytes: usize,
    /// Maximum calls in flight, without streams. Further calls fail with `RESOURCE_EXHAUSTED TOO_MANY_CALLS`.
    pub max_concurrent_calls: usize,
    /// Maximum open streams. Further ones fail with `RESOURCE_EXHAUSTED TOO_MANY_STREAMS`.
    pub max_streams: usize,
    /// Deadline of a unary call without a deadline from its client.
    pub timeout: Duration,
    /// Longest deadline that a client may set. Longer ones are reduced to it.
    pub max_timeout: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            max_concurrent_calls: 4096,
            max_streams: 1024,
            timeout: Duration::from_secs(30),
            max_timeout: Duration::from_hours(24),
        }
    }
}

/// The unit of tenancy, routing, limits and metrics.
pub struct Namespace {
    /// Unique name.
    pub name: Arc<str>,
    /// Name of the pattern, for example `keyvalue`.
    pub pattern: Arc<str>,
    /// Full name of the pattern's service.
    pub service: String,
    /// Full names of the services of interfaces that it serves beside the pattern's own.
    pub interface_services: Vec<&'static str>,
    /// The RPCs of all services.
    pub methods: Arc<[Arc<Method>]>,
    /// Limits of its calls.
    pub limits: CallLimits,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) idempotency: Idempotency,
    pub(super) access: AccessSlot,
    pub(super) permits: Arc<Semaphore>,
    pub(super) stream_permits: Arc<Semaphore>,
    /// Ends the streams of the namespace.
    pub(super) retired: CancellationToken,
    pub(super) meters: Arc<NamespaceMeters>,
}

impl Namespace {
    /// Creates a namespace that serves these RPCs with one handler. The first one is of the pattern's own service.
    pub fn new(
        name: &str,
        pattern: &str,
        methods: impl Into<Arc<[Arc<Method>]>>,
        handler: Arc<dyn Handler>,
        limits: CallLimits,
        metrics: &Metrics,
    ) -> Self {
        let name: Arc<str> = name.into();
        let methods = methods.into();
        Self {
            pattern: pattern.into(),
            service: methods.first().map(|method| method.service.clone()).unwrap_or_default(),
            interface_services: Vec::new(),
            meters: metrics.namespace(&name, methods.len()),
            name,
            methods,
            handler,
            idempotency: Idempotency::default(),
            access: AccessSlot::default(),
            permits: Arc::new(Semaphore::new(limits.max_concurrent_calls.min(Semaphore::MAX_PERMITS))),
            stream_permits: Arc::new(Semaphore::new(limits.max_streams.min(Semaphore::MAX_PERMITS))),
            retired: CancellationToken::new(),
            limits,
        }
    }

    /// Sets the services of interfaces. Their RPCs are among those of the namespace.
    #[must_use]
    pub fn with_interface_services(mut self, services: Vec<&'static str>) -> Self {
        self.interface_services = services;
        self
    }

    /// Returns whether an RPC is one of this namespace.
    pub fn has(&self, method: &Method) -> bool {
        self.methods.get(method.index).is_some_and(|own| own.path == method.path)
    }

    /// Sets how idempotency keys are handled.
    #[must_use]
    pub fn with_idempotency(mut self, idempotency: Idempotency) -> Self {
        self.idempotency = idempotency;
        self
    }

    /// Replaces the access control of further requests. `None`: everybody is anonymous and may do everything. Streams that are open are
    /// checked again, and end if their callers are refused. Streams that were opened without access control are not checked; only
    /// [`retire`](Self::retire) ends them.
    pub fn set_access(&self, control: Option<Arc<dyn AccessControl>>) {
        self.access.set(control);
    }

    /// Returns a ticket with the credentials of a caller, for streams of one path.
    pub fn issue_ticket(&self, context: &Context, path: &str) -> Result<IssuedTicket, Error> {
        match self.access.get() {
            Some(access) => access.control.issue_ticket(context, path),
            None => Err(Error::new(
                Code::InvalidArgument,
                "NO_TICKET_NEEDED",
                "this namespace asks nobody for credentials, and so needs no tickets",
            )),
        }
    }

    /// Returns the credentials in a ticket, or `None` if it is not valid for this path now.
    pub fn redeem_ticket(&self, ticket: &str, path: &str) -> Option<Credentials> {
        self.access.get()?.control.redeem_ticket(ticket, &self.name, path)
    }

    /// Ends the streams of the namespace with `UNAVAILABLE NAMESPACE_CHANGED`, because a later generation replaces it. Calls finish.
    pub fn retire(&self) {
        self.retired.cancel();
    }

    /// Returns the handler.
    pub fn handler(&self) -> &Arc<dyn Handler> {
        &self.handler
    }
}
