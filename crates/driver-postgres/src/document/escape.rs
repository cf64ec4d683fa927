//! Strings with U+0000, which PostgreSQL does not store.
//!
//! The letters U+0000 to U+0003 are written as U+0001 and two letters U+0002 or U+0003. That keeps the order of strings, and a text is within a string
//! if and only if it is so after both were escaped: no escaped letter begins in the middle of another one.

use prism_driver::document::value::{Key, rank};

/// What U+0000 to U+0003 become after U+0001.
const CODES: [[u8; 2]; 4] = [[2, 2], [2, 3], [3, 2], [3, 3]];

/// Escapes a string.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match CODES.get(letter as usize) {
            Some(code) => escaped.extend([char::from(1), char::from(code[0]), char::from(code[1])]),
            None => escaped.push(letter),
        }
    }
    escaped
}

/// Escapes the string of a key, or of the bound of a range of keys.
pub fn escape_key(key: &[u8]) -> Key {
    let Some((&rank::STRING, text)) = key.split_first() else { return key.to_vec() };
    let mut escaped = vec![rank::STRING];
    for byte in text {
        match CODES.get(usize::from(*byte)) {
            Some(code) => escaped.extend([1, code[0], code[1]]),
            None => escaped.push(*byte),
        }
    }
    escaped
}

/// Escapes the strings and names in a JSON text, which has these letters as `\u0000`.
pub fn escape_json(json: &str) -> String {
    rewrite(json, |rest| {
        let code = CODES.get(letter(rest)?)?;
        Some((format!("\\u0001\\u000{}\\u000{}", code[0], code[1]), 6))
    })
}

/// Undoes [`escape_json`].
pub fn unescape_json(json: &str) -> String {
    rewrite(json, |rest| {
        let code = (letter(rest)? == 1).then(|| Some([letter(rest.get(6..)?)?, letter(rest.get(12..)?)?]))??;
        let plain = CODES.iter().position(|[one, other]| [usize::from(*one), usize::from(*other)] == code)?;
        Some((format!("\\u000{plain}"), 18))
    })
}

/// The letter of an escape such as `\u0002` at the beginning of a text, if it is less than U+0010.
fn letter(text: &str) -> Option<usize> {
    let digit = text.strip_prefix("\\u000")?.chars().next()?;
    digit.to_digit(16).map(|digit| digit as usize)
}

/// Replaces escapes in a JSON text. `replace` gets the text from a backslash on, and returns what replaces how many of its bytes.
fn rewrite(json: &str, replace: impl Fn(&str) -> Option<(String, usize)>) -> String {
    let mut written = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        written.push_str(&rest[..at]);
        rest = &rest[at..];
        let (replacement, length) = replace(rest).unwrap_or_else(|| {
            // A backslash and the letter after it, which may be a backslash too.
            let pair: String = rest.chars().take(2).collect();
            let length = pair.len();
            (pair, length)
        });
        written.push_str(&replacement);
        rest = &rest[length..];
    }
    written.push_str(rest);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_driver::document::value::string_key;

    #[test]
    fn escaped_strings_keep_their_order_and_their_parts() {
        let letters = ["\0", "\u{1}", "\u{2}", "\u{3}", "\u{4}", "a"];
        let mut texts = vec![String::new()];
        for length in 0..3 {
            let longer: Vec<String> =
                texts.iter().filter(|text| text.len() == length).flat_map(|text| letters.map(|letter| format!("{text}{letter}"))).collect();
            texts.extend(longer);
        }
        for one in &texts {
            assert!(!escape(one).contains('\0'));
            assert_eq!(escape_key(&string_key(one)), string_key(&escape(one)));
            for other in &texts {
                assert_eq!(one.cmp(other), escape(one).cmp(&escape(other)), "{one:?} {other:?}");
                assert_eq!(one.contains(other.as_str()), escape(one).contains(&escape(other)), "{one:?} {other:?}");
                assert_eq!(one.starts_with(other.as_str()), escape(one).starts_with(&escape(other)));
                assert_eq!(one.ends_with(other.as_str()), escape(one).ends_with(&escape(other)));
            }
        }
    }

    #[test]
    fn json_comes_back() {
        for json in [
            r#"{"a":"x\u0000\u0001\u0002\u0003\u0004\\u0000\\\u0001"}"#,
            r#"{"\u0001":"\"\\"}"#,
            r#"{"a":"\u0001\u0002"}"#,
            "{}",
            r#"["\n\u001f"]"#,
        ] {
            assert_eq!(unescape_json(&escape_json(json)), json);
        }
        assert_eq!(escape_json(r#""\u0000\\u0000""#), r#""\u0001\u0002\u0002\\u0000""#);
    }
}
