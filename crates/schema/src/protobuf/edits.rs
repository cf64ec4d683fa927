//! Changes a text for the parser, and finds the original position of what the parser reports.

use std::borrow::Cow;

/// The differences between the original text and the text for the parser. They keep the number of lines.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<Edit>);

#[derive(Debug)]
struct Edit {
    at: usize,
    removed: usize,
    added: Cow<'static, str>,
}

impl Edits {
    /// Inserts a text.
    pub fn insert(&mut self, at: usize, added: impl Into<Cow<'static, str>>) {
        self.0.push(Edit { at, removed: 0, added: added.into() });
    }

    /// Replaces a part of the text.
    pub fn replace(&mut self, start: usize, end: usize, added: impl Into<Cow<'static, str>>) {
        self.0.push(Edit { at: start, removed: end - start, added: added.into() });
    }

    /// Sorts the edits by their positions.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|edit| edit.at);
    }

    /// Returns the text with all edits.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.0.len() * 10);
        let mut from = 0;
        for edit in &self.0 {
            out.push_str(text.get(from..edit.at).unwrap_or_default());
            out.push_str(&edit.added);
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
