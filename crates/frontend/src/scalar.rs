//! Parses scalar values from text: path variables, query parameters, map keys, JSON numbers and JSON strings.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    message_types::{FieldKind, MessageType, MessageTypes, WellKnownType},
    time,
    wire::{self, WireType},
};

/// Accepts base64 with and without padding, as the JSON mapping requires of parsers.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Why a text is not a value of its type, and what would be valid. Continues a sentence that begins with the name of the value.
pub type Refusal = Cow<'static, str>;

/// Parses a text and appends the value, without its tag. Enum values may be names or numbers.
///
/// Messages that have a text form (`Timestamp`, `Duration`, `FieldMask`, wrappers) are appended with their length.
pub fn put(types: &MessageTypes, kind: FieldKind, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match kind {
        FieldKind::Double => out.extend_from_slice(&double(text)?.to_le_bytes()),
        FieldKind::Float => out.extend_from_slice(&float(text)?.to_le_bytes()),
        FieldKind::Int32 => wire::put_varint(out, wire::signed(int32(text)?.into())),
        FieldKind::Int64 => wire::put_varint(out, wire::signed(int64(text)?)),
        FieldKind::Uint32 => wire::put_varint(out, uint32(text)?.into()),
        FieldKind::Uint64 => wire::put_varint(out, uint64(text)?),
        FieldKind::Sint32 => wire::put_varint(out, wire::zigzag(int32(text)?.into())),
        FieldKind::Sint64 => wire::put_varint(out, wire::zigzag(int64(text)?)),
        FieldKind::Fixed32 => out.extend_from_slice(&uint32(text)?.to_le_bytes()),
        FieldKind::Fixed64 => out.extend_from_slice(&uint64(text)?.to_le_bytes()),
        FieldKind::Sfixed32 => out.extend_from_slice(&int32(text)?.to_le_bytes()),
        FieldKind::Sfixed64 => out.extend_from_slice(&int64(text)?.to_le_bytes()),
        FieldKind::Bool => out.push(u8::from(boolean(text)?)),
        FieldKind::String => wire::put_bytes(out, text.as_bytes()),
        FieldKind::Bytes => return bytes(text, out),
        FieldKind::Enum(id) => {
            let number = match types.enumeration(id).number(text) {
                Some(number) => number,
                None => int32(text).map_err(|_| unknown_enum(types, kind, text))?,
            };
            wire::put_varint(out, wire::signed(number.into()));
        }
        FieldKind::Message(id) => return wire::put_sized(out, |out| put_message(types, types.message(id), text, out)),
    }
    Ok(())
}

/// Parses the text form of a message and appends the message, without its length.
pub fn put_message(types: &MessageTypes, message: &MessageType, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match (message.special, message.fields.first()) {
        (Some(WellKnownType::Timestamp), _) => time::parse_timestamp(text)
            .map(|time| put_time(time.seconds, time.nanos, out))
            .ok_or(Cow::Borrowed("must be a time in RFC 3339 format, such as 2026-05-01T12:00:00Z")),
        (Some(WellKnownType::Duration), _) => time::parse_duration(text)
            .map(|time| put_time(time.seconds, time.nanos, out))
            .ok_or(Cow::Borrowed("must be a duration in seconds with the unit, such as 1.5s")),
        (Some(WellKnownType::FieldMask), _) => put_mask(text, out),
        (Some(WellKnownType::Wrapper), Some(value)) => {
            wire::put_tag(out, value.number, value.kind.wire());
            put(types, value.kind, text, out)
        }
        _ => Err(Cow::Owned(format!("is a {}, which has no text form; set its fields instead", message.name))),
    }
}

/// Whether values of this type have a text form.
pub fn has_text_form(types: &MessageTypes, kind: FieldKind) -> bool {
    let FieldKind::Message(id) = kind else { return true };
    matches!(
        types.message(id).special,
        Some(WellKnownType::Timestamp | WellKnownType::Duration | WellKnownType::FieldMask | WellKnownType::Wrapper)
    )
}

/// Builds the refusal of an unknown enum name, with the valid names.
pub fn unknown_enum(types: &MessageTypes, kind: FieldKind, text: &str) -> Refusal {
    let FieldKind::Enum(id) = kind else { return Cow::Borrowed("is not an enum") };
    let names: Vec<&str> = types.enumeration(id).values.iter().take(20).map(|(name, _)| name.as_str()).collect();
    Cow::Owned(format!("{text:?} is not one of {}", names.join(", ")))
}

fn put_time(seconds: i64, nanos: i32, out: &mut Vec<u8>) {
    for (number, value) in [(1, seconds), (2, i64::from(nanos))] {
        if value != 0 {
            wire::put_tag(out, number, WireType::Varint);
            wire::put_varint(out, wire::signed(value));
        }
    }
}

/// Parses a field mask: `a.bC,d` has the paths `a.b_c` and `d`. Names in snake case are kept.
fn put_mask(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    for path in text.split(',').filter(|_| !text.is_empty()) {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'*');
        if path.is_empty() || !path.bytes().all(known) {
            return Err(Cow::Borrowed("must be field paths separated by commas, such as displayName,address.city"));
        }
        let mut snake = String::with_capacity(path.len() + 4);
        for letter in path.chars() {
            if letter.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        wire::put_tag(out, 1, WireType::Bytes);
        wire::put_bytes(out, snake.as_bytes());
    }
    Ok(())
}

/// Decodes base64 or base64url, with or without padding, and appends the bytes.
pub fn put_base64(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let engine = if text.bytes().any(|byte| matches!(byte, b'-' | b'_')) { BASE64_URL } else { BASE64 };
    engine.decode_vec(text, out).map_err(|error| Cow::Owned(format!("must be base64 or base64url: {error}").to_lowercase()))
}

