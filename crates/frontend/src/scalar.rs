//! Values from text: path variables, query parameters, map keys, and JSON's numbers and quoted values.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    schema::{Kind, Message, Schema, Special},
    time,
    wire::{self, WireType},
};

/// Padding may be there or not, as the JSON mapping asks of parsers.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Why a text is not a value of its type: a sentence that says what would be.
pub type Refusal = Cow<'static, str>;

/// Appends the value that a text says, without a tag. Enums are taken by name and by number.
///
/// Messages that have a text form (`Timestamp`, `Duration`, `FieldMask`, wrappers) are appended with their length.
pub fn put(schema: &Schema, kind: Kind, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match kind {
        Kind::Double => out.extend_from_slice(&double(text)?.to_le_bytes()),
        Kind::Float => out.extend_from_slice(&float(text)?.to_le_bytes()),
        Kind::Int32 => wire::put_varint(out, wire::signed(int32(text)?.into())),
        Kind::Int64 => wire::put_varint(out, wire::signed(int64(text)?)),
        Kind::Uint32 => wire::put_varint(out, uint32(text)?.into()),
        Kind::Uint64 => wire::put_varint(out, uint64(text)?),
        Kind::Sint32 => wire::put_varint(out, wire::zigzag(int32(text)?.into())),
        Kind::Sint64 => wire::put_varint(out, wire::zigzag(int64(text)?)),
        Kind::Fixed32 => out.extend_from_slice(&uint32(text)?.to_le_bytes()),
        Kind::Fixed64 => out.extend_from_slice(&uint64(text)?.to_le_bytes()),
        Kind::Sfixed32 => out.extend_from_slice(&int32(text)?.to_le_bytes()),
        Kind::Sfixed64 => out.extend_from_slice(&int64(text)?.to_le_bytes()),
        Kind::Bool => out.push(u8::from(boolean(text)?)),
        Kind::String => wire::put_bytes(out, text.as_bytes()),
        Kind::Bytes => return bytes(text, out),
        Kind::Enum(id) => {
            let number = match schema.enumeration(id).number(text) {
                Some(number) => number,
                None => int32(text).map_err(|_| unknown_enum(schema, kind, text))?,
            };
            wire::put_varint(out, wire::signed(number.into()));
        }
        Kind::Message(id) => return wire::put_sized(out, |out| put_message(schema, schema.message(id), text, out)),
    }
    Ok(())
}

/// Appends the content of a message that has a text form.
pub fn put_message(schema: &Schema, message: &Message, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match (message.special, message.fields.first()) {
        (Some(Special::Timestamp), _) => time::parse_timestamp(text)
            .map(|time| put_time(time, out))
            .ok_or(Cow::Borrowed("must be a time in RFC 3339 form, as 2026-05-01T12:00:00Z")),
        (Some(Special::Duration), _) => time::parse_duration(text)
            .map(|time| put_time(time, out))
            .ok_or(Cow::Borrowed("must be a duration in seconds with the unit, as 1.5s")),
        (Some(Special::FieldMask), _) => put_mask(text, out),
        (Some(Special::Wrapper), Some(value)) => {
            wire::put_tag(out, value.number, value.kind.wire());
            put(schema, value.kind, text, out)
        }
        _ => Err(Cow::Owned(format!("is a {}, which has no text form; set its fields instead", message.name))),
    }
}

/// Whether a value of this type can be written as one text.
pub fn has_text_form(schema: &Schema, kind: Kind) -> bool {
    let Kind::Message(id) = kind else { return true };
    matches!(schema.message(id).special, Some(Special::Timestamp | Special::Duration | Special::FieldMask | Special::Wrapper))
}

/// The refusal of an enum's name, with the names that there are.
pub fn unknown_enum(schema: &Schema, kind: Kind, text: &str) -> Refusal {
    let Kind::Enum(id) = kind else { return Cow::Borrowed("is not an enum") };
    let names: Vec<&str> = schema.enumeration(id).values.iter().take(20).map(|(name, _)| name.as_str()).collect();
    Cow::Owned(format!("{text:?} is none of {}", names.join(", ")))
}

fn put_time((seconds, nanos): (i64, i32), out: &mut Vec<u8>) {
    for (number, value) in [(1, seconds), (2, i64::from(nanos))] {
        if value != 0 {
            wire::put_tag(out, number, WireType::Varint);
            wire::put_varint(out, wire::signed(value));
        }
    }
}

/// `a.bC,d` is the paths `a.b_c` and `d`; names in snake case are taken as they are.
fn put_mask(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    for path in text.split(',').filter(|_| !text.is_empty()) {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'*');
        if path.is_empty() || !path.bytes().all(known) {
            return Err(Cow::Borrowed("must be field paths separated by commas, as displayName,address.city"));
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

/// Appends what a text in base64 or base64url says, with padding or without.
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
            Some(_) => Err(Cow::Borrowed("is beyond what a double can hold")),
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
            if value.is_finite() { Ok(value) } else { Err(Cow::Borrowed("is beyond what a float can hold")) }
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

/// Whole numbers, also written as `1.0` or `1e3`, without going through a float that would round them.
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

/// Takes a number of JSON's grammar (RFC 8259, section 6) apart: sign, digits without the point, power of ten.
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
    // An exponent beyond this makes zero or nothing that fits, whatever its exact value.
    let value = digits.parse::<i64>().unwrap_or(1_000_000_000).min(1_000_000_000);
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_are_exact(value: i64, positive: u64) {
            prop_assert_eq!(int64(&value.to_string()), Ok(value));
            prop_assert_eq!(uint64(&positive.to_string()), Ok(positive));
            prop_assert_eq!(uint64(&format!("{positive}.000")), Ok(positive));
            prop_assert_eq!(uint64(&format!("{positive}0e-1")), Ok(positive));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = (int32(&text), int64(&text), uint32(&text), uint64(&text), float(&text), double(&text), bytes(&text, &mut Vec::new()));
        }

        #[test]
        fn doubles_come_back(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(double(&format!("{value:?}")), Ok(value));
        }
    }

    #[test]
    fn whole_numbers_may_be_written_in_other_ways_but_not_be_others() {
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
    fn both_alphabets_of_base64_are_read_with_padding_or_without() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            let mut out = Vec::new();
            bytes(text, &mut out).unwrap();
            assert_eq!(out, [2, 0xfb, 0xff], "{text}");
        }
        assert!(bytes("a b", &mut Vec::new()).is_err());
        assert!(bytes("+_8=", &mut Vec::new()).is_err());
    }
}
