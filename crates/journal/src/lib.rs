//! A journal: a log of changes in a key-value slot, which all gateways share. Every gateway applies the same entries in the same order to
//! a state in memory, and appends its own.
//!
//! The journal knows nothing of the changes: a [`JournalState`] has their type and applies them.
//!
//! A read first gets the key `head`. If `head` is the one that the state in memory was built from, the state is up to date. Otherwise
//! the gateway reads and applies the entries in between. So a read on any gateway sees every write that was acknowledged before the
//! read began. A change is planned on the state and appended on the condition that `head` is still the same; otherwise it is planned
//! again. So each decision in a plan, such as the next id, is made once, however many gateways there are and whenever one of them
//! stops. `prism/journal/v1/journal.proto` defines the keys and values.

mod journal;
mod options;
mod replica;
mod snapshot;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use journal::{Journal, Plan};
pub use options::JournalOptions;
pub use state::JournalState;
pub use store::{AtomicWrite, Store};
