//! A trie of topic patterns. Looking up a topic walks along its tokens.

use std::{collections::HashMap, str::Split};

/// Matches exactly one token.
const ANY: &str = "*";
/// Matches one or more tokens; only valid as the last token.
const REST: &str = ">";

/// Values by topic pattern. A pattern without wildcards is a topic.
pub struct Trie<T> {
    root: Node<T>,
}

struct Node<T> {
    children: HashMap<Box<str>, Node<T>>,
    /// Values whose pattern ends at this node, with their ids.
    here: Vec<(u64, T)>,
    /// Values whose pattern ends with `>` after this node.
    rest: Vec<(u64, T)>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { children: HashMap::new(), here: Vec::new(), rest: Vec::new() }
    }
}

impl<T> Trie<T> {
    pub fn insert(&mut self, pattern: &str, id: u64, value: T) {
        let mut node = &mut self.root;
        for token in pattern.split('.') {
            if token == REST {
                node.rest.push((id, value));
                return;
            }
            node = node.children.entry(token.into()).or_default();
        }
        node.here.push((id, value));
    }

    /// Removes a value, and the nodes that become empty.
    pub fn remove(&mut self, pattern: &str, id: u64) {
        self.root.remove(pattern.split('.'), id);
    }

    /// Calls `visit` once for each value whose pattern matches the topic.
    pub fn for_each_match<'a>(&'a self, topic: &str, visit: &mut impl FnMut(&'a T)) {
        self.root.for_each_match(topic, visit);
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.here.is_empty() && self.rest.is_empty()
    }

    fn remove(&mut self, mut tokens: Split<'_, char>, id: u64) {
        match tokens.next() {
            None => self.here.retain(|(other, _)| *other != id),
            Some(REST) => self.rest.retain(|(other, _)| *other != id),
            Some(token) => {
                if let Some(child) = self.children.get_mut(token) {
                    child.remove(tokens, id);
                    if child.is_empty() {
                        self.children.remove(token);
                    }
                }
            }
        }
    }

    fn for_each_match<'a>(&'a self, topic: &str, visit: &mut impl FnMut(&'a T)) {
        self.rest.iter().for_each(|(_, value)| visit(value));
        let (token, rest) = topic.split_once('.').map_or((topic, None), |(token, rest)| (token, Some(rest)));
        for child in [self.children.get(token), self.children.get(ANY)].into_iter().flatten() {
            match rest {
                Some(rest) => child.for_each_match(rest, visit),
                None => child.here.iter().for_each(|(_, value)| visit(value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_all_patterns_that_match_a_topic() {
        let patterns = ["a", "a.b", "a.*", "*.b", "a.>", ">", "*", "a.*.c", "*.*.>"];
        let mut trie = Trie::default();
        for (id, pattern) in (0..).zip(patterns) {
            trie.insert(pattern, id, pattern);
        }
        for (topic, expected) in [
            ("a", "* > a"),
            ("b", "* >"),
            ("a.b", "*.b > a.* a.> a.b"),
            ("x.b", "*.b >"),
            ("a.b.c", "*.*.> > a.*.c a.>"),
            ("a.x.c.d", "*.*.> > a.>"),
        ] {
            let mut found = Vec::new();
            trie.for_each_match(topic, &mut |pattern| found.push(*pattern));
            found.sort_unstable();
            assert_eq!(found.join(" "), expected, "{topic}");
        }
        for (id, pattern) in (0..).zip(patterns) {
            trie.remove(pattern, id);
        }
        assert!(trie.is_empty());
    }
}
