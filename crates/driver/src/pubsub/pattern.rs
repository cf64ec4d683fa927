//! Topic patterns.

/// A checked topic or topic pattern, split into tokens.
#[derive(Debug)]
pub struct TopicPattern(Vec<String>);

impl TopicPattern {
    /// Splits a topic or a pattern.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.split('.').map(str::to_owned).collect())
    }

    /// Whether it has no wildcards.
    pub fn is_topic(&self) -> bool {
        !self.0.iter().any(|token| token == "*" || token == ">")
    }

    /// The tokens.
    pub fn tokens(&self) -> &[String] {
        &self.0
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
}
