//! The access control of one namespace.

use std::{collections::HashMap, sync::Arc};

use super::{
    chain::MethodChain,
    decision_log::DecisionLog,
    policy::{CallFacts, Decision, Policy},
    quota::Quotas,
    ticket::Tickets,
};
use prism_call::{AccessControl, Authentication, Authorization, Context, Credentials, Error, IssuedTicket, Method, Namespace, Peer, Share};

/// The access control of one namespace.
pub struct NamespaceAccess {
    /// The methods of authentication, by listener. A listener without an entry serves nobody.
    pub listeners: HashMap<String, Arc<MethodChain>>,
    /// Who may call what. `None`: everybody may call everything.
    pub policy: Option<Arc<Policy>>,
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

    fn acquire(&self, context: &Context) -> Result<Option<Share>, Error> {
        self.quotas.as_ref().map(|quotas| quotas.acquire(context)).transpose()
    }

    fn authorize(&self, context: &Context, namespace: &Namespace, method: &Method) -> Result<Authorization, Error> {
        self.decide(context, namespace, method, None)
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
    fn decide(&self, context: &Context, namespace: &Namespace, method: &Method, message: Option<&[u8]>) -> Result<Authorization, Error> {
        let Some(policy) = &self.policy else { return Ok(Authorization::Granted) };
        let call = call_facts(context, namespace, method);
        let decision = policy.decide(&call, message);
        if let Some(log) = &self.decisions {
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
