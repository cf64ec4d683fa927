//! Frames the messages of a stream as lines, events or list items.

use std::time::Duration;

use super::{Format, RenderMessage};
use crate::problem::ProblemDocument;
use prism_call::Error;

/// The time without events after which a comment is sent, so that proxies do not close the connection.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// The time that a client of an event stream waits before it reconnects.
pub const RETRY: Duration = Duration::from_secs(2);

/// Writes the frames of one stream.
#[derive(Debug)]
pub struct Frames {
    format: Format,
    first: bool,
}

impl Frames {
    /// Creates a writer for [`Format::List`] or [`Format::Events`]. All other formats are written as lines.
    pub const fn new(format: Format) -> Self {
        Self { format, first: true }
    }

    /// Appends the text before the first message.
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
                // An id that would break the framing is omitted.
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

    /// Appends an error as the last frame, so that a client which reads to the end sees it.
    pub fn error(&mut self, error: &Error, out: &mut Vec<u8>) {
        match self.format {
            Format::Events => out.extend_from_slice(b"event: error\ndata: "),
            Format::List if !self.first => out.extend_from_slice(b",\n{\"error\":"),
            _ => out.extend_from_slice(b"{\"error\":"),
        }
        ProblemDocument::of(error).write(out);
        self.first = false;
        if self.format != Format::Events {
            out.push(b'}');
        }
        self.after(out);
    }

    /// Appends the text after the last message.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.format == Format::List {
            out.extend_from_slice(b"]\n");
        }
    }

    /// Returns the frame that keeps an idle stream alive. Lines and lists have none.
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
