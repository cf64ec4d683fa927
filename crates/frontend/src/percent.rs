//! Percent-decoding: which characters are decoded in which part of a URL.
//!
//! | part | decoded |
//! |---|---|
//! | literal segments of a path | all: `/v1/%6beys` is `/v1/keys` |
//! | a variable of one segment, `{key}` | all, also `%2F`, which is a `/` in the value |
//! | a variable of several segments, `{key=**}` or `{name=shelves/*}` | all except `%2F` and `%2f`, which stay encoded |
//! | names and values of the query | all; `+` is a space |
//!
//! The third line is the rule of `google.api.http`. With it every value has an encoding, and no two values have the same one: the value
//! `a/b` is encoded as `a/b`, and the value `a%2Fb` is encoded as `a%252Fb` (or `a%2Fb`). So a client must not escape `/`, as
//! `encodeURIComponent` would do.
//!
//! Nothing else is rewritten: empty segments stay (`a//b`), and so do `.` and `..`. Many clients resolve those two before they send, so
//! send values with such a segment in a query or a body. Text that is not UTF-8 after decoding, or that has a `%` without two hexadecimal
//! digits, is refused.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Whether `%2F` is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// It is decoded to `/`.
    Decoded,
    /// It stays encoded.
    Kept,
}

/// Unreserved characters (RFC 3986, section 2.3) need no encoding.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const SEGMENTS: &AsciiSet = &SEGMENT.remove(b'/');

/// Decodes a part of a path.
pub fn decode(raw: &str, slash: Slash) -> Result<Cow<'_, str>, &'static str> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    unescape(raw, slash, false)
}

/// Decodes a name or a value of a query.
pub fn decode_query(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    if !raw.contains(['%', '+']) {
        return Ok(Cow::Borrowed(raw));
    }
    unescape(raw, Slash::Decoded, true)
}

fn unescape(raw: &str, slash: Slash, plus: bool) -> Result<Cow<'_, str>, &'static str> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2).ok_or("has a % without two hexadecimal digits after it")?;
                let value = hex(digits[0]).zip(hex(digits[1])).ok_or("has a % without two hexadecimal digits after it")?;
                rest = behind;
                match value.0 << 4 | value.1 {
                    b'/' if slash == Slash::Kept => {
                        out.push(b'%');
                        out.extend_from_slice(digits);
                    }
                    decoded => out.push(decoded),
                }
            }
            b'+' if plus => out.push(b' '),
            other => out.push(*other),
        }
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| "is not UTF-8 after decoding")
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Encodes a value for a path: the reverse of [`decode`].
pub fn encode(value: &str, slash: Slash) -> String {
    let set = if slash == Slash::Kept { SEGMENTS } else { SEGMENT };
    utf8_percent_encode(value, set).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_survive_a_round_trip(value: String) {
            for slash in [Slash::Decoded, Slash::Kept] {
                let written = encode(&value, slash);
                prop_assert_eq!(decode(&written, slash).unwrap(), value.as_str());
            }
            let written = encode(&value, Slash::Decoded);
            prop_assert_eq!(decode_query(&written).unwrap(), value.as_str());
        }

        #[test]
        fn arbitrary_text_is_decoded_or_refused(raw in "[%a-f0-9/+é]{0,12}") {
            let _ = (decode(&raw, Slash::Kept), decode(&raw, Slash::Decoded), decode_query(&raw));
        }
    }

    #[test]
    fn encoded_slashes_are_kept_in_variables_of_several_segments() {
        assert_eq!(decode("a%2Fb/c%2fd%20e", Slash::Kept).unwrap(), "a%2Fb/c%2fd e");
        assert_eq!(decode("a%252Fb", Slash::Kept).unwrap(), "a%2Fb");
        assert_eq!(decode("a%2Fb+c", Slash::Decoded).unwrap(), "a/b+c");
        assert_eq!(decode_query("a%2Fb+c").unwrap(), "a/b c");
        for bad in ["%", "%2", "%zz", "%ff", "%+f"] {
            assert!(decode(bad, Slash::Kept).is_err(), "{bad}");
        }
    }
}
