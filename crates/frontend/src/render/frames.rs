//! How the messages of a stream stand one behind the other.

use std::time::Duration;

use super::{Format, RenderMessage};
use crate::problem::Problem;
use prism_call::Error;

/// How long an event stream may be silent before a comment is sent, so that proxies don't take it for dead.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a client of an event stream shall wait before it comes back.
pub const RETRY: Duration = Duration::from_secs(2);

/// Writes the messages of one stream.
#[derive(Debug)]
pub struct Frames {
    format: Format,
    first: bool,
}

impl Frames {
    /// In this form; [`Format::List`] and [`Format::Events`] differ from lines, which everything else becomes.
    pub const fn new(format: Format) -> Self {
        Self { format, first: true }
    }

    /// Appends what stands before the first message.
    pub fn begin(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Events => out.extend_from_slice(format!("retry: {}\n\n", RETRY.as_millis()).as_bytes()),
            Format::List => out.push(b'['),
            _ => {}
        }
    }

    /// Appends a message.
    pub fn message(&mut self, rendering: &(impl RenderMessage + ?Sized), message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        match self.format {
            Format::Events => {
                // An id that could break the framing is none.
                if let Some(cursor) = rendering.cursor(message).filter(|cursor| !cursor.contains(['\n', '\r', '\0'])) {
                    out.extend_from_slice(b"id: ");
                    out.extend_from_slice(cursor.as_bytes());
                    out.push(b'\n');
                }
                out.extend_from_slice(b"data: ");
            }
            Format::List if !self.first => out.extend_from_slice(b",\n"),
            _ => {}
        }
        if let Err(error) = rendering.json(message, out) {
            out.truncate(start);
            return Err(error);
        }
        self.first = false;
        self.after(out);
        Ok(())
    }

    /// Appends an error, which is the last that a stream says. A client that reads to the end can't miss it.
    pub fn error(&mut self, error: &Error, out: &mut Vec<u8>) {
        match self.format {
            Format::Events => out.extend_from_slice(b"event: error\ndata: "),
            Format::List if !self.first => out.extend_from_slice(b",\n{\"error\":"),
            _ => out.extend_from_slice(b"{\"error\":"),
        }
        Problem::of(error).write(out);
        self.first = false;
        if self.format != Format::Events {
            out.push(b'}');
        }
        self.after(out);
    }

    /// Appends what stands behind the last message.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.format == Format::List {
            out.extend_from_slice(b"]\n");
        }
    }

    /// What keeps a silent stream alive; nothing can be said between the items of a list or between lines.
    pub const fn heartbeat(&self) -> Option<&'static [u8]> {
        match self.format {
            Format::Events => Some(b":\n\n"),
            _ => None,
        }
    }

    fn after(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Events => out.extend_from_slice(b"\n\n"),
            Format::List => {}
            _ => out.push(b'\n'),
        }
    }
}
