//! Ranges of bytes in the text form of HTTP (RFC 9110, section 14).

use prism_call::proto::models::blob::v1::{ByteRange, byte_range::Start};

/// Parses a range of bytes. Returns `None` for what a server ignores: other units, several parts, and malformed text.
pub fn parse(text: &str) -> Option<ByteRange> {
    let (unit, parts) = text.trim().split_once('=')?;
    if !unit.trim_end().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = parts.trim().split_once('-')?;
    match (first, last) {
        ("", last) => {
            number(last).filter(|suffix| *suffix > 0).map(|suffix| ByteRange { start: Some(Start::Suffix(suffix)), length: None })
        }
        (first, "") => Some(ByteRange { start: Some(Start::Offset(number(first)?)), length: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            let length = last.checked_sub(first)?.saturating_add(1);
            Some(ByteRange { start: Some(Start::Offset(first)), length: Some(length) })
        }
    }
}

/// Parses digits. A number that is too large for any object is the greatest one.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Returns the text form of the part that follows.
pub fn content_range(offset: u64, length: u64, size: u64) -> String {
    format!("bytes {offset}-{}/{size}", (offset + length).saturating_sub(1))
}
