//! What drivers share: how time, cursors and sizes look in the contracts. Nothing here knows a backend.

pub mod check;
pub mod cursor;
pub mod duration;
pub mod range;
pub mod time;
pub mod transactions;
