//! Access control, from outside: who may call what, over every protocol.

mod admin;
mod authentication;
mod caller;
mod certificates;
mod decision_point;
mod graphql;
mod introspection;
mod policy;
mod proxies;
mod quotas;
mod service;
mod streams;
mod tenants;
mod tickets;
