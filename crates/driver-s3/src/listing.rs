//! Lists of objects.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Decodes a key in a list with the encoding `url`.
pub fn decode(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Cow::into_owned)
}
