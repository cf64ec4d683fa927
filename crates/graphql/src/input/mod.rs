//! Input: values of variables and arguments, and the request messages that they become.

mod encode;
mod variables;

pub use encode::encode_arguments;
pub use variables::{coerce_variables, resolve_variables};
