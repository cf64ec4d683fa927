use super::*;

/// Returns the error of a text that does not compile.
fn refusal(text: &str) -> String {
    match compile(text) {
        Ok(compiled) => format!("compiled, {:?}", compiled.type_of()),
        Err(error) => error,
    }
}

#[test]
#[rustfmt::skip]
fn errors_name_the_mistake_and_the_fix() {
    let table = [
        ("", r#"the expression is empty; write a value, as `"text"`, `10` or `query.limit`"#),
        ("qurey.limit", "column 1: there is no variable `qurey` (did you mean `query`?); known are path, query, header, body, reply, count, ratio"),
        ("foo", "column 1: there is no variable `foo`; known are path, query, header, body, reply, count, ratio"),
        ("query.limt", "column 6: `query` has no member `limt` (did you mean `limit`?); known are limit, prefix, verbose, tags"),
        ("reply.inners.map(item, item.nmae)", "column 28: `item` has no field `nmae` (did you mean `name`?); known are name, size"),
        (r#"reply.choice_inner.zzz + "a""#, "column 6: `reply.choice_inner` may be absent; guard it, as in `has(reply.choice_inner) ? reply.choice_inner : …`"),
        ("path.key.length", "column 9: `path.key` is a string and has no member `length`"),
        ("query.limit + 1", "column 6: `query.limit` may be absent; guard it, as in `has(query.limit) ? query.limit : …`"),
        ("has(query.limit) && reply.nested.inner.size > 1", "column 26: `reply.nested` may be absent; guard it, as in `has(reply.nested) ? reply.nested : …`"),
        (r#"{"key": reply.choice_inner}"#, "column 14: `reply.choice_inner` may be absent; guard it, as in `has(reply.choice_inner) ? reply.choice_inner : …`"),
        ("1 + 1u", "column 3: `+` can't take an int and a uint; write a uint, as `1u`, or convert with int(…)"),
        (r#"1 + "a""#, "column 3: `+` can't take an int and a string; convert with string(…), or with int(…)"),
        ("1 + 1.5", "column 3: `+` can't take an int and a double; write `1.0`, or convert with double(…) or int(…)"),
        ("path.key - 1", "column 10: `-` can't take a string and an int; both sides must be numbers"),
        ("5 % 2.0", "column 3: `%` can't take an int and a double; both sides must be ints"),
        ("!path.key", "column 6: a condition must be a bool; this is a string"),
        ("-path.key", "column 1: `-` takes an int or a double; this is a string"),
        ("path.key && true", "column 5: a condition must be a bool; this is a string"),
        ("path.key ? 1 : 2", "column 5: a condition must be a bool; this is a string"),
        (r#"query.tags == "x""#, "column 12: a list never equals a string; convert one of them, as with string(…) or int(…)"),
        ("query.tags < 1", "column 12: `<` can't compare a list with an int; convert one of them, as with int(…)"),
        ("path.key < 1", "column 10: `<` can't compare a string with an int; convert one of them, as with int(…)"),
        (r#"reply.color == "RED""#, r#"column 16: "RED" is no value of the enum; known are COLOR_DARK_BLUE, COLOR_UNSPECIFIED, COLOR_RED"#),
        ("1 in query.tags", "column 3: an int is never in this list, whose items are each a string"),
        (r#""a" in path.key"#, "column 12: `in` looks into a list or the keys of a map; this is a string (for text: a.contains(b))"),
        (r#"query.tags["a"]"#, "column 12: a list is indexed by an int, as `[0]`, not by a string"),
        ("header[1]", r#"column 8: a map is indexed by a string, as `["key"]`, not by an int"#),
        ("path.key[0]", "column 9: a string can't be indexed; lists and maps can"),
        ("lowerAsci(path.key)", "column 10: there is no function `lowerAsci` (did you mean `lowerAscii`?)"),
        ("path.key.lowerAsci()", "column 19: there is no function `lowerAsci` (did you mean `lowerAscii`?)"),
        ("lowerAscii(path.key)", "column 11: `lowerAscii` is called as `string.lowerAscii()`"),
        ("size(1)", "column 5: `size` is called as `size(string|bytes|list|map)`, not with an int"),
        ("path.key.split()", "column 15: `split` is called as `string.split(string)`, not on a string with nothing"),
        ("path.key.split(1)", "column 15: `split` is called as `string.split(string)`, not on a string with an int"),
        ("path.key.matches(path.id)", r#"column 22: the pattern of `matches` must be a literal string, as "^[a-z]+$""#),
        (r#"path.key.matches("(")"#, "column 18: the pattern of `matches` is not valid: unclosed group"),
        ("json.encod(1)", "column 11: there is no function `json.encod`; known are json.decode, json.encode"),
        ("json", "column 1: `json` is not a value; its functions are json.decode, json.encode"),
        ("map(query.tags, x)", "column 4: `map` is called as `list.map(item, item.key)`"),
        ("query.tags.map(x)", "column 15: `map` is called as `list.map(item, item.key)`"),
        ("path.key.map(c, c)", "column 5: only a list, or the keys of a map, can be walked; this is a string"),
        ("[[1]].map(a, a.map(b, [1].map(c, c)))", "column 23: map, filter, all and exists stand more than 2 deep in each other; move the inner one out"),
        ("query.tags.filter(tag, tag)", "column 24: a condition must be a bool; this is a string"),
        ("query.tags.all(tag, size(tag))", "column 25: a condition must be a bool; this is an int"),
        (r#"Inner{name: "a"}"#, r#"column 6: a value isn't made by its type, as `Inner{…}`; write a map, as {"key": …}"#),
        ("{1: 2}", r#"column 2: a map's keys are strings here, and this key is an int; write "…" or string(…)"#),
        (r#"{"a": 1, "a": 2}"#, r#"column 10: the key "a" appears twice in one map"#),
        ("has(query)", "column 5: invalid argument to has() macro"),
        ("1 +", "column 4: mismatched input 'the end' expecting expression"),
        ("(1", "column 3: expected ')'"),
        ("query.?limit", "column 6: unsupported syntax '.?'"),
        (r#""abc"#, "column 1: unterminated string literal"),
        ("1 / 0", "the expression fails always: a division by zero"),
        ("int", "the name of a type is not a value; it can be compared, as in `type(x) == int`"),
        ("lists.range(5)", "column 12: there is no function `lists.range`; known are all, base64.decode, base64.encode, bool, bytes, charAt, contains, distinct, double, dyn, endsWith, exists, exists_one, filter, flatten, format, has, indexOf, int, join, json.decode, json.encode, lastIndexOf, lowerAscii, map, matches, matchesGlob, math.greatest, math.least, replace, reverse, size, slice, sort, sortBy, split, startsWith, string, substring, time.millis, trim, type, uint, upperAscii, url.decode, url.encode"),
        ("optional.of(1)", "column 12: there is no function `optional.of`; known are all, base64.decode, base64.encode, bool, bytes, charAt, contains, distinct, double, dyn, endsWith, exists, exists_one, filter, flatten, format, has, indexOf, int, join, json.decode, json.encode, lastIndexOf, lowerAscii, map, matches, matchesGlob, math.greatest, math.least, replace, reverse, size, slice, sort, sortBy, split, startsWith, string, substring, time.millis, trim, type, uint, upperAscii, url.decode, url.encode"),
        ("", r#"the expression is empty; write a value, as `"text"`, `10` or `query.limit`"#),
        (r#"é + "ü" + foo"#, "column 1: unexpected character"),
        (r#""é" + foo"#, "column 7: there is no variable `foo`; known are path, query, header, body, reply, count, ratio"),
    ];
    for (text, expected) in table {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn long_and_deep_expressions_are_refused() {
    let long = format!("\"{}\"", "a".repeat(5000));
    assert_eq!(refusal(&long), "the expression has 5002 bytes; 4096 are allowed");
    assert_eq!(refusal(&"(".repeat(40)), "brackets are nested deeper than 32 levels; split the expression");
    assert_eq!(
        refusal(&format!("1{}", "+1".repeat(64))),
        "the expression is nested deeper than 64 levels; split it, or use fewer operators in a row"
    );
    assert_eq!(refusal(&"true ? 1 : ".repeat(65)), "the expression has more than 64 of `?`; split it");
}
