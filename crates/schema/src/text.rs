//! Helpers for texts and messages.

use crate::budget::{BudgetExceeded, hold, spend};

/// The memory of a JSON value beside its text, in bytes.
const JSON_VALUE_BYTES: usize = 96;

/// Shortens a text to `max` characters. An ellipsis marks the cut.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Renders the first `max` names in a list for a sentence, and the number of the others.
pub(crate) fn list_some<T: AsRef<str>>(names: &[T], max: usize) -> String {
    let some: Vec<String> = names.iter().take(max).map(|name| format!("`{}`", name.as_ref())).collect();
    let list = some.join(", ");
    if names.len() > max { format!("{list} and {} more", names.len() - max) } else { list }
}

/// Counts the steps and the memory of parsing a JSON text.
pub(crate) fn hold_json(text: &str) -> Result<(), BudgetExceeded> {
    let (mut values, mut quoted, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        if quoted {
            quoted = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
        } else if byte == b'"' {
            quoted = true;
        } else if matches!(byte, b',' | b'[' | b'{' | b':') {
            values += 1;
        }
    }
    spend(values + text.len() / 16)?;
    hold(text.len() + values * JSON_VALUE_BYTES)
}

/// Counts the memory of a copy of a JSON value. Recursion is limited by the depth of JSON.
pub(crate) fn hold_copy(value: &serde_json::Value) -> Result<(), BudgetExceeded> {
    use serde_json::Value;
    hold(JSON_VALUE_BYTES)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(hold_copy),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| hold(name.len()).and_then(|()| hold_copy(member))),
        Value::String(text) => hold(text.len()),
        _ => Ok(()),
    }
}
