//! Editions, <https://protobuf.dev/reference/protobuf/edition-2023-spec/>.
//!
//! The parser knows proto2 and proto3. Written with labels, an edition is proto2 as to its grammar, and what its features say
//! is read from the options (see [`super::features`]).

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

/// All editions that are read.
pub(super) const EDITIONS: [Edition; 2] = [Edition { name: "2023", number: 1000 }, Edition { name: "2024", number: 1001 }];

/// What differs between a text as the parser gets it and the text as it was given. No line is added or taken.
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

    /// Where in the given text a place of the edited one is.
    pub fn original(&self, offset: usize) -> usize {
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

/// Which block a statement stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    File,
    Message,
    Extend,
    Enum,
    Other,
}

/// Writes a text of an edition in proto2's grammar; `None` if it isn't of an edition.
pub(super) fn rewritten(text: &str, words: &[Token]) -> Result<Option<(Edition, String, Edits)>, InvalidSchema> {
    let [first, equals, value, end, rest @ ..] = words else { return Ok(None) };
    if first.of(text) != "edition" || !equals.is(b'=') || value.kind != TokenKind::Text || !end.is(b';') {
        return Ok(None);
    }
    let wanted = value.of(text).trim_matches(['"', '\'']);
    let Some(edition) = EDITIONS.into_iter().find(|edition| edition.name == wanted) else {
        return Err(refused(text, *value, &format!("edition `{wanted}` isn't known; use \"2023\" or \"2024\"")));
    };
    let mut edits = Edits::default();
    edits.0.push(Edit { at: first.start, removed: end.end - first.start, added: "syntax = \"proto2\";" });
    let mut walk = EditionRewriter { text, words: rest, at: 0, edits };
    walk.file()?;
    let out = walk.edits.apply(text);
    Ok(Some((edition, out, walk.edits)))
}

fn refused(text: &str, word: Token, why: &str) -> InvalidSchema {
    InvalidSchema::new(format!("{}: {why}", scan::place(text, word.start)))
}

struct EditionRewriter<'a> {
    text: &'a str,
    words: &'a [Token],
    at: usize,
    edits: Edits,
}

impl EditionRewriter<'_> {
    fn word(&self, ahead: usize) -> Option<Token> {
        self.words.get(self.at + ahead).copied()
    }

    /// All statements of the file, blocks within blocks.
    fn file(&mut self) -> Result<(), InvalidSchema> {
        let mut blocks = vec![Block::File];
        while let Some(word) = self.word(0) {
            let block = blocks.last().copied().unwrap_or(Block::File);
            if word.is(b'}') {
                blocks.pop();
                self.at += 1;
            } else if word.is(b';') {
                self.at += 1;
            } else if let Some(inner) = self.statement(block, word)? {
                blocks.push(inner);
            }
        }
        Ok(())
    }

    /// One statement; the block that it opens, if it opens one.
    fn statement(&mut self, block: Block, word: Token) -> Result<Option<Block>, InvalidSchema> {
        let text = self.text;
        let opens = |kind| if block == Block::Enum { None } else { Some(kind) };
        let inner = match word.of(text) {
            "message" => opens(Block::Message),
            "enum" => opens(Block::Enum),
            "extend" => opens(Block::Extend),
            "oneof" | "service" => opens(Block::Other),
            "reserved" if matches!(block, Block::Message | Block::Enum) => {
                self.reserved();
                None
            }
            "export" | "local" if !self.word(1).is_some_and(|next| next.is(b'=') || next.is(b'.')) && block != Block::Other => {
                return Err(refused(text, word, "visibility of symbols isn't read; leave `export` and `local` out"));
            }
            "import" if self.word(1).is_some_and(|next| next.of(text) == "option") => {
                return Err(refused(text, word, "`import option` isn't read; write `import`"));
            }
            "optional" | "required" | "group" if matches!(block, Block::Message | Block::Extend) => {
                return Err(refused(
                    text,
                    word,
                    "editions have no `optional`, `required` and `group`; use the features `field_presence` and `message_encoding`",
                ));
            }
            "option" | "extensions" | "repeated" => None,
            "map" if self.word(1).is_some_and(|next| next.is(b'<')) => None,
            _ => {
                if matches!(block, Block::Message | Block::Extend) {
                    self.edits.insert(word.start, "optional ");
                }
                None
            }
        };
        if inner.is_none() {
            self.end();
            return Ok(None);
        }
        // Up to the brace that opens the block; a text without one fails in the parser.
        while let Some(word) = self.word(0) {
            self.at += 1;
            if word.is(b'{') {
                return Ok(inner);
            }
            if word.is(b';') || word.is(b'}') {
                break;
            }
        }
        Ok(None)
    }

    /// Names that are reserved are identifiers in an edition and literals in proto2.
    fn reserved(&mut self) {
        let mut ahead = 1;
        while let Some(word) = self.word(ahead).filter(|word| !word.is(b';') && !word.is(b'}')) {
            let named =
                word.kind == TokenKind::Name && word.of(self.text).starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            if named && !matches!(word.of(self.text), "to" | "max") {
                self.edits.insert(word.start, "\"");
                self.edits.insert(word.end, "\"");
            }
            ahead += 1;
        }
    }

    /// Behind the end of this statement: its semicolon, or the block of braces that it ends with.
    fn end(&mut self) {
        let mut depth = 0_usize;
        while let Some(word) = self.word(0) {
            match word.kind {
                TokenKind::Sign(b';') if depth == 0 => {
                    self.at += 1;
                    return;
                }
                TokenKind::Sign(b'}') if depth == 0 => return,
                TokenKind::Sign(b'{' | b'[' | b'(' | b'<') => depth += 1,
                TokenKind::Sign(b'}' | b']' | b')' | b'>') => {
                    depth = depth.saturating_sub(1);
                    let closed = depth == 0 && word.is(b'}') && !self.word(1).is_some_and(|next| next.is(b';') || next.is(b']'));
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
