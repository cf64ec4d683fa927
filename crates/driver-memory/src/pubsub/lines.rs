//! How far each line of ordered messages is.

use std::{collections::HashMap, sync::Arc};

use super::super::shared::{OVERHEAD, Shared};
use prism_call::Error;
use prism_driver::time::Millis;

/// A line is forgotten when nobody has published to it for a day, as the contract allows.
const FORGOTTEN_AFTER: Millis = 24 * 60 * 60 * 1000;
/// Lines are looked through for forgotten ones no more often than this.
const LOOK_EVERY: Millis = 60 * 60 * 1000;

pub struct Lines {
    shared: Arc<Shared>,
    topics: HashMap<String, HashMap<String, Line>>,
    looked: Millis,
}

#[derive(Default)]
pub struct Line {
    /// Number of the last message.
    pub sequence: u64,
    /// When it was published.
    pub published: Millis,
}

impl Lines {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, topics: HashMap::new(), looked: 0 }
    }

    /// A line; a new one takes its room here.
    pub fn line(&mut self, topic: &str, line: &str) -> Result<&mut Line, Error> {
        if !self.topics.get(topic).is_some_and(|lines| lines.contains_key(line)) {
            self.shared.reserve(size(topic, line))?;
            self.topics.entry(topic.to_owned()).or_default().insert(line.to_owned(), Line::default());
        }
        Ok(self.topics.entry(topic.to_owned()).or_default().entry(line.to_owned()).or_default())
    }

    /// Forgets what nobody has published to for long.
    pub fn forget(&mut self, now: Millis) {
        if now - self.looked < LOOK_EVERY {
            return;
        }
        self.looked = now;
        let shared = self.shared.clone();
        self.topics.retain(|topic, lines| {
            lines.retain(|name, line| {
                let keep = now - line.published < FORGOTTEN_AFTER;
                if !keep {
                    shared.release(size(topic, name));
                }
                keep
            });
            !lines.is_empty()
        });
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let lines = self.topics.iter().flat_map(|(topic, lines)| lines.keys().map(move |line| size(topic, line)));
        self.shared.release(lines.sum());
    }
}

fn size(topic: &str, line: &str) -> u64 {
    (topic.len() + line.len()) as u64 + OVERHEAD
}
