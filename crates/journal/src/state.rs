//! What a journal is about: the type of its changes, and the state that they create.

use std::fmt;

/// The state that results from a journal, in memory.
///
/// # Behavior
/// - Only operations change it, so all gateways that applied the same entries have the same state.
/// - An operation contains the result of a decision, and not how it was decided, so that old entries keep their meaning.
pub trait JournalState: Default + fmt::Debug + Send + Sync + 'static {
    /// One change, as the journal stores it. A later release may add kinds of changes; for this release, these decode as an operation
    /// without content.
    type Operation: prost::Message + Default + 'static;

    /// What the journal is the data of, for messages: "the schema registry".
    const SUBJECT: &'static str;

    /// Applies an operation. It never fails: an operation on something that does not exist does nothing.
    fn apply(&mut self, operation: Self::Operation);

    /// Returns the operations that create this state from an empty one, in the order in which they must be applied.
    fn snapshot(&self) -> impl Iterator<Item = Self::Operation>;

    /// Returns about how many operations a snapshot has. Counting them may take time.
    fn snapshot_len(&self) -> usize;

    /// Whether the journal has operations that this release does not understand. A snapshot of such a state would lose them, so none is
    /// written.
    fn is_partial(&self) -> bool;
}
