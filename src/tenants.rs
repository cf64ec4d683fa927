//! Namespaces with a `scope`: each tenant, or each caller, has a handler of its own, whose slots are keyspaces of its own. So no RPC of any
//! pattern can reach the data of another one: there is nothing that a pattern or a driver has to remember.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as Poll, Poll as Polled},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use futures::Stream;
use tokio::sync::OnceCell;

use crate::{
    backends::{ConnectedBackend, fill_slots, open_pattern},
    lifecycle::OpenHandler,
};
use prism_call::{
    AuthenticationMethod, BackgroundTasks, Code, Context, Error, Handler, Input, Messages, Method, Metrics, Output, Principal, Reply,
    StreamMessage,
};
use prism_config::{self as config, Scope, ScopeKind};
use prism_pattern::Pattern;

/// Longest name of a tenant that is readable in the names of keyspaces.
const MAX_READABLE: usize = 63;
/// Bytes of the digest of any other name. The whole digest would make some names longer than NATS allows.
const DIGEST_BYTES: usize = 20;
/// Time without calls after which the handler of a tenant is closed.
const IDLE: Duration = Duration::from_mins(10);
/// The RPC that says nothing about data, and that is also called without a caller.
const CAPABILITIES: &str = "GetCapabilities";

/// What is needed to open a handler for one more tenant.
pub struct TenantSource {
    pub pattern: &'static Pattern,
    pub definition: config::Namespace,
    pub backends: BTreeMap<String, Arc<ConnectedBackend>>,
    pub metrics: Metrics,
}

/// Calls the handler of the caller's tenant.
pub struct TenantHandler {
    scope: Scope,
    source: TenantSource,
    /// Answers what does not depend on data.
    common: Arc<dyn Handler>,
    tenants: Arc<Tenants>,
    /// Those of the namespace, whose end waits until tenants are closed.
    tasks: BackgroundTasks,
}

/// The tenants that are served, by their keyspaces.
type Tenants = Mutex<HashMap<String, Arc<Tenant>>>;

/// A tenant that is being served.
struct Tenant {
    opened: OnceCell<OpenHandler>,
    activity: Mutex<Activity>,
}

/// The calls of a tenant.
struct Activity {
    /// Calls that have not ended.
    active: usize,
    /// When the last one ended.
    ended: Instant,
}

impl TenantHandler {
    /// Creates the handler of a namespace. Tenants without calls are closed by a background task.
    pub fn new(scope: Scope, source: TenantSource, common: Arc<dyn Handler>, tasks: &BackgroundTasks) -> Self {
        let tenants = Arc::<Tenants>::default();
        let (all, closing) = (tenants.clone(), tasks.clone());
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(IDLE / 10).await;
                for unused in take(&all, |tenant| tenant.idle().is_some_and(|idle| idle >= IDLE)) {
                    close(&closing, unused);
                }
            }
        });
        Self { scope, source, common, tenants, tasks: tasks.clone() }
    }

    /// Begins a call of a tenant.
    fn enter(&self, keyspace: &str) -> Result<ActiveCall, Error> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(keyspace) {
            return Ok(ActiveCall::begin(known.clone()));
        }
        if tenants.len() >= self.scope.max_open {
            let longest = tenants.iter().filter_map(|(name, tenant)| Some((tenant.idle()?, name))).max();
            let Some((_, name)) = longest else { return Err(self.too_many()) };
            let name = name.clone();
            if let Some(unused) = tenants.remove(&name) {
                close(&self.tasks, unused);
            }
        }
        let tenant = Arc::new(Tenant { opened: OnceCell::new(), activity: Mutex::new(Activity { active: 0, ended: Instant::now() }) });
        let call = ActiveCall::begin(tenant.clone());
        tenants.insert(keyspace.to_owned(), tenant);
        Ok(call)
    }

    fn too_many(&self) -> Error {
        let message = format!(
            "the gateway serves {} tenants of this namespace at this moment, the maximum (scope.max_open); try again later",
            self.scope.max_open
        );
        Error::new(Code::ResourceExhausted, "TENANTS_IN_USE", message).with_retry_after(Duration::from_secs(1))
    }

    /// Opens the handler of a tenant.
    async fn open(&self, tenant: &str) -> Result<OpenHandler, Error> {
        let TenantSource { pattern, definition, backends, metrics } = &self.source;
        let tasks = BackgroundTasks::default();
        let slots = fill_slots(definition, backends, Some(tenant))?;
        let handler = open_pattern(pattern, definition, slots, tasks.clone(), metrics).await?;
        Ok(OpenHandler { namespace: definition.name.clone(), handler, tasks })
    }
}

