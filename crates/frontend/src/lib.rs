//! The protocol bindings that are data: from an HTTP request to a message and back, without any I/O but for files that are
//! loaded.
//!
//! A [`Route`](route::Route) binds a method and a path template to an RPC. [`router`] finds it, [`bind`] makes the request
//! message of path, query and body, [`render`] makes a response of the reply, [`problem`] of an error, and [`precondition`] tells
//! what `If-Match` asks. [`json`] and [`wire`]
//! transcode by the tables of [`schema`]. The routes of Prism's own patterns come from the `google.api.http` annotations in
//! the protos ([`rule`]). Those of any other HTTP API come from a [`definition`] in YAML, compiled into a [`mapping`]; what
//! paths of names can't say, an [`expression`] does.

pub mod bind;
pub mod definition;
pub mod expression;
pub mod json;
pub mod mapping;
pub mod openapi;
pub mod percent;
pub mod precondition;
pub mod problem;
pub mod render;
pub mod route;
pub mod router;
pub mod rule;
pub mod scalar;
pub mod schema;
pub mod template;
#[cfg(test)]
mod tests;
pub mod time;
pub mod wire;
