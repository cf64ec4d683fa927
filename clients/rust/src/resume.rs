//! Streams that continue where they were interrupted.

/// A request whose stream can continue after a cursor.
pub trait ResumableRequest: prost::Message + Clone + Default + 'static {
    /// Lets the stream continue after a cursor.
    fn set_cursor(&mut self, cursor: &str);

    /// Lowers the limit of the stream by what was received. Returns `false` if nothing is left.
    fn lower_limit(&mut self, received: u32) -> bool {
        let _ = received;
        true
    }
}

/// A message with the cursor after which the stream can continue.
pub trait ResumableReply: prost::Message + Default + 'static {
    /// Returns the cursor; it is empty if the stream can't continue after this message.
    fn cursor(&self) -> &str;
}
