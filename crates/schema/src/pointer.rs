//! JSON pointers (RFC 6901).

/// Escapes a name as a token of a JSON pointer, section 4.
pub(crate) fn escape_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
