//! Glob patterns of Redis that match topic patterns.

use prism_driver::pubsub::TopicPattern;

/// Returns a glob pattern of Redis, after a prefix, that matches at least the same topics. It may match more, because `*` in a glob pattern
/// also matches dots.
pub fn to_glob(pattern: &TopicPattern, prefix: &[u8]) -> Vec<u8> {
    let mut glob = Vec::new();
    escape_glob(prefix, &mut glob);
    for (index, token) in pattern.tokens().iter().enumerate() {
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
    fn special_characters_of_globs_are_escaped() {
        assert_eq!(to_glob(&TopicPattern::new("a[1]?.*.b\\.>"), b"p*:"), b"p\\*:a\\[1\\]\\?.*.b\\\\.*");
    }
}
