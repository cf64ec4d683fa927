//! Splits a text into tokens, as far as it is needed before parsing.

use crate::InvalidSchema;

/// The maximum nesting of braces, brackets and parentheses. Messages nest at most 31 levels; the rest is for values of options.
pub(super) const MAX_NESTING: usize = 64;

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, a keyword or a number.
    Name,
    /// A literal in quotes.
    Text,
    /// A punctuation character such as `{`.
    Punctuation(u8),
}

/// A token, by its position in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    /// Returns the text of the token.
    pub fn text_in(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns whether it is a punctuation character.
    pub fn is(self, punctuation: u8) -> bool {
        self.kind == TokenKind::Punctuation(punctuation)
    }
}

/// Splits a text into tokens without whitespace and comments. Invalid texts have tokens too; the parser reports the errors.
pub(super) fn tokenize(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let kind = match byte {
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = find_from(bytes, at, |rest| rest.first() == Some(&b'\n'));
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = find_from(bytes, at + 2, |rest| rest.starts_with(b"*/")) + 2;
                continue;
            }
            b'"' | b'\'' => {
                at = literal_end(bytes, at, byte);
                TokenKind::Text
            }
            _ if is_name_byte(byte) => {
                at = find_from(bytes, at, |rest| rest.first().is_some_and(|byte| !is_name_byte(*byte)));
                TokenKind::Name
            }
            _ => {
                at += 1;
                TokenKind::Punctuation(byte)
            }
        };
        tokens.push(Token { kind, start, end: at });
    }
    tokens
}

/// Refuses a text that nests too deeply, before any recursive code reads it.
pub(super) fn check_nesting(text: &str, tokens: &[Token]) -> Result<(), InvalidSchema> {
    let mut depth = 0_usize;
    for token in tokens {
        match token.kind {
            TokenKind::Punctuation(b'{' | b'[' | b'(' | b'<') => depth += 1,
            TokenKind::Punctuation(b'}' | b']' | b')' | b'>') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            let position = describe_position(text, token.start);
            return Err(InvalidSchema::new(format!(
                "{position}: nested deeper than {MAX_NESTING} levels; move inner messages to the top level"
            )));
        }
    }
    Ok(())
}

/// Renders a position in a text for messages.
pub(super) fn describe_position(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Returns the first offset from `at` on where `begins` is true, or the end of the text.
fn find_from(bytes: &[u8], mut at: usize, begins: impl Fn(&[u8]) -> bool) -> usize {
    while bytes.get(at..).is_some_and(|rest| !rest.is_empty() && !begins(rest)) {
        at += 1;
    }
    at
}

/// Returns the offset behind the literal at `at`. An unclosed literal ends with its line.
fn literal_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    at += 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' => return at,
            b'\\' if bytes.get(at + 1).is_some_and(|next| *next != b'\n') => at += 2,
            _ => at += 1,
        }
        if byte == quote {
            return at;
        }
    }
    at
}
