//! The log of decisions: one line for a decision of a policy, written through `tracing` with the target `prism::policy`. It has no values of requests.

use std::sync::atomic::{AtomicU64, Ordering};

use super::policy::Decision;
use prism_call::{Context, Method};

/// Which decisions are logged: all (1), one of so many, or none (0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionSampling {
    /// Calls that are denied.
    pub denied: u32,
    /// Calls that are allowed.
    pub allowed: u32,
}

/// The log of decisions about the calls of one namespace.
#[derive(Debug)]
pub struct DecisionLog {
    sampling: DecisionSampling,
    denied: AtomicU64,
    allowed: AtomicU64,
}

impl DecisionLog {
    /// Creates the log. `None`: nothing is logged.
    pub fn new(sampling: DecisionSampling) -> Option<Self> {
        (sampling != DecisionSampling::default()).then(|| Self { sampling, denied: AtomicU64::new(0), allowed: AtomicU64::new(0) })
    }

    /// Writes a decision, if its turn has come. One that waits for the request is none.
    pub fn write(&self, context: &Context, method: &Method, decision: &Decision) {
        let (count, every, word, rule) = match decision {
            Decision::DependsOnRequest => return,
            Decision::Allowed { rule } => (&self.allowed, self.sampling.allowed, "allowed", Some(rule)),
            Decision::Denied { rule, .. } => (&self.denied, self.sampling.denied, "denied", rule.as_ref()),
        };
        if every == 0 || !count.fetch_add(1, Ordering::Relaxed).is_multiple_of(every.into()) {
            return;
        }
        tracing::info!(
            target: "prism::policy",
            decision = word,
            rule = rule.map(|rule| &**rule),
            one_of = every,
            namespace = %context.namespace,
            method = &*method.label,
            protocol = context.protocol.name(),
            principal = %context.principal.subject,
            tenant = %context.principal.tenant,
            peer = context.peer.address.map(tracing::field::display),
            request_id = %context.request_id,
            trace_id = %context.trace.trace_id(),
            "decision"
        );
    }
}