#[async_trait]
impl Handler for TenantHandler {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        if method.interface.is_none() && method.name == CAPABILITIES {
            return self.common.handle(context, method, input).await;
        }
        let name = scope_name(self.scope.by, &context.principal)?;
        let call = self.enter(&name)?;
        let opened = call.tenant.opened.get_or_try_init(|| self.open(&name)).await?;
        let mut reply = opened.handler.handle(context, method, input).await?;
        if let Output::Stream(messages) = reply.output {
            reply.output = Output::Stream(Box::pin(TenantStream { messages, _call: call }));
        }
        Ok(reply)
    }

    async fn close(&self) {
        let all = take(&self.tenants, |_| true);
        futures::future::join_all(all.iter().map(|tenant| tenant.close())).await;
        self.common.close().await;
    }
}

/// Closes a tenant in the background. The end of the namespace does not interrupt it, so that what the tenant does in the background ends.
fn close(tasks: &BackgroundTasks, tenant: Arc<Tenant>) {
    tasks.tracker().spawn(async move { tenant.close().await });
}

/// Removes tenants.
fn take(tenants: &Tenants, is_wanted: impl Fn(&Tenant) -> bool) -> Vec<Arc<Tenant>> {
    let mut tenants = tenants.lock().unwrap_or_else(PoisonError::into_inner);
    tenants.extract_if(|_, tenant| is_wanted(tenant)).map(|(_, tenant)| tenant).collect()
}

impl Tenant {
    /// Returns the time since the last call, if there is none now.
    fn idle(&self) -> Option<Duration> {
        let used = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        (used.active == 0).then(|| used.ended.elapsed())
    }

    async fn close(&self) {
        if let Some(opened) = self.opened.get() {
            opened.close().await;
        }
    }
}

/// A call of a tenant that has not ended.
struct ActiveCall {
    tenant: Arc<Tenant>,
}

impl ActiveCall {
    fn begin(tenant: Arc<Tenant>) -> Self {
        tenant.activity.lock().unwrap_or_else(PoisonError::into_inner).active += 1;
        Self { tenant }
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let mut used = self.tenant.activity.lock().unwrap_or_else(PoisonError::into_inner);
        used.active -= 1;
        used.ended = Instant::now();
    }
}

/// The stream of a call, which ends with it.
struct TenantStream {
    messages: Messages<StreamMessage>,
    _call: ActiveCall,
}

impl Stream for TenantStream {
    type Item = Result<StreamMessage, Error>;

    fn poll_next(mut self: Pin<&mut Self>, poll: &mut Poll<'_>) -> Polled<Option<Self::Item>> {
        self.messages.as_mut().poll_next(poll)
    }
}

/// Returns the name of the caller's data. Different callers have different names: a readable one is short and in lower case, so that it
/// differs also where case is ignored, and all others are digests with a mark before them.
fn scope_name(by: ScopeKind, principal: &Principal) -> Result<Cow<'_, str>, Error> {
    let (tenant, subject) = (&*principal.tenant, &*principal.subject);
    let (parts, plain): (&[&str], _) = match by {
        ScopeKind::Tenant if tenant.is_empty() => {
            let message = "the namespace separates tenants, and the caller has none; use credentials with a tenant";
            return Err(Error::new(Code::PermissionDenied, "NO_TENANT", message));
        }
        ScopeKind::Subject if principal.method == AuthenticationMethod::None => {
            let message = "the namespace separates callers, and the caller is anonymous; send credentials";
            return Err(Error::new(Code::Unauthenticated, "NO_SUBJECT", message));
        }
        ScopeKind::Tenant => (&[tenant], tenant),
        ScopeKind::Subject if tenant.is_empty() => (&[subject], subject),
        ScopeKind::Subject => (&[tenant, subject], ""),
    };
    let is_readable = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, b'-' | b'_');
    if (1..=MAX_READABLE).contains(&plain.len()) && plain.bytes().all(is_readable) {
        return Ok(plain.into());
    }
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    let mut name = "~".to_owned();
    for byte in digest(&SHA256, &text).as_ref().iter().take(DIGEST_BYTES) {
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name.into())
}
