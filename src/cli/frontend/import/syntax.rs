//! Writes names and texts as YAML and as expressions.

/// Returns the expression for a member: `query.limit`, or `header["x-y"]` if the name is not an identifier.
pub fn select(root: &str, name: &str) -> String {
    const RESERVED: [&str; 20] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "while",
    ];
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if identifier && !RESERVED.contains(&name) {
        return format!("{root}.{name}");
    }
    format!("'{root}[\"{}\"]'", name.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "''"))
}

/// Quotes a key or a text for YAML, if necessary.
pub fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '.' | '/' | '_'))
        && text.bytes().all(plain)
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if word { text.to_owned() } else { format!("'{}'", join_lines(text).replace('\'', "''")) }
}

/// Returns the name of a member as a key. A name with `$` would be a keyword.
pub fn member_key(name: &str) -> String {
    if name.starts_with('$') { quote(&format!("${name}")) } else { quote(name) }
}

/// Joins the lines of a text.
pub fn join_lines(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
