//! How far each line of ordered messages is.

use std::{collections::HashMap, sync::Arc};

use super::super::shared::{OVERHEAD, Shared};
use crate::{call::Error, driver::common::time::Millis};

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
struct Line {
    sequence: u64,
    published: Millis,
}

impl Lines {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, topics: HashMap::new(), looked: 0 }
    }

    /// The number of the next message of a line, which [`advance`](Self::advance) makes the last one. A new line takes its
    /// room here.
    pub fn next(&mut self, topic: &str, line: &str) -> Result<u64, Error> {
        if let Some(line) = self.topics.get(topic).and_then(|lines| lines.get(line)) {
            return Ok(line.sequence + 1);
        }
        self.shared.reserve(size(topic, line))?;
        self.topics.entry(topic.to_owned()).or_default().insert(line.to_owned(), Line::default());
        Ok(1)
    }

    /// The next message of a line has been published.
    pub fn advance(&mut self, topic: &str, line: &str, now: Millis) {
        if let Some(line) = self.topics.get_mut(topic).and_then(|lines| lines.get_mut(line)) {
            line.sequence += 1;
            line.published = now;
        }
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
