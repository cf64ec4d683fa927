//! Rewrites editions to proto2, <https://protobuf.dev/reference/protobuf/edition-2024-spec/>.
//!
//! The parser supports proto2 and proto3. With labels added, an edition has the grammar of proto2. Its features are read from the options
//! (see [`super::features`]). What the parser doesn't know is taken out of the text and noted: the visibility of symbols, and imports for
//! options only.

use super::{
    edits::Edits,
    names::join_name,
    scan::{self, Token, TokenKind},
};
use crate::{
    InvalidSchema,
    budget::{BudgetExceeded, hold},
};

/// An edition: `2023` or `2024`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edition {
    /// Its name in a text.
    pub name: &'static str,
    /// Its number in a descriptor, `google.protobuf.Edition`.
    pub number: i32,
}

/// The number of edition 2024.
pub(super) const EDITION_2024: i32 = 1001;

/// The supported editions.
pub(super) const EDITIONS: [Edition; 2] = [Edition { name: "2023", number: 1000 }, Edition { name: "2024", number: 1001 }];

/// What an edition has and the parser doesn't know.
#[derive(Debug, Default)]
pub(super) struct EditionParts {
    /// Messages and enums by their names in the package: whether they are `export` or `local`.
    pub exported: Vec<(String, bool)>,
    /// The paths of imports that are only for options.
    pub option_imports: Vec<String>,
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

/// Notes the edits that turn the text of an edition into proto2's grammar. Returns `None` if the text has no edition.
pub(super) fn rewrite_edition(text: &str, tokens: &[Token], edits: &mut Edits) -> Result<Option<(Edition, EditionParts)>, InvalidSchema> {
    let [first, equals, value, end, rest @ ..] = tokens else { return Ok(None) };
    if first.text_in(text) != "edition" || !equals.is(b'=') || value.kind != TokenKind::Text || !end.is(b';') {
        return Ok(None);
    }
    let wanted = value.text_in(text).trim_matches(['"', '\'']);
    let Some(edition) = EDITIONS.into_iter().find(|edition| edition.name == wanted) else {
        return Err(refused(text, *value, &format!("edition `{wanted}` isn't known; use \"2023\" or \"2024\"")));
    };
    edits.replace(first.start, end.end, "syntax = \"proto2\";");
    let mut walk = EditionRewriter { text, tokens: rest, at: 0, edits, parts: EditionParts::default(), edition };
    walk.rewrite_file()?;
    Ok(Some((edition, walk.parts)))
}

fn refused(text: &str, token: Token, why: &str) -> InvalidSchema {
    InvalidSchema::new(format!("{}: {why}", scan::describe_position(text, token.start)))
}

/// Joins a scope and a name. Names of any length get here, so the memory is counted.
fn join_scope(scope: &str, name: &str) -> Result<String, BudgetExceeded> {
    hold(scope.len() + name.len() + 1)?;
    Ok(join_name(scope, name))
}

struct EditionRewriter<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    edits: &'a mut Edits,
    parts: EditionParts,
    edition: Edition,
}

impl EditionRewriter<'_> {
    fn peek(&self, ahead: usize) -> Option<Token> {
        self.tokens.get(self.at + ahead).copied()
    }

    /// Rewrites all statements of the file. Nested blocks are tracked on a stack.
    fn rewrite_file(&mut self) -> Result<(), InvalidSchema> {
        let mut blocks = vec![(Block::File, String::new())];
        while let Some(token) = self.peek(0) {
            let (block, scope) = blocks.last().map_or((Block::File, ""), |(block, scope)| (*block, scope.as_str()));
            if token.is(b'}') {
                blocks.pop();
                self.at += 1;
            } else if token.is(b';') {
                self.at += 1;
            } else {
                let name = self.peek(1).map_or("", |name| name.text_in(self.text));
                if let Some(inner) = self.rewrite_statement(block, scope, token)? {
                    let is_message = token.text_in(self.text) == "message";
                    let inner_scope = if is_message { join_scope(scope, name)? } else { scope.to_owned() };
                    blocks.push((inner, inner_scope));
                }
            }
        }
        Ok(())
    }

    /// Rewrites one statement, and returns the block that it opens.
    fn rewrite_statement(&mut self, block: Block, scope: &str, token: Token) -> Result<Option<Block>, InvalidSchema> {
        let text = self.text;
        let opens = |kind| if block == Block::Enum { None } else { Some(kind) };
        let inner = match token.text_in(text) {
            "message" => opens(Block::Message),
            "enum" => opens(Block::Enum),
            "extend" => opens(Block::Extend),
            "oneof" | "service" => opens(Block::Other),
            "reserved" if matches!(block, Block::Message | Block::Enum) => {
                self.quote_reserved_names()?;
                None
            }
            "export" | "local" if self.peek(1).is_some_and(|next| matches!(next.text_in(text), "message" | "enum")) => {
                if self.edition.number < EDITION_2024 {
                    return Err(refused(text, token, "`export` and `local` need edition \"2024\""));
                }
                let name = self.peek(2).map_or("", |name| name.text_in(text));
                self.parts.exported.push((join_scope(scope, name)?, token.text_in(text) == "export"));
                self.edits.replace(token.start, token.end, "");
                self.at += 1;
                return Ok(None);
            }
            "import" if self.peek(1).is_some_and(|next| next.text_in(text) == "option") => {
                if self.edition.number < EDITION_2024 {
                    return Err(refused(text, token, "`import option` needs edition \"2024\""));
                }
                if let (Some(option), Some(path)) = (self.peek(1), self.peek(2)) {
                    self.edits.replace(option.start, option.end, "");
                    self.parts.option_imports.push(path.text_in(text).trim_matches(['"', '\'']).to_owned());
                }
                None
            }
            "import" if self.edition.number >= EDITION_2024 && self.peek(1).is_some_and(|next| next.text_in(text) == "weak") => {
                return Err(refused(text, token, "edition \"2024\" has no `import weak`; write `import option` if only options need it"));
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
    fn quote_reserved_names(&mut self) -> Result<(), InvalidSchema> {
        let mut ahead = 1;
        while let Some(token) = self.peek(ahead).filter(|token| !token.is(b';') && !token.is(b'}')) {
            let named = token.kind == TokenKind::Name
                && token.text_in(self.text).starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            if token.kind == TokenKind::Text {
                return Err(refused(self.text, token, "editions have reserved names without quotes; remove them"));
            }
            // Behind a number or `to`, these are keywords.
            let before = self.peek(ahead - 1).map_or("", |before| before.text_in(self.text));
            let number = before.starts_with(|first: char| first.is_ascii_digit());
            let keyword = token.text_in(self.text) == "to" && number || token.text_in(self.text) == "max" && before == "to";
            if named && !keyword {
                self.edits.insert(token.start, "\"");
                self.edits.insert(token.end, "\"");
            }
            ahead += 1;
        }
        Ok(())
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
