//! Fuzzing of all parsers and of the whole gateway, on stable Rust. Nothing may panic, and what parsers promise must hold for any input.
//!
//! Each target runs for `PRISM_FUZZ_SECONDS` (2 by default; `.ci/run` and `scripts/fuzz` set it). Inputs are random mutations of seeds. The seed of
//! the generator is random; it is printed when a target fails, and `PRISM_FUZZ_SEED` sets it, so that a failure can be repeated.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

mod input;
mod parsers;
mod server;
