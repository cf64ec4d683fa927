//! The values of the column `state` of `messages`.

/// The message can be delivered.
pub const READY: i64 = 0;
/// The message was delivered, and its lease has not ended.
pub const LEASED: i64 = 1;
/// The message becomes ready at its delivery time.
pub const SCHEDULED: i64 = 2;
