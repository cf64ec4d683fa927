//! Counts the tokens of a document before it is parsed ("GraphQL", section 2.1), and the brackets around each.

use crate::{
    GraphqlLimits, RequestError,
    limits::{LIMIT, MAX_NESTING},
};

/// Returns the number of tokens. Refuses a text with too many of them, or with too many brackets in each other.
pub fn count_tokens(text: &str, limits: &GraphqlLimits) -> Result<usize, RequestError> {
    let bytes = text.as_bytes();
    let (mut at, mut tokens, mut nesting) = (0, 0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xef | 0xbb | 0xbf => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' => at = end_of_text(bytes, at),
            b'{' | b'[' | b'(' => {
                nesting += 1;
                at += 1;
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                at += 1;
            }
            byte if is_word(*byte) => at += bytes[at..].iter().position(|byte| !is_word(*byte)).unwrap_or(bytes.len() - at),
            _ => at += 1,
        }
        tokens += 1;
        check_count(tokens, limits)?;
        if nesting > MAX_NESTING {
            return Err(RequestError::one(LIMIT, format!("the document has more than {MAX_NESTING} brackets in each other"), None));
        }
    }
    Ok(tokens)
}

/// Refuses a document with too many tokens.
pub fn check_count(tokens: usize, limits: &GraphqlLimits) -> Result<(), RequestError> {
    if tokens <= limits.max_tokens {
        return Ok(());
    }
    let message = format!("the document has more than {} tokens, the limit (settings.max_tokens of the frontend)", limits.max_tokens);
    Err(RequestError::one(LIMIT, message, None))
}

/// Parts of names, numbers and spreads.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.')
}

/// Returns the end of the text that begins here.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let is_block = bytes[start..].starts_with(b"\"\"\"");
    let mut at = start + if is_block { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if is_block && bytes[at..].starts_with(b"\\\"\"\"") => at += 4,
            b'\\' if !is_block => at += 2,
            b'"' if !is_block => return at + 1,
            b'"' if bytes[at..].starts_with(b"\"\"\"") => return at + 3,
            b'\n' if !is_block => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GraphqlSettings;

    fn check(text: &str, max_tokens: usize) -> bool {
        count_tokens(text, &GraphqlLimits { max_tokens, ..GraphqlSettings::default().limits() }).is_ok()
    }

    #[test]
    fn tokens_are_counted_without_space_and_comments() {
        for (text, tokens) in [
            ("{ a(b: \"x } { y\", c: -1.5) } # d e f", 11),
            ("\"\"\" a \\\"\"\" \" b \"\"\" { a }", 4),
            ("query Q($a: [Int!]! = [1, 2]) @x { ...F }", 22),
            ("\"never ends", 1),
            ("ä", 2),
            ("", 0),
        ] {
            assert!(check(text, tokens) && (tokens == 0 || !check(text, tokens - 1)), "{text}");
        }
        assert!(check(&"[".repeat(64), 1000) && !check(&"[".repeat(65), 1000));
    }
}
