//! Access control: who calls, what they may do, and how much.
//!
//! An [`AuthenticatorKind`] is one way to authenticate callers: API keys, HTTP Basic, client certificates, JSON Web Tokens, opaque
//! tokens. A [`MethodChain`] has the methods of a listener or of a namespace, in order. [`NamespaceAccess`] puts everything together that the pipeline
//! asks about a namespace.

mod cache;
mod certificate;
mod chain;
mod claims;
mod decision_log;
mod decision_point;
mod failures;
mod http_client;
mod introspection;
mod jwt;
pub mod keys;
mod kind;
mod method;
mod namespace;
mod network;
pub mod policy;
mod quota;
mod service;
mod single_flight;
#[cfg(test)]
mod tests;
mod ticket;

pub use chain::MethodChain;
pub use decision_log::{DecisionLog, DecisionSampling};
pub use decision_point::{DecisionPoint, check as check_decision_point, files as decision_point_files, schema as decision_point_schema};
pub use failures::FailureLimiter;
pub use kind::{AuthenticatorKind, AuthenticatorSettings, KINDS, find};
pub use method::{Attempt, Method, Verdict};
pub use namespace::NamespaceAccess;
pub use quota::{CallRate, QuotaLimits, QuotaSettings, Quotas};
pub use ticket::Tickets;
