use super::*;

/// The message of what does not compile.
fn refusal(text: &str) -> String {
    match compile(text) {
        Ok(compiled) => format!("compiled, {:?}", compiled.type_of()),
        Err(error) => error,
    }
}

#[test]
fn mistakes_are_named_with_what_would_be_right() {
    for (text, expected) in [
        ("path.key.length", "column 9: `path.key` is a string and has no member `length`"),
        ("query.limit + 1", "column 6: `query.limit` may be absent; guard it, as in `has(query.limit) ? query.limit : …`"),
        ("\"é\" + foo", "column 7: there is no variable `foo`; known are path, query, header, body, reply, count, ratio"),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}
