//! Topic patterns, and the glob patterns of Redis that match them.

/// A checked topic or topic pattern, split into tokens.
#[derive(Debug)]
pub struct TopicPattern(Vec<String>);

impl TopicPattern {
    pub fn new(pattern: &str) -> Self {
        Self(pattern.split('.').map(str::to_owned).collect())
    }

    /// Whether it has no wildcards.
    pub fn is_topic(&self) -> bool {
        !self.0.iter().any(|token| token == "*" || token == ">")
    }

    /// Whether a topic matches: `*` matches exactly one token, `>` at the end one or more.
    pub fn matches(&self, topic: &str) -> bool {
        let mut tokens = topic.split('.');
        for wanted in &self.0 {
            match (wanted.as_str(), tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }

    /// A glob pattern of Redis, after a prefix, that matches at least the same topics. It may match more, because `*` in a glob pattern
    /// also matches dots.
    pub fn to_glob(&self, prefix: &[u8]) -> Vec<u8> {
        let mut glob = Vec::new();
        escape_glob(prefix, &mut glob);
        for (index, token) in self.0.iter().enumerate() {
            if index > 0 {
                glob.push(b'.');
            }
            if token == "*" || token == ">" {
                glob.push(b'*');
            } else {
                escape_glob(token.as_bytes(), &mut glob);
            }
        }
        glob
    }
}

fn escape_glob(text: &[u8], glob: &mut Vec<u8>) {
    for byte in text {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'^' | b'\\') {
            glob.push(b'\\');
        }
        glob.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_whole_tokens() {
        for (pattern, topic, expected) in [
            ("orders.*.paid", "orders.eu.paid", true),
            ("orders.*.paid", "orders.paid", false),
            ("orders.*.paid", "orders.eu.de.paid", false),
            ("orders.>", "orders.eu", true),
            ("orders.>", "orders.eu.paid", true),
            ("orders.>", "orders", false),
            ("*.>", "a.b", true),
            (">", "a", true),
            ("*", "a.b", false),
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
        ] {
            assert_eq!(TopicPattern::new(pattern).matches(topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn special_characters_of_globs_are_escaped() {
        assert_eq!(TopicPattern::new("a[1]?.*.b\\.>").to_glob(b"p*:"), b"p\\*:a\\[1\\]\\?.*.b\\\\.*");
    }
}
