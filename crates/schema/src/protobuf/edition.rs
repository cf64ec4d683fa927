//! Rewrites editions to proto2, <https://protobuf.dev/reference/protobuf/edition-2023-spec/>.
//!
//! The parser supports proto2 and proto3. With labels added, an edition has the grammar of proto2. Its features are read from the options
//! (see [`super::features`]).

use super::scan::{self, Token, TokenKind};
use crate::InvalidSchema;

/// An edition: `2023` or `2024`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edition {
    /// Its name in a text.
    pub name: &'static str,
    /// Its number in a descriptor, `google.protobuf.Edition`.
    pub number: i32,
}

/// The supported editions.
pub(super) const EDITIONS: [Edition; 2] = [Edition { name: "2023", number: 1000 }, Edition { name: "2024", number: 1001 }];

/// The differences between the original text and the text for the parser. They keep the number of lines.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<Edit>);

#[derive(Debug)]
struct Edit {
    at: usize,
    removed: usize,
    added: &'static str,
}

impl Edits {
    fn insert(&mut self, at: usize, added: &'static str) {
        self.0.push(Edit { at, removed: 0, added });
    }

    fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.0.len() * 10);
        let mut from = 0;
        for edit in &self.0 {
            out.push_str(text.get(from..edit.at).unwrap_or_default());
            out.push_str(edit.added);
            from = edit.at + edit.removed;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
    }

    /// Returns the offset in the original text for an offset in the rewritten one.
    pub fn original_offset(&self, offset: usize) -> usize {
        let (mut added, mut removed) = (0, 0);
        for edit in &self.0 {
            let begin = edit.at + added - removed;
            if begin >= offset {
                break;
            }
            if offset < begin + edit.added.len() {
                return edit.at;
            }
            added += edit.added.len();
            removed += edit.removed;
        }
        (offset + removed).saturating_sub(added)
    }
}

/// The block that contains a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    File,
    Message,
    Extend,
    Enum,
    Other,
}

/// Rewrites the text of an edition in proto2's grammar. Returns `None` if the text has no edition.
pub(super) fn rewrite_edition(text: &str, tokens: &[Token]) -> Result<Option<(Edition, String, Edits)>, InvalidSchema> {
    let [first, equals, value, end, rest @ ..] = tokens else { return Ok(None) };
    if first.text_in(text) != "edition" || !equals.is(b'=') || value.kind != TokenKind::Text || !end.is(b';') {
        return Ok(None);
    }
    let wanted = value.text_in(text).trim_matches(['"', '\'']);
    let Some(edition) = EDITIONS.into_iter().find(|edition| edition.name == wanted) else {
        return Err(refused(text, *value, &format!("edition `{wanted}` isn't known; use \"2023\" or \"2024\"")));
    };
    let mut edits = Edits::default();
    edits.0.push(Edit { at: first.start, removed: end.end - first.start, added: "syntax = \"proto2\";" });
    let mut walk = EditionRewriter { text, tokens: rest, at: 0, edits };
    walk.rewrite_file()?;
    let out = walk.edits.apply(text);
    Ok(Some((edition, out, walk.edits)))
}

fn refused(text: &str, token: Token, why: &str) -> InvalidSchema {
    InvalidSchema::new(format!("{}: {why}", scan::describe_position(text, token.start)))
}

struct EditionRewriter<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    edits: Edits,
}

impl EditionRewriter<'_> {
    fn peek(&self, ahead: usize) -> Option<Token> {
        self.tokens.get(self.at + ahead).copied()
    }

    /// Rewrites all statements of the file. Nested blocks are tracked on a stack.
    fn rewrite_file(&mut self) -> Result<(), InvalidSchema> {
        let mut blocks = vec![Block::File];
        while let Some(token) = self.peek(0) {
            let block = blocks.last().copied().unwrap_or(Block::File);
            if token.is(b'}') {
                blocks.pop();
                self.at += 1;
            } else if token.is(b';') {
                self.at += 1;
            } else if let Some(inner) = self.rewrite_statement(block, token)? {
                blocks.push(inner);
            }
        }
        Ok(())
    }

    /// Rewrites one statement, and returns the block that it opens.
    fn rewrite_statement(&mut self, block: Block, token: Token) -> Result<Option<Block>, InvalidSchema> {
        let text = self.text;
        let opens = |kind| if block == Block::Enum { None } else { Some(kind) };
        let inner = match token.text_in(text) {
            "message" => opens(Block::Message),
            "enum" => opens(Block::Enum),
            "extend" => opens(Block::Extend),
            "oneof" | "service" => opens(Block::Other),
            "reserved" if matches!(block, Block::Message | Block::Enum) => {
                self.quote_reserved_names();
                None
            }
            "export" | "local" if !self.peek(1).is_some_and(|next| next.is(b'=') || next.is(b'.')) && block != Block::Other => {
                return Err(refused(text, token, "the visibility of symbols is not supported; remove `export` and `local`"));
            }
            "import" if self.peek(1).is_some_and(|next| next.text_in(text) == "option") => {
                return Err(refused(text, token, "`import option` is not supported; write `import`"));
            }
            "optional" | "required" | "group" if matches!(block, Block::Message | Block::Extend) => {
                return Err(refused(
                    text,
                    token,
                    "editions have no `optional`, `required` and `group`; use the features `field_presence` and `message_encoding`",
                ));
            }
            "option" | "extensions" | "repeated" => None,
            "map" if self.peek(1).is_some_and(|next| next.is(b'<')) => None,
            _ => {
                if matches!(block, Block::Message | Block::Extend) {
                    self.edits.insert(token.start, "optional ");
                }
                None
            }
        };
        if inner.is_none() {
            self.skip_statement();
            return Ok(None);
        }
        // Skips to the brace that opens the block. If it is missing, the parser reports an error.
        while let Some(token) = self.peek(0) {
            self.at += 1;
            if token.is(b'{') {
                return Ok(inner);
            }
            if token.is(b';') || token.is(b'}') {
                break;
            }
        }
        Ok(None)
    }

    /// Quotes reserved names: they are identifiers in an edition and literals in proto2.
    fn quote_reserved_names(&mut self) {
        let mut ahead = 1;
        while let Some(token) = self.peek(ahead).filter(|token| !token.is(b';') && !token.is(b'}')) {
            let named = token.kind == TokenKind::Name
                && token.text_in(self.text).starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            if named && !matches!(token.text_in(self.text), "to" | "max") {
                self.edits.insert(token.start, "\"");
                self.edits.insert(token.end, "\"");
            }
            ahead += 1;
        }
    }

    /// Skips to the end of this statement: its semicolon, or the block of braces that ends it.
    fn skip_statement(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            match token.kind {
                TokenKind::Punctuation(b';') if depth == 0 => {
                    self.at += 1;
                    return;
                }
                TokenKind::Punctuation(b'}') if depth == 0 => return,
                TokenKind::Punctuation(b'{' | b'[' | b'(' | b'<') => depth += 1,
                TokenKind::Punctuation(b'}' | b']' | b')' | b'>') => {
                    depth = depth.saturating_sub(1);
                    let closed = depth == 0 && token.is(b'}') && !self.peek(1).is_some_and(|next| next.is(b';') || next.is(b']'));
                    if closed {
                        self.at += 1;
                        return;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}
