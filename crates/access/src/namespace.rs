//! The access control of one namespace.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::HeaderMap;

use super::{
    chain::MethodChain,
    decision_log::DecisionLog,
    decision_point::{Deciding, DecisionPoint},
    policy::{CallFacts, Decision, Policy},
    quota::Quotas,
    ticket::Tickets,
};
use prism_call::{
    AccessControl, Authenticate as _, Authentication, Authorization, Authorizing, Code, Context, Credentials, Error, IssuedTicket, Method,
    Namespace, Peer, Share,
};

/// The name of the decision point in the log of decisions, where rules have theirs.
const DECISION_POINT: &str = "(decision point)";
/// How long a caller should wait before the next attempt, if nobody can decide.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a decision is about.
type Call<'a> = (&'a Context, &'a Namespace, &'a Method);

/// The access control of one namespace.
pub struct NamespaceAccess {
    /// The methods of authentication, by listener. A listener without an entry serves nobody.
    pub listeners: HashMap<String, Arc<MethodChain>>,
    /// Who may call what. `None`: everybody may call everything.
    pub policy: Option<Arc<Policy>>,
    /// Who also decides, about calls that the policy allows. `None`: nobody.
    pub decision_point: Option<Arc<DecisionPoint>>,
    /// Where decisions are logged. `None`: nowhere.
    pub decisions: Option<DecisionLog>,
    /// How often callers may call. `None`: as often as they like.
    pub quotas: Option<Arc<Quotas>>,
    /// Tickets for event streams.
    pub tickets: Arc<Tickets>,
}

impl AccessControl for NamespaceAccess {
    fn authenticate<'a>(&'a self, peer: &'a Peer, credentials: &'a Credentials) -> Authentication<'a> {
        match self.listeners.get(&*peer.listener) {
            Some(chain) => chain.authenticate(peer, credentials),
            None => Authentication::Ready(Err(Error::unauthenticated())),
        }
    }

    fn issue_ticket(&self, context: &Context, path: &str) -> Result<IssuedTicket, Error> {
        self.tickets.issue(context, path)
    }

    fn redeem_ticket(&self, ticket: &str, namespace: &str, path: &str) -> Option<Credentials> {
        self.tickets.redeem(ticket, namespace, path)
    }

    fn acquire(&self, context: &Context, method: Option<&Method>) -> Result<Option<Share>, Error> {
        self.quotas.as_ref().map(|quotas| quotas.acquire(context, method)).transpose()
    }

    fn charge(&self, context: &Context, method: &Method, paid: Option<&Method>) -> Result<Option<HeaderMap>, Error> {
        self.quotas.as_ref().map_or(Ok(None), |quotas| quotas.charge(context, method, paid))
    }

    fn authorize<'a>(&'a self, context: &'a Context, namespace: &'a Namespace, method: &'a Method) -> Authorizing<'a> {
        let granted = match self.decide(context, namespace, method, None) {
            Ok(granted) => granted,
            Err(error) => return Authorizing::Ready(Err(error)),
        };
        let Some(point) = &self.decision_point else { return Authorizing::Ready(Ok(granted)) };
        match point.decide(&call_facts(context, namespace, method)) {
            Deciding::Known(allowed) => Authorizing::Ready(self.apply((context, namespace, method), allowed, granted)),
            Deciding::Asking(work) => Authorizing::Pending(Box::pin(async move {
                let Ok(allowed) = work.await else {
                    let message = "nobody can decide now whether this call is allowed; try again";
                    return Err(Error::new(Code::Unavailable, "DECISION_POINT_UNAVAILABLE", message).with_retry_after(RETRY_AFTER));
                };
                self.apply((context, namespace, method), allowed, granted)
            })),
        }
    }

    fn decision_lifetime(&self) -> Option<Duration> {
        self.decision_point.as_ref().map(|point| point.lifetime())
    }

    fn may_call(&self, context: &Context, namespace: &Namespace, method: &Method) -> bool {
        let Some(policy) = &self.policy else { return true };
        !matches!(policy.decide(&call_facts(context, namespace, method), None), Decision::Denied { .. })
    }

    fn authorize_message(&self, context: &Context, namespace: &Namespace, method: &Method, message: &[u8]) -> Result<(), Error> {
        self.decide(context, namespace, method, Some(message)).map(drop)
    }
}

impl NamespaceAccess {
    /// Applies a decision of the decision point to a call that the rules grant.
    fn apply(&self, (context, namespace, method): Call<'_>, allowed: bool, granted: Authorization) -> Result<Authorization, Error> {
        if let Some(log) = &self.decisions {
            let rule = || DECISION_POINT.into();
            let decision = if allowed { Decision::Allowed { rule: rule() } } else { Decision::Denied { rule: Some(rule()), reason: None } };
            log.write(context, method, &decision);
        }
        if allowed { Ok(granted) } else { Err(call_facts(context, namespace, method).denied_externally()) }
    }

    fn decide(&self, context: &Context, namespace: &Namespace, method: &Method, message: Option<&[u8]>) -> Result<Authorization, Error> {
        let Some(policy) = &self.policy else { return Ok(Authorization::Granted) };
        let call = call_facts(context, namespace, method);
        let decision = policy.decide(&call, message);
        // What the rules allow is logged when the decision point has decided too.
        let is_final = self.decision_point.is_none() || message.is_some() || !matches!(decision, Decision::Allowed { .. });
        if let Some(log) = self.decisions.as_ref().filter(|_| is_final) {
            log.write(context, method, &decision);
        }
        match decision {
            Decision::Allowed { .. } => Ok(Authorization::Granted),
            Decision::DependsOnRequest => Ok(Authorization::DependsOnRequest),
            Decision::Denied { rule, reason } => Err(call.denied(rule, reason)),
        }
    }
}

/// Returns what a policy knows about a call.
fn call_facts<'c>(context: &'c Context, namespace: &'c Namespace, method: &'c Method) -> CallFacts<'c> {
    CallFacts {
        principal: &context.principal,
        peer: &context.peer,
        namespace: &namespace.name,
        pattern: &namespace.pattern,
        method,
        protocol: context.protocol.name(),
    }
}