fn bytes(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    wire::put_sized(out, |out| put_base64(text, out))
}

fn boolean(text: &str) -> Result<bool, Refusal> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(Cow::Borrowed("must be true or false")),
    }
}

fn double(text: &str) -> Result<f64, Refusal> {
    let refusal = || Cow::Borrowed("must be a number, NaN, Infinity or -Infinity");
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => match decimal(text).and_then(|_| text.parse::<f64>().ok()) {
            Some(value) if value.is_finite() => Ok(value),
            Some(_) => Err(Cow::Borrowed("is out of range for a double")),
            None => Err(refusal()),
        },
    }
}

fn float(text: &str) -> Result<f32, Refusal> {
    match text {
        "NaN" => Ok(f32::NAN),
        "Infinity" => Ok(f32::INFINITY),
        "-Infinity" => Ok(f32::NEG_INFINITY),
        _ => {
            double(text)?;
            let value = text.parse::<f32>().map_err(|_| Cow::Borrowed("must be a number"))?;
            if value.is_finite() { Ok(value) } else { Err(Cow::Borrowed("is out of range for a float")) }
        }
    }
}

fn int32(text: &str) -> Result<i32, Refusal> {
    whole(text, "must be a whole number from -2147483648 to 2147483647")
}

fn int64(text: &str) -> Result<i64, Refusal> {
    whole(text, "must be a whole number from -9223372036854775808 to 9223372036854775807")
}

fn uint32(text: &str) -> Result<u32, Refusal> {
    whole(text, "must be a whole number from 0 to 4294967295")
}

fn uint64(text: &str) -> Result<u64, Refusal> {
    whole(text, "must be a whole number from 0 to 18446744073709551615")
}

/// Parses an integer, also in the forms `1.0` and `1e3`. Does not convert it to a float, which would round it.
fn whole<T: TryFrom<i128>>(text: &str, refusal: &'static str) -> Result<T, Refusal> {
    decimal(text)
        .and_then(|(negative, digits, exponent)| integer(negative, &digits, exponent))
        .and_then(|value| T::try_from(value).ok())
        .ok_or(Cow::Borrowed(refusal))
}

fn integer(negative: bool, digits: &str, exponent: i64) -> Option<i128> {
    let value = if exponent >= 0 {
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Some(0);
        }
        let zeros = u32::try_from(exponent).ok().filter(|zeros| *zeros <= 20)?;
        if significant.len() > 20 {
            return None;
        }
        significant.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(zeros)?)?
    } else {
        let cut = usize::try_from(-exponent).ok()?;
        let kept = digits.len().saturating_sub(cut);
        let (kept, dropped) = digits.split_at(kept);
        if dropped.bytes().any(|digit| digit != b'0') {
            return None;
        }
        let kept = kept.trim_start_matches('0');
        if kept.len() > 20 {
            return None;
        }
        if kept.is_empty() { 0 } else { kept.parse::<i128>().ok()? }
    };
    Some(if negative { -value } else { value })
}

/// Splits a JSON number (RFC 8259, section 6) into its sign, its digits without the point, and the power of ten.
fn decimal(text: &str) -> Option<(bool, Cow<'_, str>, i64)> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) && (rest.len() == 1 || !rest.starts_with('0')) {
        return Some((negative, Cow::Borrowed(rest), 0));
    }
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], exponent(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (mantissa, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    Some((negative, Cow::Owned(format!("{whole}{fraction}")), exponent - i64::try_from(fraction.len()).ok()?))
}

fn exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // With a larger exponent, the number is zero or out of range, whatever the exact exponent is.
    let value = digits.parse::<i64>().unwrap_or(1_000_000_000).min(1_000_000_000);
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_are_parsed_exactly(value: i64, positive: u64) {
            prop_assert_eq!(int64(&value.to_string()), Ok(value));
            prop_assert_eq!(uint64(&positive.to_string()), Ok(positive));
            prop_assert_eq!(uint64(&format!("{positive}.000")), Ok(positive));
            prop_assert_eq!(uint64(&format!("{positive}0e-1")), Ok(positive));
        }

        #[test]
        fn arbitrary_text_is_parsed_or_refused(text: String) {
            let _ = (int32(&text), int64(&text), uint32(&text), uint64(&text), float(&text), double(&text), bytes(&text, &mut Vec::new()));
        }

        #[test]
        fn doubles_survive_a_round_trip(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(double(&format!("{value:?}")), Ok(value));
        }
    }

    #[test]
    fn integers_accept_fractions_and_exponents_with_integral_values_only() {
        for (text, value) in [("1e5", 100_000), ("1.50e2", 150), ("-0", 0), ("0e99999999999", 0), ("10e-1", 1), ("2147483647.0", i32::MAX)]
        {
            assert_eq!(int32(text), Ok(value), "{text}");
        }
        for bad in [
            "",
            " 1",
            "1 ",
            "+1",
            "01",
            "1.",
            ".5",
            "1.5",
            "1e",
            "0x1",
            "2147483648",
            "1e10",
            "1e-1",
            "1e99999999999999999999",
            "nan",
            "--1",
        ] {
            assert!(int32(bad).is_err(), "{bad}");
        }
        assert!(float("1e39").is_err());
        assert!(double("1e309").is_err());
        assert!(double("1e-400").is_ok());
    }

    #[test]
    fn base64_is_read_in_both_alphabets_with_or_without_padding() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            let mut out = Vec::new();
            bytes(text, &mut out).unwrap();
            assert_eq!(out, [2, 0xfb, 0xff], "{text}");
        }
        assert!(bytes("a b", &mut Vec::new()).is_err());
        assert!(bytes("+_8=", &mut Vec::new()).is_err());
    }
}
