//! Topics and patterns as Redis knows them.

/// A checked topic or pattern of the contract, split into tokens.
#[derive(Debug)]
pub struct Pattern(Vec<String>);

impl Pattern {
    pub fn new(pattern: &str) -> Self {
        Self(pattern.split('.').map(str::to_owned).collect())
    }

    /// Whether it stands for a single topic.
    pub fn is_topic(&self) -> bool {
        !self.0.iter().any(|token| token == "*" || token == ">")
    }

    /// Whether a topic matches: `*` is exactly one token, `>` at the end one or more.
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

    /// The glob of Redis that matches at least the same. Its `*` knows no tokens, so it may match more.
    pub fn glob(&self, before: &[u8]) -> Vec<u8> {
        let mut glob = Vec::new();
        escape(before, &mut glob);
        for (index, token) in self.0.iter().enumerate() {
            if index > 0 {
                glob.push(b'.');
            }
            if token == "*" || token == ">" {
                glob.push(b'*');
            } else {
                escape(token.as_bytes(), &mut glob);
            }
        }
        glob
    }
}

fn escape(text: &[u8], glob: &mut Vec<u8>) {
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
    fn wildcards_stand_for_whole_tokens() {
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
            assert_eq!(Pattern::new(pattern).matches(topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn globs_escape_what_is_no_wildcard() {
        assert_eq!(Pattern::new("a[1]?.*.b\\.>").glob(b"p*:"), b"p\\*:a\\[1\\]\\?.*.b\\\\.*");
    }
}
