//! JSON pointers (RFC 6901).

use std::borrow::Cow;

/// Returns the names on the way of a pointer, unescaped: `/a~1b/0` has `a/b` and `0`.
pub fn tokens(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    pointer.split('/').skip(1).map(unescape_token)
}

/// Unescapes one token (section 4).
pub fn unescape_token(token: &str) -> Cow<'_, str> {
    if token.contains('~') { Cow::Owned(token.replace("~1", "/").replace("~0", "~")) } else { Cow::Borrowed(token) }
}

/// Escapes a name as a token (section 3).
pub fn escape_token(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) { Cow::Owned(name.replace('~', "~0").replace('/', "~1")) } else { Cow::Borrowed(name) }
}

/// Appends a name to a pointer.
pub fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&escape_token(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_escaped_and_unescaped() {
        let names = ["a", "", "b/c", "~1", "~"];
        let mut pointer = String::new();
        for name in names {
            push(&mut pointer, name);
        }
        assert_eq!(pointer, "/a//b~1c/~01/~0");
        assert_eq!(tokens(&pointer).collect::<Vec<_>>(), names);
        assert_eq!(tokens("").count(), 0);
    }
}
