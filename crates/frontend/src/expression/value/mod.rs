//! Converts between expression values, JSON and messages.

mod assign;
mod json;
mod message;
mod put;
mod put_message;

pub use assign::assignable;
pub use json::{from_json, to_json};
pub use message::{from_field, from_message};
pub use put::{put, put_known, put_message};
