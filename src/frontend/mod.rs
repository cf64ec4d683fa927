//! The protocol bindings that are data: from an HTTP request to a message and back, without any I/O.
//!
//! A [`Route`](route::Route) binds a method and a path template to an RPC. [`router`] finds it, [`bind`] makes the request
//! message of path, query and body, [`render`] makes a response of the reply, [`problem`] of an error, and [`precondition`] tells
//! what `If-Match` asks. [`json`] and [`wire`]
//! transcode by the tables of [`schema`]. The routes of Prism's own patterns come from the `google.api.http` annotations in
//! the protos ([`rule`]); whatever describes routes in another way compiles into the same pieces.

pub mod bind;
pub mod expression;
pub mod json;
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
