//! The words of a text, as far as they are needed before the text is parsed.

use crate::InvalidSchema;

/// Deepest nesting of braces, brackets and parentheses in a text. Messages nest 31 deep at most; the rest is for values of
/// options.
pub(super) const MAX_NESTING: usize = 64;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, a keyword or a number.
    Name,
    /// A literal in quotes.
    Text,
    /// One sign, such as `{`.
    Sign(u8),
}

/// A word, by its place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    /// What is written there.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether it is this sign.
    pub fn is(self, sign: u8) -> bool {
        self.kind == TokenKind::Sign(sign)
    }
}

/// All words, without spaces and comments. What is no Protobuf at all gives words too: the parser is who complains.
pub(super) fn words(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let kind = match byte {
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = until(bytes, at, |rest| rest.first() == Some(&b'\n'));
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = until(bytes, at + 2, |rest| rest.starts_with(b"*/")) + 2;
                continue;
            }
            b'"' | b'\'' => {
                at = quoted(bytes, at, byte);
                TokenKind::Text
            }
            _ if named(byte) => {
                at = until(bytes, at, |rest| rest.first().is_some_and(|byte| !named(*byte)));
                TokenKind::Name
            }
            _ => {
                at += 1;
                TokenKind::Sign(byte)
            }
        };
        words.push(Token { kind, start, end: at });
    }
    words
}

/// Refuses a text that nests deeper than anyone writes, before anything that recurses sees it.
pub(super) fn shallow(text: &str, words: &[Token]) -> Result<(), InvalidSchema> {
    let mut depth = 0_usize;
    for word in words {
        match word.kind {
            TokenKind::Sign(b'{' | b'[' | b'(' | b'<') => depth += 1,
            TokenKind::Sign(b'}' | b']' | b')' | b'>') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            let place = place(text, word.start);
            return Err(InvalidSchema::new(format!(
                "{place}: nested deeper than {MAX_NESTING} levels; take inner messages out to the file"
            )));
        }
    }
    Ok(())
}

/// A place in a text, for people.
pub(super) fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

fn named(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Where, from `at` on, something begins; the end of the text if it doesn't.
fn until(bytes: &[u8], mut at: usize, begins: impl Fn(&[u8]) -> bool) -> usize {
    while bytes.get(at..).is_some_and(|rest| !rest.is_empty() && !begins(rest)) {
        at += 1;
    }
    at
}

/// Behind the literal that begins at `at`; one that isn't closed ends with its line.
fn quoted(bytes: &[u8], mut at: usize, quote: u8) -> usize {
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
