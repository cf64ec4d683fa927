//! Access control, from outside: who may call what, over every protocol.

mod authentication;
mod caller;
mod graphql;
mod policy;
mod quotas;
mod streams;
mod tenants;
mod tickets;
