//! Parses the JSON of a schema text.

use serde_json::Value;

use super::MAX_DEPTH;
use crate::text::hold_json;

/// Parses JSON with comments, as Java does.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let bare = text.trim();
    if bare.is_empty() {
        return Err("the text is empty; the shortest schema is the name of a type in quotes, such as \"string\"".to_owned());
    }
    hold_json(text)?;
    let value = match serde_json::from_str(text) {
        Err(_) if text.contains('/') => serde_json::from_str(&without_comments(text)),
        other => other,
    };
    value.map_err(|wrong| {
        let plain = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
        if bare.chars().all(plain) {
            return format!("`{bare}` is not JSON; the name of a type stands in quotes: \"{bare}\"");
        }
        let message = wrong.to_string();
        if message.starts_with("recursion limit") {
            return format!(
                "line {} column {}: nested deeper than {MAX_DEPTH} levels; define inner types on their own and refer to them by name",
                wrong.line(),
                wrong.column()
            );
        }
        format!("not JSON: {message}")
    })
}

/// Replaces comments by spaces, so that lines and columns stay the same.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.find(['"', '/']) {
        let (before, from) = rest.split_at(next);
        out.push_str(before);
        let length = if from.starts_with('"') {
            let end = string_end(from);
            out.push_str(&from[..end]);
            end
        } else {
            let end = comment_end(from);
            match end {
                Some(end) => out.extend(from[..end].chars().map(|letter| if letter == '\n' { '\n' } else { ' ' })),
                None => out.push('/'),
            }
            end.unwrap_or(1)
        };
        rest = &from[length..];
    }
    out.push_str(rest);
    out
}

/// Returns the end of the string literal at the start of `from`.
fn string_end(from: &str) -> usize {
    let mut escaped = false;
    for (index, letter) in from.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return index + 1,
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    from.len()
}

/// Returns the end of the comment at the start of `from`, if there is one.
fn comment_end(from: &str) -> Option<usize> {
    if from.starts_with("//") {
        return Some(from.find('\n').unwrap_or(from.len()));
    }
    from.strip_prefix("/*").map(|inner| inner.find("*/").map_or(from.len(), |end| end + 4))
}
