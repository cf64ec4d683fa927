//! Helpers for messages.

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
