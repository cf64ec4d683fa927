//! Frames the messages of a stream as lines, events or list items.

use std::time::Duration;

use super::{Format, RenderMessage};
use crate::problem::ProblemDocument;
use prism_call::{Error, StreamMessage};

/// The time without events after which a comment is sent, so that proxies do not close the connection.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// The time that a client of an event stream waits before it reconnects, on average.
pub const RETRY: Duration = Duration::from_secs(2);

/// Tells whether an error means that records behind a cursor were removed.
pub fn is_gap(error: &Error) -> bool {
    error.reason() == "OFFSET_EXPIRED"
}

/// Writes the frames of one stream.
#[derive(Debug)]
pub struct Frames {
    format: Format,
    first: bool,
    retry: Duration,
}

impl Frames {
    /// Creates a writer for [`Format::List`] or [`Format::Events`]. All other formats are written as lines.
    pub const fn new(format: Format) -> Self {
        Self { format, first: true, retry: RETRY }
    }

    /// Sets the time that a client of an event stream waits before it reconnects.
    #[must_use]
    pub const fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }

    /// Appends the text before the first message.
    pub fn begin(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Events => out.extend_from_slice(format!("retry: {}\n\n", self.retry.as_millis()).as_bytes()),
            Format::List => out.push(b'['),
            _ => {}
        }
    }

    /// Appends a message.
    pub fn message(&mut self, rendering: &(impl RenderMessage + ?Sized), message: &StreamMessage, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        match self.format {
            Format::Events => {
                let event = rendering.event();
                // An id that would break the framing is omitted.
                if let Some(cursor) = event.and_then(|event| event.cursor(message)).filter(|cursor| !cursor.contains(['\n', '\r', '\0'])) {
                    out.extend_from_slice(b"id: ");
                    out.extend_from_slice(cursor.as_bytes());
                    out.push(b'\n');
                }
                if let Some(name) = event.and_then(|event| event.name(message)) {
                    out.extend_from_slice(b"event: ");
                    out.extend_from_slice(name.as_bytes());
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

    /// Appends an error as the last frame, so that a client which reads to the end sees it. A gap also removes the id, so that an
    /// `EventSource` does not resume at a place that is gone.
    pub fn error(&mut self, error: &Error, out: &mut Vec<u8>) {
        match self.format {
            Format::Events if is_gap(error) => out.extend_from_slice(b"id:\nevent: gap\ndata: "),
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
