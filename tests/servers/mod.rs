//! Real servers for tests: started on free ports with temporary data, and stopped when they are dropped.
//!
//! A test binary takes this in with `#[path = "../servers/mod.rs"] mod servers;`. A server that is not installed is a
//! failure that says what to run, never a test that is left out.

mod certificate;
mod process;
mod redis;

#[allow(unused_imports, reason = "not every test binary has TLS of its own")]
pub use certificate::Certificate;
#[allow(unused_imports, reason = "not every test binary wants a server that is special")]
pub use redis::Options;
pub use redis::Redis;
