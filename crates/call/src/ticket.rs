//! Tickets: credentials of a caller in a URL, for clients that can't send headers.

use std::time::SystemTime;

/// The beginning of every ticket.
pub const TICKET_PREFIX: &str = "prism_ticket_";

/// A ticket for the streams of one path of a namespace.
pub struct IssuedTicket {
    /// The ticket, in characters that need no escape in a URL. Never print it.
    pub ticket: String,
    /// Until when a stream may begin with it.
    pub expires: SystemTime,
}
