//! Tests of REST requests through the whole edge. Each is sent as a client sends it, to a handler that records its calls.

mod compression;
mod mapped;
mod panics;
mod preconditions;
mod several;
mod streams;
mod unary;

use crate::tests::*;
