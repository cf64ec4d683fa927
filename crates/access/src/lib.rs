//! Access control: who calls, what they may do, and how much.
//!
//! An [`AuthenticatorKind`] is one way to authenticate callers: API keys, HTTP Basic, client certificates, JSON Web Tokens. A
//! [`MethodChain`] has the methods of a listener or of a namespace, in order. [`NamespaceAccess`] puts everything together that the pipeline
//! asks about a namespace.

mod cache;
mod certificate;
mod chain;
mod decision_log;
mod failures;
pub mod keys;
mod jwt;
mod kind;
mod method;
mod namespace;
mod network;
pub mod policy;
mod quota;
mod ticket;

pub use chain::MethodChain;
pub use decision_log::{DecisionLog, DecisionSampling};
pub use failures::FailureLimiter;
pub use kind::{AuthenticatorKind, AuthenticatorSettings, KINDS, find};
pub use method::{Attempt, Method, Verdict};
pub use namespace::NamespaceAccess;
pub use quota::{CallRate, QuotaLimits, QuotaSettings, Quotas};
pub use ticket::Tickets;
