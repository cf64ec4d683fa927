//! The sequence numbers of ordered messages, one counter for each topic and ordering key.

use std::{collections::HashMap, sync::Arc};

use crate::state::{OVERHEAD, SharedState};
use prism_call::Error;
use prism_driver::time::Millis;

/// A counter is removed when nobody has published with its key for a day, as the contract allows.
const REMOVE_AFTER: Millis = 24 * 60 * 60 * 1000;
/// How often unused counters are looked for.
const CHECK_INTERVAL: Millis = 60 * 60 * 1000;

/// The counters of one keyspace, by topic and ordering key.
pub struct Sequences {
    shared: Arc<SharedState>,
    topics: HashMap<String, HashMap<String, Sequence>>,
    last_check: Millis,
}

/// The counter of one topic and ordering key.
#[derive(Default)]
pub struct Sequence {
    /// Number of the last message.
    pub last: u64,
    /// When the last message was published.
    pub published: Millis,
}

impl Sequences {
    pub fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, topics: HashMap::new(), last_check: 0 }
    }

    /// The counter of a topic and an ordering key. Reserves bytes for a new one.
    pub fn get(&mut self, topic: &str, key: &str) -> Result<&mut Sequence, Error> {
        if !self.topics.get(topic).is_some_and(|sequences| sequences.contains_key(key)) {
            self.shared.reserve(size(topic, key))?;
            self.topics.entry(topic.to_owned()).or_default().insert(key.to_owned(), Sequence::default());
        }
        Ok(self.topics.entry(topic.to_owned()).or_default().entry(key.to_owned()).or_default())
    }

    /// Removes counters that were not used for a day.
    pub fn remove_unused(&mut self, now: Millis) {
        if now - self.last_check < CHECK_INTERVAL {
            return;
        }
        self.last_check = now;
        let shared = self.shared.clone();
        self.topics.retain(|topic, sequences| {
            sequences.retain(|key, sequence| {
                let keep = now - sequence.published < REMOVE_AFTER;
                if !keep {
                    shared.release(size(topic, key));
                }
                keep
            });
            !sequences.is_empty()
        });
    }
}

impl Drop for Sequences {
    fn drop(&mut self) {
        let sizes = self.topics.iter().flat_map(|(topic, sequences)| sequences.keys().map(move |key| size(topic, key)));
        self.shared.release(sizes.sum());
    }
}

fn size(topic: &str, key: &str) -> u64 {
    (topic.len() + key.len()) as u64 + OVERHEAD
}
