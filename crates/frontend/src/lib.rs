//! HTTP frontends as data: transcodes HTTP requests to protobuf messages, and replies to HTTP responses. Does no I/O, except to load
//! definition files.
//!
//! A [`Route`](route::Route) binds an HTTP method and a path template to an RPC. [`router`] finds the route of a request. [`bind`] builds
//! the request message from path, query and body. [`render`] turns a reply into a response body, and [`problem`] turns an error into a
//! problem document. [`precondition`] handles `If-Match` and `If-None-Match`. [`json`] and [`wire`] read and write messages by the tables
//! in [`message_types`].
//!
//! The routes of Prism's own patterns come from the `google.api.http` annotations in the protos ([`rule`]). The routes of other HTTP APIs
//! come from a [`definition`] in YAML, which is compiled into a [`mapping`]. A mapping copies fields where a path of names is enough, and
//! evaluates an [`expression`] where it is not.

pub mod bind;
pub mod conditional;
pub mod definition;
pub mod expression;
pub mod headers;
pub mod json;
pub mod json_pointer;
pub mod mapping;
pub mod message_types;
pub mod openapi;
pub mod percent;
pub mod precondition;
pub mod problem;
pub mod render;
pub mod route;
pub mod router;
pub mod rule;
pub mod scalar;
pub mod segment_pattern;
pub mod template;
#[cfg(test)]
mod tests;
pub mod time;
pub mod wire;
